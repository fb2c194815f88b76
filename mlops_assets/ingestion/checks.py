"""The asset checks of ingestion: they read back what was written and ask the pure evaluators.

Here: the wiring, and which checks block. Not here: the rules (`quality`, `recency`,
`observations.judge`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import dagster as dg

from mlops_assets.ingestion import observations as observed
from mlops_assets.ingestion import recency
from mlops_assets.ingestion.assets import observations_key, raw_key
from mlops_assets.ingestion.pull import read_quarantine, read_raw
from mlops_assets.ingestion.quality import WARNINGS, Finding, Rule, book_of, evaluate
from mlops_assets.orchestration.clock import Clock
from mlops_assets.orchestration.resources import Platform, Tables
from mlops_assets.problem import ForecastProblem, Source
from mlops_assets.storage.io_manager import table_name
from mlops_assets.tables.layouts import layout_of

_OBSERVATION_MEANING: Final = {
    "schema": "The table has its columns, types and ranges.",
    "unique_keys": "One row for each version of a period.",
    "as_known": "Nothing in the table was known later than the run's clock.",
}


def build_raw_checks(problem: ForecastProblem) -> list[dg.AssetChecksDefinition]:
    """For each raw asset one operation with a check per rule."""
    return [_raw_checks(problem, name, source) for name, source in problem.sources.items()]


def build_observation_checks(problem: ForecastProblem) -> list[dg.AssetChecksDefinition]:
    """The checks of `observations`, all blocking."""
    key = observations_key(problem.name)
    specs = [
        dg.AssetCheckSpec(name, asset=key, description=meaning, blocking=True)
        for name, meaning in _OBSERVATION_MEANING.items()
    ]

    @dg.multi_asset_check(name=f"{problem.name}__observations_checks", specs=specs)
    def check_observations(clock: Clock, tables: Tables) -> Iterator[dg.AssetCheckResult]:
        stored = tables.store().read(table_name(key))
        for finding in observed.judge(stored, problem, now=clock.now()):
            yield dg.AssetCheckResult(
                asset_key=key,
                check_name=finding.name,
                passed=finding.passed,
                description=finding.message,
            )

    return [check_observations]


def _raw_checks(problem: ForecastProblem, name: str, source: Source) -> dg.AssetChecksDefinition:
    key, layout, book = raw_key(problem.name, name), layout_of(source.kind), book_of(source)
    specs = [
        dg.AssetCheckSpec(
            str(rule), asset=key, description=book.meanings[rule], blocking=_blocks(rule, source)
        )
        for rule in book.rules
    ]

    @dg.multi_asset_check(name=f"{problem.name}__raw_{name}_checks", specs=specs)
    def check_raw(
        clock: Clock, tables: Tables, platform: Platform
    ) -> Iterator[dg.AssetCheckResult]:
        store, mode = tables.store(), platform.settings().data
        stored = read_raw(store, problem.name, name, layout=layout)
        set_aside = read_quarantine(store, problem.name, name, layout=layout)
        found = evaluate(stored, set_aside, name=name, source=source)
        found[Rule.RECENCY] = recency.judge(
            stored, name=name, source=source, now=clock.now(), mode=mode
        )
        for rule in book.rules:
            yield _result(found[rule], key)

    return check_raw


def _blocks(rule: Rule, source: Source) -> bool:
    return source.role == "target" and rule not in WARNINGS


def _result(finding: Finding, key: dg.AssetKey) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=str(finding.rule),
        passed=finding.passed,
        severity=dg.AssetCheckSeverity[finding.severity],
        description=finding.message,
        metadata={
            "count": dg.MetadataValue.int(finding.count),
            "first_rows": dg.MetadataValue.md(_as_markdown(finding)),
        },
    )


def _as_markdown(finding: Finding) -> str:
    if finding.rows.is_empty():
        return "none"
    header = f"|{'|'.join(finding.rows.columns)}|\n|{'---|' * finding.rows.width}"
    lines = [f"|{'|'.join(map(str, row))}|" for row in finding.rows.iter_rows()]
    return "\n".join([header, *lines])
