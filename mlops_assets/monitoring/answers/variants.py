"""The variants that answered, side by side: what each said of the same future, and who was right.

Here: which answers are compared, their figures and the test between them. Not here: bringing the
answers in (`collecting`), whether the champion is sound (`monitoring.control`) and who shall be
champion (`promotion`): these figures are weighted by what callers ask, so nothing follows from
them by itself.

**A variant** is a version under the alias by which it was chosen, either returned to callers or a
shadow of which only the log knows.

**What counts.** Answers to "the latest", at the leads of the gate: an origin that a caller names
may be picked with hindsight. However often a variant was asked for one series, origin and step,
its first answer counts, once. Forecasts of callers' own features are of no origin.

**The test** looks at each valid period at the mean of |error of the champion| - |error of the
variant| over the forecasts that both made, and bets on it (`monitoring.sequential`), so it may be
looked at after every period; one bet says that the variant is better and another that it is worse,
each at half of `control.alpha`. The absolute error is taken whatever the gate's loss, since its
difference is bounded by the distance of the two forecasts, which is known beforehand.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal

import polars as pl

from mlops_assets.evaluation.metrics import row_loss
from mlops_assets.features.design import targets
from mlops_assets.monitoring.answers.reading import SCHEMA
from mlops_assets.monitoring.sequential import FloatArray, largest_e_values
from mlops_assets.problem import ForecastProblem
from serving.contract.prediction_log import ID, Asked

WINDOW: Final = timedelta(days=92)
"""Answers of origins within so long before the present are compared; a variant that lives longer
is compared by its newest part, for which the stated chance of error begins anew."""

CHAMPION: Final = "champion"
"""The alias that the others are compared with, whichever version held it."""

Verdict = Literal["reference", "better", "worse", "undecided"]

VARIANTS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "alias": pl.String,
    "version": pl.String,
    "candidate": pl.String,
    "returned": pl.Boolean,
    "answers": pl.Int64,
    "n": pl.Int64,
    "mae": pl.Float64,
    "rmse": pl.Float64,
    "coverage": pl.Float64,
    "common": pl.Int64,
    "loss_difference": pl.Float64,
    "better_e_value": pl.Float64,
    "worse_e_value": pl.Float64,
    "verdict": pl.String,
}
"""Columns of the table of variants, grain (alias, version, returned).

`alias` is empty where the version was asked for by its number. `answers`: forecasts answered,
repeats included. `n`: different forecasts that came true, over which `mae`, `rmse` (target units)
and `coverage` (range [0, 1]) are taken. `common`: valid periods with forecasts of the champion too;
`loss_difference`: mean over these of the variant's absolute error minus the champion's, negative
where the variant is better; null for the champion and without common periods.
"""

_VARIANT: Final = ("alias", "version", "candidate", "returned")
_PLACE: Final = ("series", "origin", "valid_time", "step")
_READ: Final = (ID, "answered_at", *_VARIANT, *_PLACE, "point", "lower", "upper")
_ROUNDING: Final = 1e-9
"""Of a forecast's size: errors of two forecasts that all but coincide differ by rounding."""


def variants_table(problem: str) -> str:
    """The Parquet table of variants, written beside `prediction_log`."""
    return f"{problem}/answer_variants"


def no_variants() -> pl.DataFrame:
    """The table of variants while none has answered."""
    return pl.DataFrame(schema=VARIANTS)


def compare_variants(
    answers: pl.LazyFrame, observations: pl.DataFrame, problem: ForecastProblem, *, as_of: datetime
) -> pl.DataFrame:
    """The variants that answered within `WINDOW` before `as_of`.

    Args:
        answers: `reading.SCHEMA`, of the problem.
        observations: versions of values; those known after `as_of` are not seen.
        problem: gate leads, frequency, target and the level of the test.
        as_of: the present.

    Returns:
        `VARIANTS`, the champion's versions first, then by alias and version.
    """
    said = _said(answers, problem, as_of=as_of)
    if said.is_empty():
        return no_variants()
    scored = _scored(said, observations.filter(pl.col("known_at") <= as_of), problem)
    figures = scored.group_by(_VARIANT).agg(
        n=pl.len(),
        mae=pl.col("absolute_error").mean(),
        rmse=pl.col("squared_error").mean().sqrt(),
        coverage=pl.col("covered").mean(),
    )
    counted = said.group_by(_VARIANT).agg(answers=pl.len())
    table = counted.join(figures, on=_VARIANT, how="left", validate="1:1")
    compared = [_against_champion(row, scored, problem) for row in table.iter_rows(named=True)]
    return (
        table.with_columns(pl.col("n").fill_null(0))
        .hstack(pl.DataFrame(compared, schema={c: VARIANTS[c] for c in _COMPARED}))
        .select(pl.col(c).cast(t) for c, t in VARIANTS.items())
        .sort(pl.col("alias") != CHAMPION, "alias", pl.col("version").cast(pl.Int64, strict=False))
    )


