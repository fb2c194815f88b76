"""A published table held as numpy columns, sorted by its key: for slices, pages and look-ups.

Here: reading a Parquet file into narrow columns, binary search by key, conditions, rows as plain
values. Not here: which files there are (`published_evidence`) and what a page is
(`published_pages`).

Text is held as codes into its sorted distinct words and instants as microseconds, so that order by
code is order by word, and a table of 200,000 forecasts fits into about 14 megabytes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from serving.contract.prediction_log import Kind
from serving.domain_errors import SnapshotRefusedError

Value = str | int | float | bool | None
"""A value as JSON has it; instants are text after ISO 8601 in UTC, with the ending `Z`."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SECOND_TICKS: Final = 1_000_000
_NO_WORD: Final = -1

Array = npt.NDArray[Any]


def ticks_of(instant: datetime) -> int:
    """Microseconds since 1970 of an aware instant."""
    return (instant - _EPOCH) // _MICROSECOND


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    kind: Kind
    data: Array
    """Shape (rows,): codes of `words` (-1 is null), microseconds since 1970, or the values."""
    words: tuple[str, ...] = ()
    """Distinct texts, ascending."""

    def place(self, value: str | int) -> float:
        """Where a value is in the order of `data`: itself, or between two where it is unknown."""
        if not isinstance(value, str):
            return value
        code = bisect_left(self.words, value)
        return code if code < len(self.words) and self.words[code] == value else code - 0.5

    def values(self, rows: Array) -> list[Value]:
        """The values of rows, as JSON has them; a number that is not finite is null."""
        data = self.data[rows]
        if self.kind is Kind.TEXT:
            return [None if code == _NO_WORD else self.words[code] for code in data.tolist()]
        if self.kind is Kind.INSTANT:
            instants = data.astype("datetime64[us]")
            if not (data % _SECOND_TICKS).any():
                instants = instants.astype("datetime64[s]")
            return [f"{text}Z" for text in np.datetime_as_string(instants).tolist()]
        if self.kind is Kind.NUMBER:
            finite = np.isfinite(data)
            if not finite.all():
                return [v if ok else None for v, ok in zip(data.tolist(), finite, strict=True)]
        found: list[Value] = data.tolist()
        return found

    def key(self, row: int) -> str | int:
        """The value of a row as a part of a key: a word, or a whole number."""
        raw = int(self.data[row])
        return self.words[raw] if self.kind is Kind.TEXT else raw


@dataclass(frozen=True, slots=True)
class SortedTable:
    """Rows in the order of their key, which is unique."""

    columns: Mapping[str, Column]
    key: tuple[str, ...]
    rows: int

    @property
    def size_bytes(self) -> int:
        """Memory of the arrays; the words come on top and are few."""
        return sum(column.data.nbytes for column in self.columns.values())

    def span(self, prefix: Sequence[str | int]) -> slice:
        """The rows whose key begins with these values; empty, at its place, where none does."""
        low, high = 0, self.rows
        for name, value in zip(self.key, prefix, strict=False):
            column = self.columns[name]
            part, place = column.data[low:high], column.place(value)
            low, high = (
                low + int(np.searchsorted(part, place, side="left")),
                low + int(np.searchsorted(part, place, side="right")),
            )
        return slice(low, high)

    def key_at(self, row: int) -> tuple[str | int, ...]:
        """The key of a row."""
        return tuple(self.columns[name].key(row) for name in self.key)

    def among(
        self,
        equal: Mapping[str, str | int | bool],
        *,
        instant: str,
        since: datetime | None = None,
        before: datetime | None = None,
        start: int = 0,
    ) -> Array:
        """Positions of the rows from `start` on that meet every condition, ascending.

        Args:
            equal: column -> the value it has.
            instant: the column that lies in [since, before).
            since: first instant; None is the beginning.
            before: the instant to stop before; None is the end.
            start: position of the first row to look at.
        """
        part = slice(start, self.rows)
        if self.key[0] in equal:
            found = self.span((equal[self.key[0]],))
            part = slice(max(start, found.start), max(start, found.stop))
        keep = np.ones(max(part.stop - part.start, 0), dtype=np.bool_)
        for name, value in equal.items():
            keep &= self.columns[name].data[part] == self.columns[name].place(value)
        times = self.columns[instant].data[part]
        if since is not None:
            keep &= times >= ticks_of(since)
        if before is not None:
            keep &= times < ticks_of(before)
        return np.flatnonzero(keep) + part.start

    def records(self, rows: Array, names: Sequence[str]) -> list[dict[str, Value]]:
        """Rows as dictionaries with these columns."""
        columns = [self.columns[name].values(rows) for name in names]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def read_sorted(
    file: str,
    content: bytes,
    *,
    columns: Mapping[str, Kind],
    key: tuple[str, ...],
    optional: Mapping[str, Kind] | None = None,
    max_rows: int,
) -> SortedTable:
    """Read a Parquet file; columns that are not named are left out.

    Args:
        file: its name, for messages.
        content: its bytes.
        columns: name -> kind of the columns that it must have.
        key: the columns that identify a row, and the order of the rows.
        optional: columns that it may have.
        max_rows: as many rows as the contract allows.

    Raises:
        SnapshotRefusedError: it is no Parquet, has too many rows, lacks a column, a column is of
            another type, or a key is null or occurs twice.
    """
    table = _read(file, content, {**columns, **(optional or {})}, max_rows)
    absent = [name for name in columns if name not in table.column_names]
    if absent:
        raise SnapshotRefusedError(
            f"{file} has no column {', '.join(absent)}; the contract needs {', '.join(columns)}; "
            "publish again"
        )
    kinds = {n: k for n, k in {**columns, **(optional or {})}.items() if n in table.column_names}
    held = {name: _column(file, table[name], name, kind) for name, kind in kinds.items()}
    for name in key:
        if held[name].kind is Kind.TEXT and (held[name].data == _NO_WORD).any():
            raise SnapshotRefusedError(
                f"{file} has a row without {name}, which is part of its key; publish again"
            )
    order = np.lexsort([held[name].data for name in reversed(key)])
    ordered = {n: Column(c.kind, c.data[order], c.words) for n, c in held.items()}
    _refuse_repeated(file, ordered, key)
    return SortedTable(ordered, key, table.num_rows)


