"""The content of one published snapshot, read from its files and held as plain arrays.

Here: what a snapshot holds and how its Parquet and JSON files are parsed. Not here: how the newest
one is found and verified (`snapshots`), which model it feeds (`deployments`), the files' meaning
(`contract.snapshot`). Parsing happens in the background; requests see numpy arrays and
dictionaries only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from serving.contract.model_card import CONTRACT_VERSION
from serving.contract.monitoring import Monitoring
from serving.contract.snapshot import (
    CALIBRATION,
    INPUTS,
    MANIFEST,
    MONITORING,
    VERDICT,
    Manifest,
)
from serving.contract.steps import FloatArray, IntArray
from serving.domain_errors import SnapshotRefusedError
from serving.published_evidence import Evidence

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INPUT_KEYS = ("series", "origin", "step")
_INPUT_COLUMNS = (
    "series",
    "segment",
    "origin",
    "last_observed",
    "valid_time",
    "step",
    "last_value",
)
_CALIBRATION_KEYS = ("recipe_id", *_INPUT_KEYS)

BoolArray = npt.NDArray[np.bool_]
Calibration = Mapping[str, Mapping[str, FloatArray]]
"""Recipe id -> calibration feature -> shape (rows of the inputs,), NaN where none is published."""


@dataclass(frozen=True, slots=True)
class Segments:
    """Which rows of `inputs.parquet` add up to a whole: those of one (segment, origin, step)."""

    code: IntArray
    """Shape (rows,): one number for the rows of one whole."""
    complete: BoolArray
    """Shape (rows,): whether each series of the row's segment has a row in its whole."""
    siblings: Mapping[str, tuple[str, ...]]
    """Series -> the series of its segment, sorted, itself among them."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Rows of `inputs.parquet`, sorted by (series, origin, step)."""

    features: Mapping[str, int]
    """Feature name -> column of `values`."""
    values: FloatArray
    """Shape (rows, features); a missing value is NaN."""
    last_value: FloatArray
    """Shape (rows,), target units, always finite."""
    origin: tuple[datetime, ...]
    last_observed: tuple[datetime, ...]
    valid_time: tuple[datetime, ...]
    step: tuple[int, ...]
    rows: Mapping[str, dict[datetime, slice]]
    """Series -> origin -> its rows, one for each step; origins ascend."""
    segments: Segments

    def at(self, series: str, origin: datetime) -> IntArray:
        """The rows of a series at one of its origins, one for each step, ascending."""
        found = self.rows[series][origin]
        return np.arange(found.start, found.stop)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One complete published snapshot."""

    manifest: Manifest
    inputs: Inputs
    calibration: Calibration
    verdict: Mapping[str, Any] | None
    monitoring: Monitoring | None = None
    """None in snapshots from before there was such a file."""
    evidence: Evidence = field(default_factory=Evidence)
    """Values, forecasts and scores of the past; forecasts do without."""

    @property
    def series(self) -> tuple[str, ...]:
        """The published series, sorted."""
        return tuple(self.inputs.rows)

    def newest_origin(self, series: str) -> datetime:
        """The latest origin of a series."""
        return next(reversed(self.inputs.rows[series]))

    def is_stale(self, now: datetime) -> bool:
        """Whether the snapshot is older than its manifest allows."""
        return (now - self.manifest.as_of).total_seconds() > self.manifest.stale_after_seconds


def parse_inputs(content: bytes) -> Inputs:
    """Read `inputs.parquet`.

    Raises:
        SnapshotRefusedError: a column is absent or of the wrong type, a key occurs twice, a last
            value is missing, or a series is of two segments.
    """
    table = _read_table(INPUTS, content, required=_INPUT_COLUMNS)
    table = table.sort_by([(key, "ascending") for key in _INPUT_KEYS])
    names = [name for name in table.column_names if name not in _INPUT_COLUMNS]
    values = np.empty((table.num_rows, len(names)))
    for position, name in enumerate(names):
        values[:, position] = _numbers(INPUTS, table, name)
    last_value = _numbers(INPUTS, table, "last_value")
    if not np.isfinite(last_value).all():
        row = int(np.argmin(np.isfinite(last_value)))
        raise SnapshotRefusedError(
            f"{INPUTS} has no last_value in row {row}; every row needs the newest known target "
            "value; publish again without that origin"
        )
    series = table["series"].to_pylist()
    origins = _instants(INPUTS, table, "origin")
    steps = [int(step) for step in table["step"].to_pylist()]
    return Inputs(
        features={name: position for position, name in enumerate(names)},
        values=values,
        last_value=last_value,
        origin=tuple(origins),
        last_observed=tuple(_instants(INPUTS, table, "last_observed")),
        valid_time=tuple(_instants(INPUTS, table, "valid_time")),
        step=tuple(steps),
        rows=_group(series, origins, steps),
        segments=_segments(series, table["segment"].to_pylist(), origins, steps),
    )


def _group(
    series: list[str], origins: list[datetime], steps: list[int]
) -> dict[str, dict[datetime, slice]]:
    """The rows of each (series, origin); the arguments are sorted by series, origin, step."""
    rows: dict[str, dict[datetime, slice]] = {}
    previous: tuple[str, datetime, int] | None = None
    for position, key in enumerate(zip(series, origins, steps, strict=True)):
        if key == previous:
            raise SnapshotRefusedError(
                f"{INPUTS} has (series, origin, step) = ({key[0]}, {key[1].isoformat()}, {key[2]}) "
                "twice; its grain is one row each; publish again"
            )
        previous = key
        by_origin = rows.setdefault(key[0], {})
        start = by_origin[key[1]].start if key[1] in by_origin else position
        by_origin[key[1]] = slice(start, position + 1)
    if not rows:
        raise SnapshotRefusedError(f"{INPUTS} has no row; at least one origin is needed; publish")
    return rows


def _segments(
    series: list[str], segments: list[str | None], origins: list[datetime], steps: list[int]
) -> Segments:
    """The wholes that rows add up to; a series without a segment is a whole of its own."""
    segment_of: dict[str, str] = {}
    members: dict[str, list[str]] = {}
    wholes: dict[tuple[str, datetime, int], int] = {}
    code = np.empty(len(series), dtype=np.int64)
    for row, (name, given) in enumerate(zip(series, segments, strict=True)):
        segment = name if given is None else given
        if segment_of.setdefault(name, segment) != segment:
            raise SnapshotRefusedError(
                f"{INPUTS} has series {name} in segments {segment_of[name]} and {segment}; it is a "
                "share of one; publish again"
            )
        if not (named := members.setdefault(segment, [])) or named[-1] != name:
            named.append(name)
        code[row] = wholes.setdefault((segment, origins[row], steps[row]), len(wholes))
    size = np.array([len(members[segment_of[name]]) for name in series])
    return Segments(
        code=code,
        complete=np.bincount(code)[code] == size,
        siblings={name: tuple(members[segment]) for name, segment in segment_of.items()},
    )


def parse_calibration(content: bytes, inputs: Inputs) -> Calibration:
    """Read `calibration.parquet` for the rows of `inputs`; rows for others are left out.

    Raises:
        SnapshotRefusedError: a key column is absent or of the wrong type, or a key occurs twice.
    """
    table = _read_table(CALIBRATION, content, required=_CALIBRATION_KEYS)
    row_of = {
        (series, inputs.origin[row], inputs.step[row]): row
        for series, by_origin in inputs.rows.items()
        for found in by_origin.values()
        for row in range(found.start, found.stop)
    }
    keys = zip(
        table["series"].to_pylist(),
        _instants(CALIBRATION, table, "origin"),
        table["step"].to_pylist(),
        strict=True,
    )
    row = np.array([row_of.get(key, -1) for key in keys], dtype=np.int64)
    recipe = np.array(table["recipe_id"].to_pylist(), dtype=np.str_)
    names = [name for name in table.column_names if name not in _CALIBRATION_KEYS]
    columns = {name: _numbers(CALIBRATION, table, name) for name in names}
    return {
        str(recipe_id): _aligned(
            str(recipe_id), (recipe == recipe_id) & (row >= 0), row, columns, len(inputs.step)
        )
        for recipe_id in np.unique(recipe)
    }


def _aligned(
    recipe_id: str, ours: BoolArray, row: IntArray, columns: Mapping[str, FloatArray], rows: int
) -> dict[str, FloatArray]:
    """One recipe's calibration in the order of the inputs."""
    found = row[ours]
    if len(np.unique(found)) != len(found):
        raise SnapshotRefusedError(
            f"{CALIBRATION} has a (series, origin, step) of recipe {recipe_id} twice; its grain is "
            "one row each; publish again"
        )
    aligned = {}
    for name, values in columns.items():
        aligned[name] = np.full(rows, np.nan)
        aligned[name][found] = values[ours]
    return aligned