_COMPARED: Final = ("common", "loss_difference", "better_e_value", "worse_e_value", "verdict")


def _said(answers: pl.LazyFrame, problem: ForecastProblem, *, as_of: datetime) -> pl.DataFrame:
    """The answers that count, repeats included; unsaid columns are of returned answers."""
    return (
        answers.filter(
            pl.col("kind") == Asked.LATEST.value,
            pl.col("step").is_in(list(problem.gate_leads)),
            pl.col("origin") > as_of - WINDOW,
        )
        .with_columns(pl.col("returned").fill_null(value=True))
        .select(_READ)
        .sort("answered_at", ID)
        .collect()
    )


def _scored(said: pl.DataFrame, known: pl.DataFrame, problem: ForecastProblem) -> pl.DataFrame:
    """First answers that came true, with their errors; grain (variant, series, origin, step)."""
    once = said.unique([*_VARIANT, *_PLACE], keep="first", maintain_order=True)
    if known.is_empty():
        truth = pl.DataFrame(
            schema={"series": pl.String, "valid_time": SCHEMA["valid_time"], "actual": pl.Float64}
        )
    else:
        truth = targets(known, problem).select("series", "valid_time", "actual")
    came_true = once.join(
        truth.filter(pl.col("actual").is_not_null()),
        on=["series", "valid_time"],
        how="inner",
        validate="m:1",
        maintain_order="left",
    )
    return came_true.with_columns(
        row_loss("absolute_error").alias("absolute_error"),
        row_loss("squared_error").alias("squared_error"),
        covered=pl.col("actual").is_between("lower", "upper"),
    )


def _against_champion(
    variant: dict[str, object], scored: pl.DataFrame, problem: ForecastProblem
) -> dict[str, object]:
    """The columns `_COMPARED` of one variant."""
    nothing: dict[str, object] = dict.fromkeys(_COMPARED)
    if variant["alias"] == CHAMPION:
        return nothing | {"common": 0, "verdict": "reference"}
    periods = _periods(variant, scored)
    if periods.is_empty():
        return nothing | {"common": 0, "verdict": "undecided"}
    gains, floors = periods["gain"].to_numpy(), periods["floor"].to_numpy()
    better, worse = (_e_value(side * gains, floors, periods, problem) for side in (1, -1))
    return {
        "common": len(periods),
        "loss_difference": -float(gains.mean()),
        "better_e_value": better,
        "worse_e_value": worse,
        "verdict": _verdict(better, worse, at=2 / problem.control.alpha),
    }


def _periods(variant: dict[str, object], scored: pl.DataFrame) -> pl.DataFrame:
    """Gain of a bet on the variant, and what it can lose, grain (valid_time), oldest first."""
    own = scored.filter(*(pl.col(name) == variant[name] for name in _VARIANT))
    champion = (
        scored.filter(pl.col("alias") == CHAMPION)
        .unique(_PLACE, keep="first", maintain_order=True)
        .select(*_PLACE, champion_point="point", champion_error="absolute_error")
    )
    both = own.join(champion, on=_PLACE, how="inner", validate="1:1")
    point, other = pl.col("point"), pl.col("champion_point")
    return (
        both.with_columns(
            gain=pl.col("champion_error") - pl.col("absolute_error"),
            floor=(point - other).abs() + _ROUNDING * (point.abs() + other.abs()),
        )
        .group_by("valid_time")
        .agg(pl.col("gain", "floor").mean())
        .sort("valid_time")
    )


def _e_value(
    gains: FloatArray, floors: FloatArray, periods: pl.DataFrame, problem: ForecastProblem
) -> float:
    period = problem.frequency // timedelta(microseconds=1)
    places = periods["valid_time"].dt.epoch("us").to_numpy() // period
    lead = max(problem.gate_leads)
    return float(largest_e_values(gains, floors, places=places, lead=lead)[-1])


def _verdict(better: float, worse: float, *, at: float) -> Verdict:
    if max(better, worse) < at:
        return "undecided"
    return "better" if better > worse else "worse"
