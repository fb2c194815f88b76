"""Evidence of a published world that is small enough to be checked by hand.

Two series over four hours; version 1 (`ridge`) is champion until 11:00, version 2 (`forest`) from
then on. Forecasts are of the next hour.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

from mlops_assets_tests.serving.published import AS_OF, HOUR, ORIGINS, Row, parquet
from serving.contract.snapshot import (
    ANSWERS,
    DRIFT,
    FORECASTS,
    LEADERBOARD,
    LIVE_SCORES,
    OBSERVED,
    REPLAYS,
    VERDICTS,
)

SERIES = ("alt", "btc")
CLOSE = {"alt": (10.0, 11.0, 12.0, 13.0), "btc": (100.0, 110.0, 120.0, 130.0)}
"""Series -> the close that is valid at each of `ORIGINS`."""
DAY = timedelta(days=1)


def instant(moment: datetime) -> str:
    """An instant as the service writes it."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def candles() -> list[Row]:
    """Rows of `observed.parquet`: at each of `ORIGINS`, the high one above the close."""
    return [
        {
            "series": series,
            "valid_time": origin,
            "open": close,
            "high": close + 1,
            "low": close - 1,
            "close": close,
            "volume": None if series == "alt" else 5.0,
        }
        for series in SERIES
        for origin, close in zip(ORIGINS, CLOSE[series], strict=True)
    ]


def forecast(version: str, series: str, origin: datetime, point: float) -> Row:
    """A row of `forecasts.parquet`."""
    candidate = {"1": "ridge", "2": "forest"}[version]
    changed = ORIGINS[2]
    return {
        "problem": "bitcoin_close",
        "series": series,
        "origin": origin,
        "last_observed": origin,
        "valid_time": origin + HOUR,
        "step": 1,
        "point": point,
        "lower": point - 2,
        "upper": point + 2,
        "nominal_coverage": 0.9,
        "candidate": candidate,
        "recipe_id": f"recipe-{candidate}",
        "version": version,
        "data_version": "data",
        "run_id": f"run-{version}",
        "synthetic": True,
        "champion": (version == "2") == (origin >= changed),
    }


def forecasts() -> list[Row]:
    """Both versions from every origin: version 1 says the last close, version 2 one more."""
    return [
        forecast(version, series, origin, close + (version == "2"))
        for version in ("2", "1")
        for series in SERIES
        for origin, close in zip(ORIGINS, CLOSE[series], strict=True)
    ]


def live_score(day: int, version: str, **changes: object) -> Row:
    """A row of `live_scores.parquet`, so many days before the snapshot."""
    row: Row = {
        "day": datetime(2026, 3, 2, tzinfo=AS_OF.tzinfo) - day * DAY,
        "version": version,
        "candidate": {"1": "ridge", "2": "forest"}[version],
        "role": "champion",
        "step": 1,
        "n": 24,
        "mae": 2.5,
        "mse": 9.0,
        "coverage": 0.875,
        "mae_last_value": 3.0,
        "mse_last_value": 10.0,
    }
    return row | changes


def verdict(hours: int, decision: str, candidate: str) -> Row:
    """An entry of `verdicts.json`, so many hours before the snapshot."""
    return {
        "as_of": instant(AS_OF - hours * HOUR),
        "decision": decision,
        "candidate": candidate,
        "version": "1",
        "previous": None,
        "reasons": [f"{candidate} because"],
        "alpha": 0.05,
    }


VERDICT_HISTORY = [
    verdict(3, "promote", "ridge"),
    verdict(1, "keep", "ridge"),
    verdict(1, "promote", "forest"),
]
"""Newest last; two share an instant."""

BOARD: list[Row] = [
    {
        "candidate": "forest",
        "baseline": False,
        "mae": 1.5,
        "rmse": 2.5,
        "coverage": 0.9,
        "n": 8,
        "skill": 0.25,
        "p_value": 0.01,
        "r2_return": None,
    },
    {
        "candidate": "last_value",
        "baseline": True,
        "mae": 2.0,
        "rmse": 3.0,
        "coverage": 0.9,
        "n": 8,
        "skill": 0.0,
        "p_value": 1.0,
        "r2_return": None,
    },
]

DRIFT_REPORT: Row = {
    "newest": {
        "as_of": instant(AS_OF),
        "share_drifted": 0.5,
        "concept_drift": False,
        "columns": [
            {
                "feature": "volume",
                "statistic": 0.9,
                "threshold": 0.5,
                "drifted": True,
                "reference_rows": 1000,
                "current_rows": 100,
            },
            {
                "feature": "return",
                "statistic": None,
                "threshold": None,
                "drifted": False,
                "reference_rows": 1000,
                "current_rows": 100,
            },
        ],
    },
    "history": [
        {"as_of": instant(AS_OF - DAY), "share_drifted": 0.0, "concept_drift": True},
        {"as_of": instant(AS_OF), "share_drifted": 0.5, "concept_drift": False},
    ],
}

REPLAY: Row = {
    "replay_id": "spring",
    "start": instant(AS_OF - 7 * DAY),
    "end": instant(AS_OF),
    "step_seconds": 604800.0,
    "steps": 2,
    "rows": [
        {
            "origin": instant(AS_OF - days * DAY),
            "triggers": ["schedule"],
            "decision": "keep",
            "candidate": "ridge",
            "version": "1",
            "control_alarm": False,
            "drift_alarm": None,
            "seconds": 2.5,
        }
        for days in (7, 0)
    ],
}

VARIANT: Row = {
    "alias": "champion",
    "version": "2",
    "candidate": "forest",
    "returned": True,
    "answers": 10,
    "n": 8,
    "mae": 1.5,
    "rmse": 2.5,
    "coverage": 0.875,
    "common": 0,
    "loss_difference": None,
    "better_e_value": None,
    "worse_e_value": None,
    "verdict": "reference",
}


def past(folder: Path) -> dict[str, bytes]:
    """Every file of evidence by name; `folder` is written to and left as it was."""
    scores = [live_score(1, "1"), live_score(0, "2"), live_score(0, "1", role="challenger")]
    content: dict[str, object] = {
        LEADERBOARD: BOARD,
        VERDICTS: VERDICT_HISTORY,
        DRIFT: DRIFT_REPORT,
        REPLAYS: [REPLAY],
        ANSWERS: [VARIANT],
    }
    return {
        OBSERVED: parquet(candles(), folder),
        FORECASTS: parquet(forecasts(), folder),
        LIVE_SCORES: parquet(scores, folder),
        **{name: json.dumps(value).encode() for name, value in content.items()},
    }
