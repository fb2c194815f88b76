"""Past values from CSV and Parquet files below `MLOPS_DATA_DIR`.

Here: reading a file by its YAML entry, and the versions that several files of one source make.
Not here: what a faulty bar is (`quality`), and how versions meet those already stored
(`versions`).

Rules: a naive timestamp is refused unless the entry names its zone. Files are read in the order
of the YAML. A bar first seen is backdated (known at its valid time plus the publication delay,
`assumed`); a bar whose values a later file changes is a new version known at that file's
`pulled_at`; an unchanged bar adds nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from mlops_assets.ingestion.sources import SourceError, opens_within
from mlops_assets.problem import FileSource, ForecastProblem, Source
from mlops_assets.settings import Settings
from mlops_assets.tables.candles import FETCHED, VALUES
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
    """The bars of a source's files that open in `[start, end)`; see `sources.Fetch`."""
    folder = settings.required_data_dir()
    versions: list[pl.DataFrame] = []
    for file in _files_of(name, source):
        delivered = read_file(folder, file, source=source)
        delivered = delivered.filter(opens_within(start, end, bar=source.period))
        versions.append(_versions(delivered, versions, file=file, source=source))
    rows = pl.concat(versions).with_columns(
        series=pl.lit(name), fetched_at=pl.lit(fetched_at).cast(UTC_MICROSECONDS)
    )
    return FETCHED.conform(rows)


def newest_target_time(problem: ForecastProblem, settings: Settings) -> datetime:
    """The newest valid time in the files of a problem's target.

    Raises:
        SourceError: the target has no files, or they hold no row.
        SettingsError: MLOPS_DATA_DIR is missing.
    """
    folder, source = settings.required_data_dir(), problem.target_source
    files = _files_of(problem.target.source, source)
    times = pl.concat(read_file(folder, file, source=source).select(_TIME) for file in files)
    newest = times[_TIME].max()
    if not isinstance(newest, datetime):
        raise SourceError(
            f"{problem.target.source}: {', '.join(f.path for f in files)} hold no row, so there "
            "is no newest target time; add rows or give --as-of"
        )
    return newest


def read_file(folder: Path, file: FileSource, *, source: Source) -> pl.DataFrame:
    """One file's rows in its own order: `valid_time` (the bar's close), prices, volume.

    Raises:
        SourceError: the file or a column is missing, a number or a timestamp cannot be read, or a
            timestamp is naive and the entry names no zone.
    """
    delivered = _read_table(folder, file)
    wanted = {column: file.columns.get(column, column) for column in VALUES}
    if not source.has_volume:
        del wanted["volume"]
    _require_columns(delivered, [file.time_column, *wanted.values()], file)
    times = _read_times(delivered[file.time_column], file)
    if source.timestamp == "open":
        times = times + source.period
    values = [_read_numbers(delivered[theirs], file).alias(ours) for ours, theirs in wanted.items()]
    rows = pl.DataFrame([times.alias(_TIME), *values])
    if not source.has_volume:
        rows = rows.with_columns(volume=pl.lit(None, dtype=pl.Float64))
    return rows


def _files_of(name: str, source: Source) -> tuple[FileSource, ...]:
    if not source.files:
        raise SourceError(
            f"{name}: MLOPS_DATA=files, but sources.{name}.files is empty; "
            "add the file's path to the problem's YAML, or set MLOPS_DATA=sample"
        )
    return source.files


def _versions(
    delivered: pl.DataFrame, earlier: list[pl.DataFrame], *, file: FileSource, source: Source
) -> pl.DataFrame:
    """The rows of a file that say something new, with the instant they were known at.

    A bar that an earlier file gave twice with different values has no latest version, so any
    later value of it counts as changed.
    """
    known = pl.col(_TIME) + source.publication_delay
    rows = delivered.with_columns(known_at=known, assumed=pl.lit(True), pull=pl.lit(file.path))
    if not earlier:
        return rows
    latest = _latest(pl.concat(earlier))
    seen = rows.join(latest, on=_TIME, how="semi", maintain_order="left")
    differing = seen.join(latest, on=[_TIME, *VALUES], how="anti", nulls_equal=True)
    # By bar, not by row: of two conflicting rows, one may equal the earlier version.
    changed = seen.join(differing, on=_TIME, how="semi", maintain_order="left")
    first = rows.join(latest, on=_TIME, how="anti", maintain_order="left")
    if changed.is_empty():
        return first
    return pl.concat([first, _stamped_with_pull(changed, file)])


def _latest(earlier: pl.DataFrame) -> pl.DataFrame:
    """The one newest version of each bar; values null and NaN-marked when it is ambiguous."""
    newest = earlier.filter(pl.col("known_at") == pl.col("known_at").max().over(_TIME))
    newest = newest.unique([_TIME, *VALUES])
    ambiguous = newest.filter(pl.col(_TIME).is_duplicated()).select(_TIME).unique()
    single = newest.filter(~pl.col(_TIME).is_duplicated()).select(_TIME, *VALUES)
    return pl.concat([single, ambiguous], how="diagonal")


def _stamped_with_pull(changed: pl.DataFrame, file: FileSource) -> pl.DataFrame:
    if file.pulled_at is None:
        raise SourceError(
            f"{file.path}: changes {len(changed)} bars of an earlier file (first: bar closing "
            f"{changed[_TIME].sort()[0]}) and has no `pulled_at`; a changed value is known from "
            "its pull on; add `pulled_at` with zone to the file's entry"
        )
    return changed.with_columns(
        known_at=pl.lit(file.pulled_at).cast(UTC_MICROSECONDS), assumed=pl.lit(False)
    )