def _read_table(file: str, content: bytes, *, required: tuple[str, ...]) -> Any:  # noqa: ANN401 - pyarrow has no types
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise SnapshotRefusedError(f"{file} is not readable as Parquet; publish again") from error
    absent = [name for name in required if name not in table.column_names]
    if absent:
        raise SnapshotRefusedError(
            f"{file} has no column {', '.join(absent)}; contract version {CONTRACT_VERSION} needs "
            f"{', '.join(required)}; publish with the pipeline of that version"
        )
    return table


def _numbers(file: str, table: Any, name: str) -> FloatArray:  # noqa: ANN401 - pyarrow has no types
    import pyarrow as pa

    try:
        column = table[name].cast(pa.float64())
    except pa.ArrowException as error:
        raise SnapshotRefusedError(
            f"{file}: column {name} is {table[name].type}; it must be a number; publish again"
        ) from error
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def _instants(file: str, table: Any, name: str) -> list[datetime]:  # noqa: ANN401 - pyarrow has no types
    import pyarrow as pa

    kind = table[name].type
    if not pa.types.is_timestamp(kind) or kind.tz is None or table[name].null_count:
        raise SnapshotRefusedError(
            f"{file}: column {name} is {kind} with {table[name].null_count} nulls; it must hold "
            "instants with a zone; publish again"
        )
    ticks = table[name].cast(pa.timestamp("us", kind.tz)).cast(pa.int64()).to_pylist()
    return [_EPOCH + timedelta(microseconds=tick) for tick in ticks]


