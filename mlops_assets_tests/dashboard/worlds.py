"""A published world for the pages: two problems whose every figure can be worked out by hand.

Of the market, 96 hours. `last_value` (version 1) says the last close: it is a copier. `ridge`
(version 2) says the last close and 20 more, `forest` (version 3) what comes true and 5 more, until
`SWITCH` the champion is `ridge`, then `forest`. Version 4 has no published forecasts; it is a model
that answers. Of shares, the world of `published_shares` with ten observed days.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from mlops_assets_tests.serving.published import (
    AS_OF,
    HOUR,
    RECIPE,
    Row,
    World,
    model_files,
    parquet,
)
from mlops_assets_tests.serving.published_past import instant, live_score
from mlops_assets_tests.serving.published_shares import (
    DAY,
    LEVEL,
    SHARES_MODEL_NAME,
    publish_shares,
    share_files,
)
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

HOURS: Final = 96
VALID: Final = tuple(AS_OF - hours * HOUR for hours in reversed(range(HOURS)))
"""Valid times of the bars, ascending; each but the first is an origin of the bar after it."""

SWITCH: Final = AS_OF - 24 * HOUR
CANDIDATES: Final = {"1": "last_value", "2": "ridge", "3": "forest"}
DAYS: Final = 10


def close(valid_time: datetime) -> float:
    """The close that is valid then: a saw of 13 teeth on a slow rise."""
    hours = round((valid_time - VALID[0]) / HOUR)
    return 60_000.0 + 10 * hours + 40 * (hours * 5 % 13)


def candles() -> list[Row]:
    """Each bar opens at the close before it."""
    return [
        {
            "series": "btc",
            "valid_time": at,
            "open": close(at - HOUR),
            "high": max(close(at), close(at - HOUR)) + 30,
            "low": min(close(at), close(at - HOUR)) - 30,
            "close": close(at),
            "volume": 5.0 + number % 4,
        }
        for number, at in enumerate(VALID)
    ]


def said(version: str, origin: datetime) -> float:
    """What a version says at an origin of the close of the bar that has just begun."""
    return {
        "1": close(origin),
        "2": close(origin) + 20,
        "3": close(origin + HOUR) + 5,
    }[version]


def market_forecasts() -> list[Row]:
    """Every version's forecast from every valid time."""
    return [
        {
            "series": "btc",
            "origin": origin,
            "last_observed": origin,
            "valid_time": origin + HOUR,
            "step": 1,
            "point": said(version, origin),
            "lower": said(version, origin) - 200,
            "upper": said(version, origin) + 200,
            "nominal_coverage": 0.9,
            "candidate": candidate,
            "recipe_id": f"recipe-{candidate}",
            "version": version,
            "data_version": "data",
            "run_id": f"run-{version}",
            "champion": version == ("3" if origin >= SWITCH else "2"),
        }
        for version, candidate in CANDIDATES.items()
        for origin in VALID
    ]


def market_inputs() -> list[Row]:
    """Inputs of the models that answer, from every valid time."""
    return [
        {
            "series": "btc",
            "segment": "btc",
            "origin": origin,
            "last_observed": origin,
            "valid_time": origin + HOUR,
            "step": 1,
            "last_value": close(origin),
            "ret": 0.01,
            "vol": 0.002,
        }
        for origin in VALID
    ]


def market_calibration() -> list[Row]:
    """The band's width from every valid time."""
    return [
        {"recipe_id": RECIPE, "series": "btc", "origin": origin, "step": 1, "band_quantile": 1.5}
        for origin in VALID
    ]


def _score(candidate: str, mae: float, skill: float | None, p_value: float | None) -> Row:
    return {
        "candidate": candidate,
        "baseline": candidate == "last_value",
        "mae": mae,
        "rmse": mae * 1.25,
        "coverage": 0.9,
        "n": 2016,
        "skill": skill,
        "p_value": p_value,
    }


BOARD: Final = [
    _score("forest", 275.7, 0.0035, 0.004),
    _score("ridge", 276.2, 0.0012, 0.21),
    _score("last_value", 276.7, None, None),
]


def _verdict(hours: int, decision: str, version: str, reason: str) -> Row:
    return {
        "as_of": instant(AS_OF - hours * HOUR),
        "decision": decision,
        "candidate": CANDIDATES[version],
        "version": version,
        "previous": None,
        "reasons": [reason],
    }


VERDICT_LIST: Final = [
    _verdict(96, "promote", "2", "ridge beats last_value with p = 0.012, below 0.05."),
    _verdict(60, "keep", "2", "forest is better than ridge only with p = 0.21."),
    _verdict(24, "promote", "3", "forest beats ridge with p = 0.004, and no guard is against it."),
]
"""Newest last."""

