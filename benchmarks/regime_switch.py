"""A simulated year of weekly steps: how soon the loop notices a broken signal, how often in vain.

The production assets run on a clock that moves a week at a time (`replay`), over sample bars whose
planted signal turns its sign in the middle (`switch`) or stays (`steady`). `README.md` says what
the figures mean.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal

import dagster as dg
import polars as pl
from measurement.homes import temporary_folder
from measurement.rounds import arguments, say, show

from mlops_assets.cli.stores import tool_environment
from mlops_assets.components.forecast_pipeline import build_problem_definitions
from mlops_assets.definitions import shared_resources
from mlops_assets.ingestion.assets import raw_key, raw_partitions
from mlops_assets.monitoring.drift.assets import drift_key
from mlops_assets.orchestration.clock import Clock
from mlops_assets.problem import ForecastProblem
from mlops_assets.replay.clock_loop import run_clock_loop
from mlops_assets.replay.isolation import replay_settings
from mlops_assets.replay.progress import TRAINING, StepOutcome
from mlops_assets.settings import Settings, load_settings
from mlops_assets.storage.io_manager import table_name
from mlops_assets.storage.tables import TableStore

NAME: Final = "regime"
REPLAY: Final = "year"
WEEK: Final = timedelta(days=7)
FIRST: Final = datetime(2024, 6, 3, tzinfo=UTC)
"""First origin, a Monday."""
HISTORY: Final = timedelta(days=126)
"""Bars before it: a training window of 60 days, and past windows for the drift thresholds."""
QUICK_HISTORY: Final = timedelta(days=63)
REVERSAL: Final = 0.3
"""Share of a scaled return that reverses, by default."""
DRIFT_BUDGET: Final = 4.0
"""False alarms that the thresholds allow in a year of daily reports."""

Variant = Literal["switch", "steady"]
VARIANTS: Final[tuple[Variant, ...]] = ("switch", "steady")


@dataclass(frozen=True)
class Year:
    """What one variant came to.

    Attributes:
        variant: with or without a switch.
        switch_at: when the sign turns; None: never.
        steps: one for each week.
        reports: the table of drift reports.
    """

    variant: Variant
    switch_at: datetime | None
    steps: Sequence[StepOutcome]
    reports: pl.DataFrame


def main() -> None:
    """Live through the year, and print the outcome."""
    given = arguments(__doc__ or "", rounds=1, more=_options)
    weeks = given.weeks or (3 if given.quick else 52)
    chosen: tuple[Variant, ...] = given.variant or (VARIANTS[:1] if given.quick else VARIANTS)
    history = QUICK_HISTORY if given.quick else HISTORY
    with temporary_folder("sample") as folder:
        years = [
            live_through(v, folder / v, weeks=weeks, history=history, reversal=given.reversal)
            for v in chosen
        ]
    figures: dict[str, object] = {
        "benchmark": "regime_switch",
        "weeks": weeks,
        "reversal": given.reversal,
        "variants": {year.variant: _figures(year) for year in years},
    }
    show(figures, _text(figures), as_json=given.json)


def live_through(
    variant: Variant, home: Path, *, weeks: int, history: timedelta, reversal: float
) -> Year:
    """All weekly steps of a variant, in a home of its own."""
    origins = [FIRST + week * WEEK for week in range(weeks)]
    switch_at = origins[weeks // 2] if variant == "switch" else None
    problem = describe(history, switch_at, reversal)
    os.environ["MLOPS_HOME"] = str(home)
    settings = load_settings()
    os.environ.update(tool_environment(settings))
    fill(settings, problem, end=origins[-1])
    steps = run_clock_loop(
        settings,
        problem,
        origins,
        replay_id=REPLAY,
        build=build_problem_definitions,
        on_step=_teller(variant, weeks),
    )
    store = TableStore(replay_settings(settings, REPLAY).storage)
    return Year(variant, switch_at, steps, store.read(table_name(drift_key(NAME))))


def fill(settings: Settings, problem: ForecastProblem, *, end: datetime) -> None:
    """Fetch the raw tables of production as of the end; a replay calls no source."""
    keys = [raw_key(problem.name, source) for source in problem.sources]
    job = dg.define_asset_job("fill", selection=keys, executor_def=dg.in_process_executor)
    definitions = dg.Definitions.merge(
        build_problem_definitions(problem, settings),
        dg.Definitions(
            jobs=[job], resources=shared_resources(settings, Clock(fixed_at=end.isoformat()))
        ),
    )
    months = raw_partitions(problem).get_partition_keys(current_time=end)
    with dg.DagsterInstance.ephemeral() as instance:
        definitions.resolve_job_def("fill").execute_in_process(
            instance=instance,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            tags={
                "dagster/asset_partition_range_start": months[0],
                "dagster/asset_partition_range_end": months[-1],
            },
        )


def describe(history: timedelta, switch_at: datetime | None, reversal: float) -> ForecastProblem:
    """Hourly bars with a planted reversal, forecast by a ridge that trains on 60 days.

    The schedule fits anew only once a month, so that a training of the loop's own can be told.
    """
    return ForecastProblem.model_validate(
        {
            "name": NAME,
            "title": "Regime",
            "description": "The close of the next hour, under a signal that may break.",
            "owners": ["team:benchmarks"],
            "frequency": "1h",
            "horizon": 1,
            "target": {"source": "walk"},
            "sources": {"walk": _source(FIRST - history, switch_at, reversal)},
            "features": [
                {"kind": "scaled_return", "source": "walk", "params": {"windows": [[1, 24]]}},
                {"kind": "log_rms_volatility", "source": "walk", "params": {"windows": [3, 24]}},
            ],
            "feature_sets": {"volatility": ["walk_log_*"], "reversal": ["walk_scaled_*"]},
            "scale": {"features": "volatility", "alpha": 10},
            "candidates": {
                "last_value": {"family": "last_value", "baseline": True, "scaled_target": False},
                "ridge": {
                    "family": "ridge",
                    "features": "reversal",
                    "window": "60d",
                    "params": {"alpha": 1.0},
                },
            },
            "band": {"window": 200, "calibration": "7d"},
            "evaluation": {"refit_every": "7d", "anchor": FIRST, "folds": 6},
            "promotion": {"looks_per_year": 52},
            "drift": {
                "features": ["walk_*"],
                "current": "7d",
                "false_alarms_per_year": DRIFT_BUDGET,
                "cron": "0 0 * * *",
            },
            "retrain_cron": "0 0 1 * *",
            "freshness": {
                name: {"warn_after": "8d", "fail_after": "9d"}
                for name in ("raw", "features", "models")
            },
        }
    )


def _source(start: datetime, switch_at: datetime | None, reversal: float) -> dict[str, Any]:
    return {
        "kind": "candles",
        "role": "target",
        "title": "Walk",
        "unit": "points",
        "period": "1h",
        "plausible": [0.01, 1e9],
        "start": start,
        "sample": {
            "start": start,
            "price": 100,
            "volatility_pct": 0.5,
            "reversal": reversal,
            "switch_at": switch_at,
            "credible_rmse_ratio": 0.3,
        },
    }


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weeks", type=int, help="number of weekly steps, default 52")
    parser.add_argument(
        "--reversal",
        type=float,
        default=REVERSAL,
        help=f"strength of the signal, default {REVERSAL}",
    )
    parser.add_argument("--variant", choices=VARIANTS, nargs="+", help="default: both in turn")


def _teller(variant: Variant, weeks: int) -> Callable[[StepOutcome], None]:
    def tell(step: StepOutcome) -> None:
        week = (step.origin - FIRST) // WEEK
        say(
            f"{variant} {week + 1:>3} of {weeks}: {step.candidate} {step.decision or '-'}, "
            f"triggers {', '.join(step.triggers) or '-'}, control {step.control_alarm}, drift "
            f"{step.drift_alarm}, {step.seconds:.1f} s"
        )

    return tell


def _figures(year: Year) -> dict[str, object]:
    figures = _delays(year) if year.switch_at else _false_alarms(year.steps, year)
    steps = [
        step.model_dump(mode="json", exclude={"seconds", "registered"}) | {"week": number}
        for number, step in enumerate(year.steps, start=1)
        if step.triggers or step.decision or step.control_alarm or step.drift_alarm
    ]
    seconds = sum(step.seconds for step in year.steps)
    return {**figures, "seconds": round(seconds, 1), "events": steps}


def _delays(year: Year) -> dict[str, object]:
    """Weekly steps from the switch to the first of each event; 1 is the first step after it.

    None: it did not happen. What comes before the switch is counted like a steady year.
    """
    assert year.switch_at is not None
    at = year.switch_at
    before = [step for step in year.steps if step.origin <= at]
    after = [step for step in year.steps if step.origin > at]
    trained = next((s for s in after if TRAINING & {*s.triggers}), None)
    return {
        "switch_at": at.isoformat(),
        "champion_before": before[-1].candidate,
        "concept_drift": _steps_to(after, lambda s: _said(year, s, "concept_drift")),
        "column_drift": _steps_to(after, lambda s: _said(year, s, "drifted")),
        "control_alarm": _steps_to(after, lambda s: bool(s.control_alarm)),
        "training": None if trained is None else after.index(trained) + 1,
        "training_trigger": None if trained is None else str(trained.triggers[0]),
        "champion_changes": [
            {"step": number, "by": now.decision, "to": now.candidate}
            for number, (was, now) in enumerate(pairwise([before[-1], *after]), start=1)
            if was.candidate != now.candidate
        ],
        "before_the_switch": _false_alarms(before, year),
    }


def _false_alarms(steps: Sequence[StepOutcome], year: Year) -> dict[str, object]:
    """What happened although nothing had changed."""
    judged = [s for s in steps if s.drift_alarm is not None and _judged(year, s)]
    looks = [s for s in steps if s.decision is not None]
    return {
        "steps": len(steps),
        "drift_reports_judged": len(judged),
        "drift_alarms": sum(bool(step.drift_alarm) for step in steps),
        "trainings_by_drift": sum("drift" in step.triggers for step in steps),
        "control_alarms": sum(bool(step.control_alarm) for step in steps),
        "looks": len(looks),
        "false_promotions": sum(step.decision == "promote" for step in looks[1:]),
        "false_roll_backs": sum(step.decision == "roll_back" for step in looks),
    }


def _steps_to(after: Sequence[StepOutcome], happened: Callable[[StepOutcome], bool]) -> int | None:
    return next((number for number, step in enumerate(after, start=1) if happened(step)), None)


def _said(year: Year, step: StepOutcome, column: str) -> bool:
    """Whether the report of a step says so of any column."""
    return bool(year.reports.filter(pl.col("as_of") == step.origin)[column].any())


def _judged(year: Year, step: StepOutcome) -> bool:
    """Whether the history was long enough for a threshold."""
    return bool(
        year.reports.filter(pl.col("as_of") == step.origin)["threshold"].is_not_null().any()
    )


def _text(figures: dict[str, Any]) -> str:
    lines = [
        f"{figures['weeks']} weekly steps on the clock, sample data, planted reversal "
        f"{figures['reversal']}"
    ]
    for variant, found in figures["variants"].items():
        lines += ["", f"{variant} ({found['seconds']:.0f} s)"]
        for name, value in found.items():
            if name in {"events", "seconds"}:
                continue
            lines += _shown(name, value)
    return "\n".join(lines)


def _shown(name: str, value: object) -> list[str]:
    label = name.replace("_", " ")
    if name == "champion_changes" and isinstance(value, list):
        told = (f"step {change['step']} {change['by']} {change['to']}" for change in value)
        return [f"  {label:<24}{', '.join(told) or 'none'}"]
    if not isinstance(value, dict):
        return [f"  {label:<24}{'never' if value is None else value}"]
    return [f"  {label}:", *(f"  {line}" for k, v in value.items() for line in _shown(k, v))]


if __name__ == "__main__":
    main()
