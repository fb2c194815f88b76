"""Past values from CSV and Parquet files below `MLOPS_DATA_DIR`.

Here: reading a file by its YAML entry, and the versions that several files of one source make.
Not here: reading cells (`cells`), what a faulty row is (`quality`), and how versions meet those
already stored (`versions`).

Rules: files are read in the order of the YAML. A row first seen is backdated (known at its valid
time plus the publication delay, `assumed`); a row whose values a later file changes is a new
version known at that file's `pulled_at`; an unchanged row adds nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl

from mlops_assets.ingestion.cells import (
    read_labels,
    read_numbers,
    read_table,
    read_times,
    refuse_rows,
    require_columns,
    require_known,
)
from mlops_assets.ingestion.sources import SourceError, opens_within, span_of
from mlops_assets.problem import (
    SEPARATOR,
    CandleSource,
    ChannelSource,
    FileSource,
    ForecastProblem,
    Source,
    ValueSource,
)
from mlops_assets.settings import Settings
from mlops_assets.tables.candles import VALUES
from mlops_assets.tables.channels import (
    CHANNEL_COUNTS,
    CHANNEL_PREFIX,
    CHANNELS_LAYOUT,
    VIDEO_COUNTS,
    VIDEO_PREFIX,
)
from mlops_assets.tables.layouts import layout_of
from mlops_assets.tables.raw import PERIOD
from mlops_assets.tables.schema import UTC_MICROSECONDS

_TIME: Final = "valid_time"


def fetch(
    name: str,
    source: Source,
    *,
    start: datetime,
    end: datetime,
    fetched_at: datetime,
    settings: Settings,
) -> pl.DataFrame:
    """The rows of a source's files that open in `[start, end)`; see `sources.Fetch`."""
    folder = settings.required_data_dir()
    versions: list[pl.DataFrame] = []
    for file in _files_of(name, source):
        delivered = read_file(folder, file, name=name, source=source)
        delivered = delivered.filter(opens_within(start, end, bar=span_of(source)))
        versions.append(_versions(delivered, versions, file=file, source=source))
    rows = pl.concat(versions).with_columns(fetched_at=pl.lit(fetched_at).cast(UTC_MICROSECONDS))
    return layout_of(source.kind).fetched.conform(rows)


def newest_target_time(problem: ForecastProblem, settings: Settings) -> datetime:
    """The newest valid time in the files of a problem's target.

    Raises:
        SourceError: the target has no files, or they hold no row.
        SettingsError: MLOPS_DATA_DIR is missing.
    """
    folder, source = settings.required_data_dir(), problem.target_source
    name = problem.target.source
    files = _files_of(name, source)
    times = pl.concat(read_file(folder, f, name=name, source=source).select(_TIME) for f in files)
    newest = times[_TIME].max()
    if not isinstance(newest, datetime):
        raise SourceError(
            f"{name}: {', '.join(f.path for f in files)} hold no row, so there "
            "is no newest target time; add rows or give --as-of"
        )
    return newest


def read_file(folder: Path, file: FileSource, *, name: str, source: Source) -> pl.DataFrame:
    """One file's rows in its own order: `series`, `valid_time`, and the values of the kind.

    Args:
        folder: where `file.path` begins.
        file: its YAML entry.
        name: the source's name, which is the series where there is only one.
        source: says which columns are needed.

    Raises:
        SourceError: the file or a column is missing, a cell cannot be read, a label is unknown, or
            a timestamp is naive and the entry names no zone.
    """
    delivered = read_table(folder, file)
    match source:
        case CandleSource():
            return _bars(delivered, file, name=name, source=source)
        case ValueSource():
            return _values(delivered, file, name=name, source=source)
        case ChannelSource():
            if file in source.videos:
                return _counts(delivered, file, "video_id", VIDEO_PREFIX, VIDEO_COUNTS)
            return _counts(delivered, file, "channel_id", CHANNEL_PREFIX, CHANNEL_COUNTS)


def _bars(
    delivered: pl.DataFrame, file: FileSource, *, name: str, source: CandleSource
) -> pl.DataFrame:
    """Prices and volume; the close of a bar is its valid time."""
    names = VALUES if source.has_volume else VALUES[:-1]
    wanted = {column: file.columns.get(column, column) for column in names}
    require_columns(delivered, [file.time_column, *wanted.values()], file)
    values = [read_numbers(delivered[theirs], file).alias(ours) for ours, theirs in wanted.items()]
    rows = pl.DataFrame([_period_ends(delivered, file, source), *values])
    if not source.has_volume:
        rows = rows.with_columns(volume=pl.lit(None, dtype=pl.Float64))
    return rows.select(pl.lit(name).alias("series"), _TIME, *VALUES)


