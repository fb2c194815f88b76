"""The family `prophet`: the curve over time of Prophet (Taylor & Letham 2018), for comparison.

Here: Prophet's fit, taken apart into its trend and its Fourier terms, which are evaluated in numpy
and in ONNX without Prophet. Not here: why it may not be promoted (`promotable` of a candidate).

It forecasts the log of the level from the clock alone: between two refits it sees no new price,
so the log return it gives is the distance from the last value to its curve. Features are
the last value and the hours of the valid time, in this order.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import Field

from mlops_assets.problem import ProblemError
from mlops_assets.training.forecaster import FloatArray
from mlops_assets.training.parameters import Parameters
from mlops_assets.training.sequence_fit import MissingExtraError

if TYPE_CHECKING:
    from prophet import Prophet

    from mlops_assets.training.onnx_graph import GraphBuilder

_HOURS_A_DAY: Final = 24.0
_TAKEN: Final = ("k", "m", "delta", "beta")


class ProphetParameters(Parameters):
    """Parameters of `prophet`; the seasons are Prophet's own, by length in days."""

    changepoints: int = Field(default=10, ge=0, description="places where the trend may turn")
    changepoint_prior: float = Field(default=0.05, gt=0)
    daily: int = Field(default=4, ge=0, description="Fourier terms of the day")
    weekly: int = Field(default=3, ge=0, description="Fourier terms of the week")


@dataclass(frozen=True)
class Curve:
    """A trend with bends and the waves of its seasons, in the log of the level.

    `slope u + offset + sum_j bend_j max(0, u - knot_j) + sum_k height_k sin(angle_k h + phase_k)`
    with h the hours since 1970 and `u = (h - start) / length`.
    """

    start: float
    length: float
    slope: float
    offset: float
    knots: FloatArray
    bends: FloatArray
    angles: FloatArray
    phases: FloatArray
    heights: FloatArray

    def predict(self, features: FloatArray) -> FloatArray:
        """Log return from the last value to the curve: (rows, 2) to (rows,)."""
        level, hours = features[:, 0], features[:, 1]
        unit = (hours - self.start) / self.length
        bent = np.maximum(unit[:, None] - self.knots, 0.0) @ self.bends
        season = np.sin(hours[:, None] * self.angles + self.phases) @ self.heights
        location: FloatArray = self.slope * unit + self.offset + bent + season - np.log(level)
        return location

    def add_to_graph(self, graph: GraphBuilder, features: str) -> str:
        """Add the formula above in float64."""

        def number(value: float) -> str:
            return graph.constant(np.array([[value]]))

        level, hours = graph.columns(features, [0]), graph.columns(features, [1])
        since = graph.node("Sub", hours, number(self.start))
        unit = graph.node("Div", since, number(self.length))
        straight = graph.node("Mul", unit, number(self.slope))
        terms = [graph.node("Add", straight, number(self.offset))]
        if self.knots.size:
            beyond = graph.node("Sub", unit, graph.constant(self.knots[None, :]))
            after = graph.node("Max", beyond, number(0.0))
            terms.append(graph.node("MatMul", after, graph.constant(self.bends[:, None])))
        if self.angles.size:
            turned = graph.node("Mul", hours, graph.constant(self.angles[None, :]))
            angle = graph.node("Add", turned, graph.constant(self.phases[None, :]))
            wave = graph.node("Sin", angle)
            terms.append(graph.node("MatMul", wave, graph.constant(self.heights[:, None])))
        curve = graph.node("Sum", *terms)
        return graph.node("Sub", curve, graph.node("Log", level))

    def describe(self) -> dict[str, float | int | str]:
        """Bends of the trend and waves of the seasons."""
        return {"changepoints": int(self.knots.size), "waves": int(self.angles.size)}


def prophet(features: FloatArray, target: FloatArray, *, params: Mapping[str, Any]) -> Curve:
    """Fit Prophet to the log of the level that the target tells of each row's valid time.

    Raises:
        ProblemError: the features are not the last value and the hours of the valid time.
        MissingExtraError: Prophet is not installed.
    """
    wanted = ProphetParameters.read("prophet", params)
    if features.shape[1] != 2 or not (np.isfinite(features).all() and (features > 0).all()):
        raise ProblemError(
            f"family 'prophet' has features of shape {features.shape}; it takes two that are known "
            "and positive in every row, the last value and the hours of the valid time; give it a "
            "feature set of `last_close` and `valid_time`"
        )
    hours, level = features[:, 1], np.log(features[:, 0]) + target
    return _curve(_fitted(hours, level, wanted))


def _fitted(hours: FloatArray, level: FloatArray, wanted: ProphetParameters) -> Prophet:
    """Prophet's maximum a posteriori fit, the same at every run."""
    import pandas as pd

    prophet_class = _prophet_class()
    model = prophet_class(
        n_changepoints=wanted.changepoints,
        changepoint_prior_scale=wanted.changepoint_prior,
        yearly_seasonality=False,
        daily_seasonality=wanted.daily or False,
        weekly_seasonality=wanted.weekly or False,
        uncertainty_samples=0,
    )
    instants = pd.to_datetime(np.round(hours * 3600).astype(np.int64), unit="s")
    with _quiet():
        model.fit(pd.DataFrame({"ds": instants, "y": level}), seed=0)
    return model


def _prophet_class() -> type[Prophet]:
    try:
        from prophet import Prophet
    except ImportError as error:
        raise MissingExtraError(
            f"{error.name} is not installed; the family prophet needs it; install the extra "
            "prophet (pip install 'mlops-assets[prophet]', or make setup), or take its candidates "
            "out of the problem's YAML"
        ) from error
    return Prophet


def _curve(model: Prophet) -> Curve:
    """Trend and seasons of a fit, in hours and logs.

    Prophet's time runs from 0 to 1 over its rows, its values are divided by the largest; its trend
    `(k + sum delta_j) u + m - sum delta_j s_j` over the changepoints passed is continuous, so it is
    the sum of bends. Fourier columns come as sine, cosine, sine, ...; a cosine is a sine a quarter
    turn on.
    """
    fit = {name: np.asarray(model.params[name], dtype=np.float64).ravel() for name in _TAKEN}
    assert model.y_scale is not None and model.start is not None  # noqa: PT018 narrow types
    assert model.t_scale is not None
    scale, start = float(model.y_scale), model.start.timestamp() / 3600
    angles: list[float] = []
    for season in model.seasonalities.values():
        turns = 2 * np.pi / (float(season["period"]) * _HOURS_A_DAY)
        angles += [turns * (1 + k // 2) for k in range(2 * int(season["fourier_order"]))]
    waves = len(angles)
    return Curve(
        start=start,
        length=model.t_scale.total_seconds() / 3600,
        slope=float(fit["k"][0]) * scale,
        offset=float(fit["m"][0]) * scale,
        knots=np.asarray(model.changepoints_t, dtype=np.float64),
        bends=fit["delta"] * scale,
        angles=np.array(angles, dtype=np.float64),
        phases=np.tile([0.0, np.pi / 2], waves // 2),
        heights=fit["beta"][:waves] * scale,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Prophet and cmdstanpy tell of each fit at level INFO: hundreds of lines in a backtest."""
    loggers = [logging.getLogger(name) for name in ("cmdstanpy", "prophet")]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled
