"""The assets of ingestion: `raw_<source>` for each source, and `observations`.

Here: the wiring of pure functions to Dagster. Not here: the functions (`pull`, `observations`),
and the checks (`checks`).
"""

# No `from __future__ import annotations`: Dagster reads the annotation of `context` as an object.

from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg
import polars as pl

from mlops_assets.ingestion.observations import observe, schema_of
from mlops_assets.ingestion.pull import PullReport, pull, raw_table, read_raw
from mlops_assets.ingestion.sources import SourceError
from mlops_assets.orchestration.clock import Clock, real_now
from mlops_assets.orchestration.freshness import freshness
from mlops_assets.orchestration.partitions import monthly_partitions
from mlops_assets.orchestration.resources import Platform, Tables
from mlops_assets.problem import ForecastProblem, Source
from mlops_assets.settings import DataMode
from mlops_assets.storage.io_manager import column_schema
from mlops_assets.tables.layouts import layout_of

CODE_VERSION: Final = "2"
"""Raised when the same input would give other rows."""

FETCHED_CHECK: Final = "fetched"
"""Check of an exogenous raw asset: whether its source could be read at all."""

_RUN_BEGINS_WITHIN: Final = timedelta(minutes=10)
"""A clock that stands at most so far behind the real time stands at the beginning of this run."""


def raw_partitions(problem: ForecastProblem) -> dg.MonthlyPartitionsDefinition:
    """Months from the earliest start of all sources, on the clock of the target's zone.

    They are the same for every source, since one job runs only equal partitions.
    """
    earliest = min(source.start for source in problem.sources.values())
    return monthly_partitions(earliest, zone=problem.zone)


def raw_key(problem: str, source: str) -> dg.AssetKey:
    """Asset key of a source's raw table."""
    return dg.AssetKey([problem, f"raw_{source}"])


def observations_key(problem: str) -> dg.AssetKey:
    """Asset key of a problem's observations."""
    return dg.AssetKey([problem, "observations"])


def build_raw_assets(problem: ForecastProblem) -> list[dg.AssetsDefinition]:
    """One asset for each source: every version of its rows, in monthly partitions."""
    return [_raw_asset(problem, name, source) for name, source in problem.sources.items()]


def build_observations_asset(problem: ForecastProblem) -> dg.AssetsDefinition:
    """The asset `observations`; it reads all months of the raw tables and waits for none."""
    every_month, row = dg.AllPartitionMapping(), layout_of(problem.target_source.kind).row

    @dg.asset(
        key=observations_key(problem.name),
        group_name=problem.name,
        deps=[
            dg.AssetDep(raw_key(problem.name, source), partition_mapping=every_month)
            for source in problem.sources
        ],
        description=(
            f"{problem.title}: one row per version of a {row} of the target, as known at `as_of`, "
            "with the newest exogenous values known by then and their age."
        ),
        owners=list(problem.owners),
        kinds={"parquet", "polars"},
        tags={"stage": "ingestion"},
        code_version=CODE_VERSION,
        metadata={"dagster/column_schema": column_schema(schema_of(problem))},
        io_manager_key="io_manager",
    )
    def observations(clock: Clock, tables: Tables) -> dg.MaterializeResult[pl.DataFrame]:
        store, as_of = tables.store(), clock.now()
        raw = {
            name: read_raw(store, problem.name, name, layout=layout_of(source.kind))
            for name, source in problem.sources.items()
        }
        frame = observe(raw[problem.target.source], raw, problem, as_of)
        return dg.MaterializeResult(
            value=frame, metadata=_observed_metadata(frame, raw, as_of=as_of)
        )

    return observations


