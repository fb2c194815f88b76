"""The cells of a delivered file as instants, numbers and labels.

Here: reading a file and each of its columns, and refusing by name what cannot be read. Not here:
which columns a kind of source needs, and the versions that several files make (`files`).

Rule: a naive timestamp is refused unless the file's entry names its zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from mlops_assets.ingestion.sources import SourceError
from mlops_assets.problem import FileSource
from mlops_assets.tables.schema import UTC_MICROSECONDS


def read_table(folder: Path, file: FileSource) -> pl.DataFrame:
    """A file as it is; the cells of a CSV are text, and a byte order mark is no part of it.

    Raises:
        SourceError: it is missing, no CSV or Parquet by its name, or not readable as such.
    """
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


def require_columns(delivered: pl.DataFrame, wanted: Sequence[str], file: FileSource) -> None:
    """Refuse a file without one of the columns `wanted` (by its own names).

    Raises:
        SourceError: a column is missing; the message lists those that are there.
    """
    missing = [column for column in wanted if column not in delivered.columns]
    if missing:
        raise SourceError(
            f"{file.path} has no column {missing[0]!r}; it has {', '.join(delivered.columns)}; "
            "name the file's own column under `columns` (or `time_column`) in the problem's YAML"
        )


def read_numbers(column: pl.Series, file: FileSource) -> pl.Series:
    """A column of numbers; an empty cell is null.

    Raises:
        SourceError: a cell is no number.
    """
    if column.dtype == pl.String:
        text = column.str.strip_chars().replace("", None)
        numbers = text.cast(pl.Float64, strict=False)
        refuse_rows(
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


def read_labels(column: pl.Series) -> pl.Series:
    """A column of labels: composed (NFC), without blanks around them; an empty cell is null.

    Two spellings of one Korean label, composed and decomposed, look alike and differ in bytes.
    """
    return column.cast(pl.String).str.normalize("NFC").str.strip_chars().replace("", None)


def require_known(labels: pl.Series, file: FileSource, *, key: str, known: Sequence[str]) -> None:
    """Refuse labels that the problem file does not list.

    Args:
        labels: of `read_labels`.
        file: whose column it is.
        key: the key that the labels belong to, for the message.
        known: the labels of the key.

    Raises:
        SourceError: a row has another label or none.
    """
    refuse_rows(
        labels.filter(~labels.is_in(known).fill_null(value=False)),
        file,
        rule=f"the labels of key {key!r} are {', '.join(known)}",
        remedy=f"add it to `keys.{key}` in the problem's YAML, or remove the rows",
    )


def read_times(column: pl.Series, file: FileSource) -> pl.Series:
    """A column of instants in UTC.

    Raises:
        SourceError: a cell is empty or no timestamp, or is naive and the entry names no zone.
    """
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
            f"{file.path}: {times.null_count()} rows have no {column.name!r}; a row without its "
            "time cannot be placed; remove the rows"
        )
    if times.dtype.time_zone is None:
        times = _in_named_zone(times, file)
    return times.cast(UTC_MICROSECONDS)


def _parse_times(text: pl.Series, file: FileSource) -> pl.Series:
    """ISO 8601 text as naive times or, when every row has an offset, as UTC instants."""
    cells = text.str.strip_chars()
    parsed = [_iso_time(cell) for cell in cells.to_list()]
    refuse_rows(
        cells.filter(pl.Series([time is None for time in parsed], dtype=pl.Boolean)),
        file,
        rule=f"column {text.name!r} holds ISO 8601 timestamps",
        remedy="write them as 2025-06-18T10:00:00Z",
    )
    times = [time for time in parsed if time is not None]
    naive = pl.Series([time.tzinfo is None for time in times], dtype=pl.Boolean)
    if naive.all():
        return pl.Series(text.name, times, dtype=pl.Datetime("us"))
    refuse_rows(
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
    refuse_rows(
        times.filter(placed.is_null()).cast(pl.String),
        file,
        rule=f"each time exists once on the clock of {file.time_zone}",
        remedy="write these times with their offset",
    )
    return placed


def refuse_rows(faulty: pl.Series, file: FileSource, *, rule: str, remedy: str) -> None:
    """Refuse a file for its faulty cells, if there are any.

    Raises:
        SourceError: there are; the message shows the first one, the rule and the remedy.
    """
    if not faulty.is_empty():
        raise SourceError(f"{file.path}: {faulty[0]!r} in {len(faulty)} rows; {rule}; {remedy}")