DRIFT_DOCUMENT: Final[dict[str, Any]] = {
    "newest": {
        "as_of": instant(AS_OF),
        "share_drifted": 0.5,
        "concept_drift": False,
        "columns": [
            {
                "feature": feature,
                "statistic": statistic,
                "threshold": None if statistic is None else 0.25,
                "drifted": None if statistic is None else statistic >= 0.25,
                "reference_rows": 8760,
                "current_rows": 168,
            }
            for feature, statistic in (("return_1h", 0.08), ("volume", 0.41), ("gold", None))
        ],
    },
    "history": [
        {
            "as_of": instant(AS_OF - days * DAY),
            "share_drifted": (days % 3) / 2 * 0.5,
            "concept_drift": False,
        }
        for days in reversed(range(DAYS))
    ],
}


def _live(mae: float, rmse: float) -> Row:
    return {
        "n": 168,
        "mae": mae,
        "rmse": rmse,
        "mae_last_value": 300.0,
        "rmse_last_value": 400.0,
        "coverage": 0.9,
    }


def _rule(name: str, promotions: int, churn: int, rmse: float) -> Row:
    counts = {"promotions": promotions, "churn": churn, "versions": churn + 1, "missing": 0}
    return {"rule": name, **counts, "live": _live(rmse * 0.75, rmse)}


LEDGER: Final[dict[str, Any]] = {
    "replay_id": "spring",
    "start": instant(AS_OF - 21 * DAY),
    "end": instant(AS_OF),
    "step_seconds": 604800.0,
    "steps": 4,
    "live": _live(299.4, 399.0),
    "rules": [
        _rule("gate", 1, 0, 399.0),
        _rule("lower", 3, 2, 400.4),
        _rule("newest", 4, 0, 403.2),
    ],
    "rows": [
        {
            "origin": instant(AS_OF - days * DAY),
            "triggers": ["schedule"],
            "decision": "promote" if days == 21 else "keep",
            "candidate": "ridge",
            "version": "1",
            "control_alarm": False,
            "drift_alarm": None,
            "seconds": 2.5,
            "reasons": ["ridge beats last_value."] if days == 21 else ["nobody beats ridge."],
            "live": None if days == 0 else _live(300.0 - days / 10, 400.0 - days),
        }
        for days in (21, 14, 7, 0)
    ],
}

VARIANTS: Final = [
    {
        "alias": alias,
        "version": version,
        "candidate": CANDIDATES[version],
        "returned": alias == "champion",
        "answers": 120,
        "n": 96,
        "mae": 290.0,
        "rmse": 380.0,
        "coverage": 0.9,
        "common": 96,
        "loss_difference": None,
        "better_e_value": None,
        "worse_e_value": None,
        "verdict": verdict,
    }
    for alias, version, verdict in (
        ("champion", "3", "reference"),
        ("challenger", "2", "undecided"),
    )
]


def market_files(folder: Path) -> dict[str, bytes]:
    """Every file of evidence of the market."""
    scores = [
        live_score(day, "1", mae=2.0 + day % 4 / 4, coverage=0.85 + day % 3 * 0.05)
        for day in range(DAYS)
    ]
    content: dict[str, object] = {
        LEADERBOARD: BOARD,
        VERDICTS: VERDICT_LIST,
        DRIFT: DRIFT_DOCUMENT,
        REPLAYS: [LEDGER],
        ANSWERS: VARIANTS,
    }
    return {
        OBSERVED: parquet(candles(), folder),
        FORECASTS: parquet(market_forecasts(), folder),
        LIVE_SCORES: parquet(scores, folder),
        **{name: json.dumps(value).encode() for name, value in content.items()},
    }


def observed_shares() -> list[Row]:
    """Ten days of every series; the shares of a segment add up to 100."""
    first = {"게토레이": 30.0, "토레타": 25.0}
    return [
        {
            "series": series,
            "valid_time": AS_OF - day * DAY,
            "value": first[brand] + day if brand in first else 45.0 - 2 * day,
        }
        for series in LEVEL
        for brand in [series.partition("/")[0]]
        for day in range(DAYS)
    ]


def publish_everything(world: World) -> None:
    """Register the versions, promote version 3, publish both problems."""
    client = world.client
    for version, candidate in {**CANDIDATES, "4": "lstm"}.items():
        files = model_files(-0.1 * int(version), candidate=candidate, refit_at=AS_OF - 48 * HOUR)
        made = world.register(files, promote=version == "3")
        assert made == version
        as_of = (AS_OF - timedelta(days=40 - int(version))).isoformat()
        for tag, value in (("candidate", candidate), ("as_of", as_of)):
            client.set_model_version_tag("sample.bitcoin_close", version, tag, value)
    world.register(share_files(), name=SHARES_MODEL_NAME)
    publish_shares(world, files={OBSERVED: parquet(observed_shares(), world.home)})
    world.publish(market_inputs(), market_calibration(), files=market_files(world.home))