def _read(file: str, content: bytes, wanted: Mapping[str, Kind], max_rows: int) -> Any:  # noqa: ANN401 - pyarrow has no types
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = [name for name, kind in wanted.items() if kind is Kind.TEXT]
    try:
        opened = pq.ParquetFile(pa.BufferReader(content), read_dictionary=texts)
        if opened.metadata.num_rows > max_rows:
            raise SnapshotRefusedError(
                f"{file} has {opened.metadata.num_rows} rows, {max_rows} are allowed; publish with "
                "the pipeline of this release"
            )
        present = [name for name in opened.schema_arrow.names if name in wanted]
        return opened.read(columns=present)
    except (pa.ArrowException, OSError) as error:
        raise SnapshotRefusedError(f"{file} is not readable as Parquet; publish again") from error


def _column(file: str, given: Any, name: str, kind: Kind) -> Column:  # noqa: ANN401 - pyarrow has no types
    """One column in its narrowest form."""
    import pyarrow as pa

    try:
        if kind is Kind.TEXT:
            return _words(given)
        if kind is Kind.INSTANT:
            if not pa.types.is_timestamp(given.type) or given.type.tz is None:
                raise pa.ArrowTypeError("an instant has a zone")
            ticks = given.cast(pa.timestamp("us", "UTC")).cast(pa.int64())
            return Column(kind, _filled(ticks))
        if kind is Kind.NUMBER:
            numbers = given.cast(pa.float64()).to_numpy()
            return Column(kind, np.asarray(numbers, dtype=np.float64))
        if kind is Kind.WHOLE:
            return Column(kind, _narrow(_filled(given.cast(pa.int64()))))
        return Column(kind, _filled(given.cast(pa.bool_())))
    except pa.ArrowException as error:
        raise SnapshotRefusedError(
            f"{file}: column {name} is {given.type} with {given.null_count} nulls; it must be "
            f"of kind {kind.value}, and only numbers and text may be null; publish again"
        ) from error


def _words(given: Any) -> Column:  # noqa: ANN401 - pyarrow has no types
    import pyarrow as pa

    coded = given if pa.types.is_dictionary(given.type) else given.dictionary_encode()
    chunk = coded.unify_dictionaries().combine_chunks()
    words = chunk.dictionary.cast(pa.string()).to_pylist()
    codes = np.asarray(chunk.indices.fill_null(0).to_numpy(zero_copy_only=False), dtype=np.int64)
    used = np.unique(codes[~np.asarray(chunk.is_null())]).tolist()
    ordered = sorted({words[code] for code in used})
    place = {word: position for position, word in enumerate(ordered)}
    ranks = np.array([place.get(word, _NO_WORD) for word in words] or [_NO_WORD], dtype=np.int64)
    data = np.where(np.asarray(chunk.is_null()), _NO_WORD, ranks[codes])
    return Column(Kind.TEXT, _narrow(data), tuple(ordered))


def _filled(given: Any) -> Array:  # noqa: ANN401 - pyarrow has no types
    import pyarrow as pa

    if given.null_count:
        raise pa.ArrowInvalid("a null")
    return np.asarray(given.to_numpy())


def _narrow(whole: Array) -> Array:
    """Whole numbers in the smallest signed type that holds them."""
    if not len(whole):
        return whole.astype(np.int8)
    low, high = int(whole.min()), int(whole.max())
    for kind in (np.int8, np.int16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return whole.astype(kind)
    return whole


def _refuse_repeated(file: str, columns: Mapping[str, Column], key: tuple[str, ...]) -> None:
    same = np.ones(max(len(columns[key[0]].data) - 1, 0), dtype=np.bool_)
    for name in key:
        same &= columns[name].data[1:] == columns[name].data[:-1]
    if same.any():
        row = int(np.argmax(same))
        shown = ", ".join(str(columns[name].values(np.array([row]))[0]) for name in key)
        raise SnapshotRefusedError(
            f"{file} has ({', '.join(key)}) = ({shown}) twice; its grain is one row each; "
            "publish again"
        )