def _values(
    delivered: pl.DataFrame, file: FileSource, *, name: str, source: ValueSource
) -> pl.DataFrame:
    """Numbers; the labels of a panel make the name of the series."""
    wanted = {key: file.columns.get(key, key) for key in ("value", *source.keys)}
    require_columns(delivered, [file.time_column, *wanted.values()], file)
    labels = {key: read_labels(delivered[wanted[key]]) for key in source.keys}
    for key, column in labels.items():
        require_known(column, file, key=key, known=source.keys[key])
    series = pl.concat_str(*labels.values(), separator=SEPARATOR) if labels else pl.lit(name)
    rows = pl.DataFrame(
        [
            _period_ends(delivered, file, source),
            read_numbers(delivered[wanted["value"]], file).alias("value"),
        ]
    )
    return rows.select(series.alias("series"), _TIME, "value")


def _counts(
    delivered: pl.DataFrame, file: FileSource, identity: str, prefix: str, counts: tuple[str, ...]
) -> pl.DataFrame:
    """Counts of channels or of videos, whichever `identity` names; the others are null."""
    wanted = {column: file.columns.get(column, column) for column in (identity, *counts)}
    require_columns(delivered, [file.time_column, *wanted.values()], file)
    ids = read_labels(delivered[wanted[identity]])
    refuse_rows(
        delivered[file.time_column].cast(pl.String).filter(ids.is_null()),
        file,
        rule=f"each row names its {identity}",
        remedy="add it, or remove the rows",
    )
    values = [read_numbers(delivered[wanted[count]], file).alias(count) for count in counts]
    times = read_times(delivered[file.time_column], file).alias(_TIME)
    rows = pl.DataFrame([(prefix + ids).alias("series"), times, *values])
    absent = [name for name in CHANNELS_LAYOUT.value_names if name not in counts]
    rows = rows.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in absent)
    return rows.select(*PERIOD, *CHANNELS_LAYOUT.value_names)


def _period_ends(delivered: pl.DataFrame, file: FileSource, source: Source) -> pl.Series:
    """The valid times of a file's rows, whichever end of the period its timestamps name."""
    times = read_times(delivered[file.time_column], file)
    return (times + source.period if source.timestamp == "open" else times).alias(_TIME)


def _files_of(name: str, source: Source) -> tuple[FileSource, ...]:
    videos = source.videos if isinstance(source, ChannelSource) else ()
    if not source.files:
        raise SourceError(
            f"{name}: MLOPS_DATA=files, but sources.{name}.files is empty; "
            "add the file's path to the problem's YAML, or set MLOPS_DATA=sample"
        )
    return (*source.files, *videos)


def _versions(
    delivered: pl.DataFrame, earlier: list[pl.DataFrame], *, file: FileSource, source: Source
) -> pl.DataFrame:
    """The rows of a file that say something new, with the instant they were known at.

    A row that an earlier file gave twice with different values has no latest version, so any
    later value of it counts as changed.
    """
    values = layout_of(source.kind).value_names
    known = pl.col(_TIME) + source.publication_delay
    rows = delivered.with_columns(known_at=known, assumed=pl.lit(True), pull=pl.lit(file.path))
    if not earlier:
        return rows
    latest = _latest(pl.concat(earlier), values)
    seen = rows.join(latest, on=PERIOD, how="semi", maintain_order="left")
    differing = seen.join(latest, on=[*PERIOD, *values], how="anti", nulls_equal=True)
    # By period, not by row: of two conflicting rows, one may equal the earlier version.
    changed = seen.join(differing, on=PERIOD, how="semi", maintain_order="left")
    first = rows.join(latest, on=PERIOD, how="anti", maintain_order="left")
    if changed.is_empty():
        return first
    return pl.concat([first, _stamped_with_pull(changed, file)])


def _latest(earlier: pl.DataFrame, values: Sequence[str]) -> pl.DataFrame:
    """The one newest version of each period; its values are null when it is ambiguous."""
    newest = earlier.filter(pl.col("known_at") == pl.col("known_at").max().over(PERIOD))
    newest = newest.unique([*PERIOD, *values])
    several = pl.struct(PERIOD).is_duplicated()
    ambiguous = newest.filter(several).select(PERIOD).unique()
    single = newest.filter(~several).select(*PERIOD, *values)
    return pl.concat([single, ambiguous], how="diagonal")


def _stamped_with_pull(changed: pl.DataFrame, file: FileSource) -> pl.DataFrame:
    if file.pulled_at is None:
        first = changed.sort(_TIME, maintain_order=True)
        raise SourceError(
            f"{file.path}: changes {len(changed)} rows of an earlier file (first: "
            f"{first['series'][0]} at {first[_TIME][0]}) and has no `pulled_at`; a changed value "
            "is known from its pull on; add `pulled_at` with zone to the file's entry"
        )
    return changed.with_columns(
        known_at=pl.lit(file.pulled_at).cast(UTC_MICROSECONDS), assumed=pl.lit(False)
    )
