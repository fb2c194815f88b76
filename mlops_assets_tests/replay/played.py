"""A replay of two days that was never run: its steps, verdicts and live scores, made by hand.

The value is 100 at first and 104 after every hour; the last value errs by 4 each time. Each version
forecasts at noon and at one o'clock of its own day, the day after only where it says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import polars as pl

from mlops_assets.monitoring.live_scores import LIVE_SCORES
from mlops_assets.orchestration.trigger import Trigger
from mlops_assets.promotion.champion import HISTORY
from mlops_assets.promotion.verdict import Decision
from mlops_assets.replay.ledger import Evidence
from mlops_assets.replay.progress import StepOutcome
from mlops_assets_tests.end_to_end.planted import DAY, HOUR, START

FIRST, SECOND, CLOSING = START, START + DAY, START + 2 * DAY
VERSIONS: Final = (
    {"last_value": "1", "ridge": "2", "boosting": "3"},
    {"last_value": "4", "ridge": "5", "boosting": "6"},
)
ERRORS: Final = {"1": 4.0, "2": 1.0, "3": 3.0, "4": 4.0, "5": 2.0, "6": 5.0}
"""By version: absolute error of each of its two forecasts."""
LOSSES: Final = {
    FIRST: {"ridge": 1.0, "boosting": 2.0, "last_value": 3.0},
    SECOND: {"boosting": 1.0, "ridge": 2.0, "last_value": 3.0},
}


def step(
    origin: datetime,
    candidate: str,
    version: str,
    registered: Mapping[str, str],
    decision: Decision | None = "promote",
) -> StepOutcome:
    """A step that trained where it registered something."""
    return StepOutcome(
        origin=origin,
        triggers=(Trigger.SCHEDULE,) if registered else (),
        decision=decision,
        candidate=candidate,
        version=version,
        control_alarm=None,
        drift_alarm=None,
        registered=dict(registered),
        seconds=2.0,
    )


def steps() -> list[StepOutcome]:
    """The gate promotes ridge, and refreshes it a day later."""
    return [
        step(FIRST, "ridge", "2", VERSIONS[0]),
        step(SECOND, "ridge", "5", VERSIONS[1], "refresh"),
    ]


def live_scores(errors: Mapping[str, float] = ERRORS) -> pl.DataFrame:
    """Two forecasts that came true for each version, on its own day."""
    rows = [
        _scored(version, origin + hour * HOUR, error)
        for origin, versions in zip((FIRST, SECOND), VERSIONS, strict=True)
        for version in versions.values()
        if (error := errors.get(version)) is not None
        for hour in (12, 13)
    ]
    return pl.DataFrame(rows, schema=LIVE_SCORES)


def evidence() -> Evidence:
    """All that a ledger of this replay is made of."""
    return Evidence(steps=steps(), verdicts=verdicts(), scores=live_scores(), closing=CLOSING)


def verdicts() -> pl.DataFrame:
    """The history of the two looks."""
    told = {
        FIRST: {"mean_losses": LOSSES[FIRST], "reasons": ["ridge proved better.", "It takes it."]},
        SECOND: {"mean_losses": LOSSES[SECOND], "reasons": ["<nobody> proved better."]},
    }
    return pl.DataFrame(
        [{"as_of": at, "decision": "keep", "verdict": json.dumps(v)} for at, v in told.items()],
        schema=HISTORY,
    )


def _scored(version: str, origin: datetime, error: float) -> dict[str, object]:
    return {
        "version": version,
        "candidate": next(c for made in VERSIONS for c, v in made.items() if v == version),
        "recipe_id": "r",
        "baseline": False,
        "role": "challenger",
        "series": "coin",
        "segment": "coin",
        "origin": origin,
        "valid_time": origin + HOUR,
        "step": 1,
        "target_known_at": origin + HOUR,
        "last_value": 100.0,
        "point": 104.0 - error,
        "lower": 103.0,
        "upper": 105.0,
        "nominal_coverage": 0.9,
        "actual": 104.0,
        "absolute_error": error,
        "squared_error": error**2,
        "covered": error <= 2.0,
    }
