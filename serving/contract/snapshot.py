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
- `forecasts.parquet`, grain (version, series, origin, step): `series, origin, last_observed,
  valid_time, step, point, lower, upper, nominal_coverage, candidate, recipe_id, version,
  data_version, run_id, synthetic, problem`, and `champion`: whether the version held the alias at
  the origin. Rows of champions of their time and of each candidate's newest version, of the newest
  whole origins of 90 days, at most `FORECAST_ROWS`. A file without `champion` is of an earlier
  pipeline, unbounded, and is not read.
- `observed.parquet`, grain (series, valid_time): `series, valid_time`, then the target's values
  (`open, high, low, close, volume` of candles, `value` of values) as they are known now: of the
  newest 90 days, at most `OBSERVED_ROWS`, whole valid times, the newest.
- `live_scores.parquet`, grain (day, version, role, step): `day` (start of the UTC day of the valid
  times), `version, candidate, role` (`champion` or `challenger` at the origin), `step, n`
  (forecasts that came true), `mae, mse, coverage`, and `mae_last_value, mse_last_value` of the last
  value on the same rows. Target units, their square, coverage in [0, 1]. The newest whole days, at
  most `LIVE_SCORE_ROWS`.
- `leaderboard.json`, `verdict.json`: the evaluation's table (an array, best first) and the gate's
  newest verdict, as written by the pipeline.
- `verdicts.json`: the gate's verdicts with reasons and figures, an array of objects each with
  `as_of`, newest last, at most `MAX_VERDICTS`.
- `drift.json` (`contract.evidence.Drift`): the newest report by column, and at most
  `MAX_DRIFT_REPORTS` earlier ones in short.
- `replays.json`: an array of `contract.evidence.ReplayLedger`, the `MAX_REPLAYS` newest, each with
  its newest `MAX_REPLAY_STEPS` steps.
- `answers.json`: what the service answered against what came true, by variant: an array of flat
  objects, at most `MAX_ANSWER_VARIANTS`.
- `monitoring.json`: how the pipeline itself is doing (`contract.monitoring`).

Only `inputs.parquet` and `calibration.parquet` are needed: any other file is absent where there is
nothing to tell yet, and from snapshots of earlier pipelines. No JSON file holds NaN: a figure that
is no number is null.
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
LIVE_SCORES = "live_scores.parquet"
VERDICTS = "verdicts.json"
DRIFT = "drift.json"
REPLAYS = "replays.json"
ANSWERS = "answers.json"
EVIDENCE_FILES: tuple[str, ...] = (
    FORECASTS,
    OBSERVED,
    LIVE_SCORES,
    LEADERBOARD,
    VERDICTS,
    DRIFT,
    REPLAYS,
    ANSWERS,
)
"""Files that answer questions about the past; no forecast rests on them."""

FILES: tuple[str, ...] = (INPUTS, CALIBRATION, VERDICT, MONITORING, *EVIDENCE_FILES)

FORECAST_ROWS = 200_000
"""Rows of `forecasts.parquet`; the service holds them in about 70 bytes each."""
OBSERVED_ROWS = 200_000
"""Rows of `observed.parquet`."""
LIVE_SCORE_ROWS = 50_000
"""Rows of `live_scores.parquet`."""
MAX_VERDICTS = 200
MAX_DRIFT_REPORTS = 200
MAX_REPLAYS = 20
MAX_REPLAY_STEPS = 2_000
MAX_ANSWER_VARIANTS = 1_000

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