def parse_manifest(content: bytes, *, problem: str) -> Manifest:
    """Read `manifest.json`.

    Raises:
        SnapshotRefusedError: it is not readable, of another contract version or another problem.
    """
    try:
        version = json.loads(content)["contract_version"]
        if version != CONTRACT_VERSION:
            raise SnapshotRefusedError(
                f"{MANIFEST} has contract version {version!r}, this service reads "
                f"{CONTRACT_VERSION}; use a service and a pipeline of the same release"
            )
        manifest = Manifest.model_validate_json(content)
    except (ValueError, KeyError, TypeError) as error:
        raise SnapshotRefusedError(
            f"{MANIFEST} of {problem} is not readable as contract version {CONTRACT_VERSION}; "
            "publish again"
        ) from error
    if manifest.problem != problem:
        raise SnapshotRefusedError(
            f"{MANIFEST} is of problem {manifest.problem}, found in the folder of {problem}; "
            "publish each problem below its own name"
        )
    return manifest


def parse_verdict(content: bytes) -> Mapping[str, Any] | None:
    """Read `verdict.json`; None when it holds no object, as before the first verdict.

    Raises:
        SnapshotRefusedError: it is no JSON.
    """
    try:
        verdict = json.loads(content)
    except ValueError as error:
        raise SnapshotRefusedError(f"{VERDICT} is not readable as JSON; publish again") from error
    return verdict if isinstance(verdict, dict) else None


def parse_monitoring(content: bytes) -> Monitoring:
    """Read `monitoring.json`.

    Raises:
        SnapshotRefusedError: it has not the contract's form.
    """
    try:
        return Monitoring.model_validate_json(content)
    except ValueError as error:
        raise SnapshotRefusedError(
            f"{MONITORING} is not readable as contract version {CONTRACT_VERSION}; publish again"
        ) from error