def _raw_asset(problem: ForecastProblem, name: str, source: Source) -> dg.AssetsDefinition:
    layout = layout_of(source.kind)

    @dg.asset(
        key=raw_key(problem.name, name),
        group_name=problem.name,
        partitions_def=raw_partitions(problem),
        backfill_policy=dg.BackfillPolicy.single_run(),
        description=(
            f"{source.title}: every version of every {layout.row} ever fetched. A corrected one "
            f"is a new row. Unit: {source.unit}."
        ),
        owners=list(problem.owners),
        kinds={"deltalake", "polars"},
        tags={"stage": "ingestion", "role": source.role},
        code_version=CODE_VERSION,
        metadata={"dagster/column_schema": column_schema(layout.raw)},
        freshness_policy=freshness(problem.freshness["raw"]),
        check_specs=_fetched_specs(problem, name, source),
    )
    def raw(
        context: dg.AssetExecutionContext, clock: Clock, tables: Tables, platform: Platform
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]  # with checks, Dagster takes it bare only
        settings, window = platform.settings(), context.partition_time_window
        try:
            report = pull(
                tables.store(),
                problem.name,
                name,
                source,
                start=window.start.astimezone(UTC),
                end=window.end.astimezone(UTC),
                fetched_at=_fetch_time(settings.data, clock),
                settings=settings,
            )
        except SourceError as error:
            if source.role == "target":
                raise
            return _not_fetched(str(error))
        metadata = _pull_metadata(report, problem.name, name)
        return dg.MaterializeResult(metadata=metadata, check_results=_fetched(source))

    return raw


def _fetched_specs(
    problem: ForecastProblem, name: str, source: Source
) -> list[dg.AssetCheckSpec] | None:
    """The target needs no such check: without it the run fails."""
    if source.role == "target":
        return None
    meaning = "The source could be read. If not, stored rows stay and their age grows."
    key = raw_key(problem.name, name)
    return [dg.AssetCheckSpec(FETCHED_CHECK, asset=key, description=meaning, blocking=False)]


def _fetched(source: Source) -> list[dg.AssetCheckResult]:
    if source.role == "target":
        return []
    return [dg.AssetCheckResult(check_name=FETCHED_CHECK, passed=True)]


def _not_fetched(message: str) -> dg.MaterializeResult[None]:
    """A dead exogenous source stops nobody: its stored rows stay as they are."""
    failed = dg.AssetCheckResult(
        check_name=FETCHED_CHECK,
        passed=False,
        severity=dg.AssetCheckSeverity.WARN,
        description=message,
    )
    metadata = {"not_fetched": dg.MetadataValue.text(message)}
    return dg.MaterializeResult(metadata=metadata, check_results=[failed])


def _fetch_time(mode: DataMode, clock: Clock) -> datetime:
    """When the values are read: really now, but never ahead of the clock of a run.

    A run whose clock was fixed at its beginning would not see what it fetched moments later. A
    live fetch therefore happens at that instant: bars that closed since then count as unfinished.
    With a clock in the past (`--as-of`) a live or file fetch still happens now.
    """
    now, believed = real_now(), clock.now()
    if mode == "sample" or (mode == "live" and now - believed <= _RUN_BEGINS_WITHIN):
        return min(believed, now)
    return now


def _pull_metadata(report: PullReport, problem: str, name: str) -> dict[str, dg.MetadataValue]:
    summary = (
        f"| rows | |\n|---|---|\n| inserted | {report.inserted} |\n"
        f"| unchanged | {report.unchanged} |\n| set aside | {report.quarantined} |\n\n"
        f"Valid {report.first_valid_time} to {report.last_valid_time}."
        + "".join(f"\n\n{note}." for note in report.notes)
    )
    return {
        "table": dg.MetadataValue.text(raw_table(problem, name)),
        "rows_inserted": dg.MetadataValue.int(report.inserted),
        "rows_unchanged": dg.MetadataValue.int(report.unchanged),
        "rows_quarantined": dg.MetadataValue.int(report.quarantined),
        "first_valid_time": dg.MetadataValue.text(str(report.first_valid_time)),
        "last_valid_time": dg.MetadataValue.text(str(report.last_valid_time)),
        "newest_known_at": dg.MetadataValue.text(str(report.newest_known_at)),
        "data_version": dg.MetadataValue.text(report.data_version),
        "notes": dg.MetadataValue.text("; ".join(report.notes) or "none"),
        "summary": dg.MetadataValue.md(summary),
    }


def _observed_metadata(
    frame: pl.DataFrame, raw: dict[str, pl.DataFrame], *, as_of: datetime
) -> dict[str, dg.MetadataValue]:
    empty = sorted(name for name, rows in raw.items() if rows.is_empty())
    return {
        "as_of": dg.MetadataValue.text(as_of.isoformat()),
        "newest_valid_time": dg.MetadataValue.text(str(frame["valid_time"].max())),
        "newest_known_at": dg.MetadataValue.text(str(frame["known_at"].max())),
        "corrected": dg.MetadataValue.int(int(frame["superseded_at"].is_not_null().sum())),
        "sources_without_rows": dg.MetadataValue.text(", ".join(empty) or "none"),
    }