def _read_table(folder: Path, file: FileSource) -> pl.DataFrame:
    path = folder / file.path
    if not path.is_file():
        raise SourceError(
            f"{file.path} is not in MLOPS_DATA_DIR={folder}; "
            "put it there or correct `path` in the problem's YAML"
        )
    try:
        match path.suffix:
            case ".parquet":
                return pl.read_parquet(path)
            case ".csv":
                return pl.read_csv(path, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise SourceError(
            f"{file.path} cannot be read as {path.suffix[1:]}: {error}; replace the file"
        ) from error
    raise SourceError(
        f"{file.path} ends in {path.suffix!r}; files are CSV or Parquet; "
        "convert it and name it .csv or .parquet"
    )


def _require_columns(delivered: pl.DataFrame, wanted: list[str], file: FileSource) -> None:
    missing = [column for column in wanted if column not in delivered.columns]
    if missing:
        raise SourceError(
            f"{file.path} has no column {missing[0]!r}; it has {', '.join(delivered.columns)}; "
            "name the file's own column under `columns` (or `time_column`) in the problem's YAML"
        )


def _read_numbers(column: pl.Series, file: FileSource) -> pl.Series:
    """A column of numbers; an empty cell is null."""
    if column.dtype == pl.String:
        text = column.str.strip_chars().replace("", None)
        numbers = text.cast(pl.Float64, strict=False)
        _refuse_rows(
            text.filter(numbers.is_null() & text.is_not_null()),
            file,
            rule=f"column {column.name!r} holds numbers only",
            remedy="correct the cell, or leave it empty when the value is missing",
        )
        return numbers
    if not column.dtype.is_numeric() and column.dtype != pl.Null:
        raise SourceError(
            f"{file.path}: column {column.name!r} is {column.dtype}; it must hold numbers; "
            "convert it or name another column in the problem's YAML"
        )
    return column.cast(pl.Float64)


def _read_times(column: pl.Series, file: FileSource) -> pl.Series:
    """A column of instants in UTC."""
    times = _parse_times(column, file) if column.dtype == pl.String else column
    if times.dtype == pl.Date:
        times = times.cast(pl.Datetime("us"))
    if not isinstance(times.dtype, pl.Datetime):
        raise SourceError(
            f"{file.path}: column {column.name!r} is {column.dtype}; it must hold timestamps; "
            "write ISO 8601 text or a timestamp type"
        )
    if times.has_nulls():
        raise SourceError(
            f"{file.path}: {times.null_count()} rows have no {column.name!r}; a bar without its "
            "time cannot be placed; remove the rows"
        )
    if times.dtype.time_zone is None:
        times = _in_named_zone(times, file)
    return times.cast(UTC_MICROSECONDS)


def _parse_times(text: pl.Series, file: FileSource) -> pl.Series:
    """ISO 8601 text as naive times or, when every row has an offset, as UTC instants."""
    cells = text.str.strip_chars()
    parsed = [_iso_time(cell) for cell in cells.to_list()]
    _refuse_rows(
        cells.filter(pl.Series([time is None for time in parsed], dtype=pl.Boolean)),
        file,
        rule=f"column {text.name!r} holds ISO 8601 timestamps",
        remedy="write them as 2025-06-18T10:00:00Z",
    )
    times = [time for time in parsed if time is not None]
    naive = pl.Series([time.tzinfo is None for time in times], dtype=pl.Boolean)
    if naive.all():
        return pl.Series(text.name, times, dtype=pl.Datetime("us"))
    _refuse_rows(
        cells.filter(naive),
        file,
        rule="they have no time zone, others of this file do",
        remedy="write every timestamp with its offset",
    )
    return pl.Series(text.name, [time.astimezone(UTC) for time in times], dtype=UTC_MICROSECONDS)


def _iso_time(cell: str | None) -> datetime | None:
    """An ISO 8601 timestamp; None where it is none."""
    try:
        return datetime.fromisoformat(cell) if cell else None
    except ValueError:
        return None


def _in_named_zone(times: pl.Series, file: FileSource) -> pl.Series:
    """Naive times read on the clock of the entry's zone."""
    if file.time_zone is None:
        raise SourceError(
            f"{file.path}: timestamps such as {times[0]} have no time zone; an instant needs one; "
            "add `time_zone: UTC` (or the source's zone) to the file's entry"
        )
    try:
        ZoneInfo(file.time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise SourceError(
            f"{file.path}: time_zone {file.time_zone!r} is no IANA zone; write it as Asia/Seoul"
        ) from error
    placed = times.dt.replace_time_zone(file.time_zone, ambiguous="null", non_existent="null")
    _refuse_rows(
        times.filter(placed.is_null()).cast(pl.String),
        file,
        rule=f"each time exists once on the clock of {file.time_zone}",
        remedy="write these times with their offset",
    )
    return placed


def _refuse_rows(faulty: pl.Series, file: FileSource, *, rule: str, remedy: str) -> None:
    if not faulty.is_empty():
        raise SourceError(f"{file.path}: {faulty[0]!r} in {len(faulty)} rows; {rule}; {remedy}")
