"""Published snapshots: what the pipeline hands to the service, besides models.

Layout below the storage root: `published/<problem>/<snapshot id>/` holds the Parquet files named
in `FILES` and, written last, `manifest.json`; `published/<problem>/latest.json` names the newest
complete snapshot (`{"snapshot_id": ..., "manifest_sha256": ...}`), replaced atomically.
A snapshot id sorts by time: `<as_of as YYYYMMDDTHHMMSSZ>-<8 hex digits>`.

Columns (all instants UTC, microseconds):

- `inputs.parquet`, grain (series, origin, step): `series, segment, origin, last_observed,
  valid_time, step, last_value`, then one float column per feature of any published model. Missing
  is null. `segment` names the whole that a series is a share of, the series itself where the
  target is no share; the newest origin of a segment holds every one of its series.
- `calibration.parquet`, grain (recipe_id, series, origin, step): `recipe_id, series, origin,
  step`, then calibration inputs by recipe, for the rows of `inputs`: `band_quantile`, or
  `band_lower` and `band_upper`. Null where a recipe has no such input; a column that no recipe has
  may be absent.
- `forecasts.parquet`, grain (version, series, origin, step): `problem, series, origin,
  last_observed, valid_time, step, point, lower, upper, nominal_coverage, candidate, recipe_id,
  version, data_version, run_id, synthetic`.
- `observed.parquet`, grain (series, valid_time): `series, valid_time`, then the target's values
  (`open, high, low, close, volume` of candles, `value` of values): for charts, newest last.
- `leaderboard.json`, `verdict.json`: the evaluation's table and the gate's verdict, as written by
  the pipeline.
- `monitoring.json`: how the pipeline itself is doing (`contract.monitoring`); absent from older
  snapshots.
"""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from serving.contract.model_card import CONTRACT_VERSION

PUBLISHED = "published"
LATEST = "latest.json"
MANIFEST = "manifest.json"
INPUTS = "inputs.parquet"
CALIBRATION = "calibration.parquet"
FORECASTS = "forecasts.parquet"
OBSERVED = "observed.parquet"
LEADERBOARD = "leaderboard.json"
VERDICT = "verdict.json"
MONITORING = "monitoring.json"
FILES: tuple[str, ...] = (
    INPUTS,
    CALIBRATION,
    FORECASTS,
    OBSERVED,
    LEADERBOARD,
    VERDICT,
    MONITORING,
)

BAND_QUANTILE = "band_quantile"
"""Calibration input: the trailing conformal quantile of scaled errors, half a band's width."""

BAND_LOWER = "band_lower"
BAND_UPPER = "band_upper"
"""Calibration inputs of a share: offsets of the band's ends to the share's angle, in radians,
`band_lower` <= 0 <= `band_upper`."""

CALIBRATION_INPUTS: tuple[str, ...] = (BAND_QUANTILE, BAND_LOWER, BAND_UPPER)
"""The calibration inputs a snapshot may hold."""


def problem_prefix(problem: str) -> str:
    """Folder of a problem's snapshots below the storage root."""
    return f"{PUBLISHED}/{problem}"


class FileEntry(BaseModel):
    """One file of a snapshot."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str
    size_bytes: int
    rows: int | None = Field(default=None, description="None for JSON files")


class Manifest(BaseModel):
    """`manifest.json`: written last; its presence makes the snapshot complete."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    contract_version: int = CONTRACT_VERSION
    snapshot_id: str
    problem: str
    title: str
    unit: str
    as_of: AwareDatetime
    created_at: AwareDatetime
    series_keys: tuple[str, ...] = Field(
        default=(), description="names of the labels that `/` joins to a series' name"
    )
    frequency_seconds: float
    horizon: int
    stale_after_seconds: float = Field(description="older than this, answers say `stale`")
    synthetic: bool
    data_mode: str
    data_version: str
    dagster_run_id: str
    registered_model: str = Field(description="name in the MLflow registry")
    files: dict[str, FileEntry]
