"""Forecasts of a panel of shares by a structural filter, for every day and every step ahead.

Here: the pass over the days and the builder of the problem's feature. Not here: the state space
(`share_filter_states`), its parameters (`share_filter_parameters`), surprises that return
(`share_filter_shock`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from threadpoolctl import threadpool_limits

from mlops_assets.features.counts import recover_counts
from mlops_assets.features.share_filter_layout import (
    Days,
    FloatArray,
    ShareLayout,
    lay_out_shares,
    weekday,
    yearly_season,
)
from mlops_assets.features.share_filter_parameters import ShareFilterParameters, parameters_of
from mlops_assets.features.share_filter_shock import add_returning_surprises
from mlops_assets.features.share_filter_states import (
    StateSpace,
    predict,
    shares_of,
    starting_state,
    state_space,
    update,
)
from mlops_assets.features.stepwise import step_column

if TYPE_CHECKING:
    from mlops_assets.features.panel import Panel

Columns = dict[str, FloatArray]

START_DAYS: Final = 7
"""The first forecast is made on this day; the mean of the days up to it starts the filter."""


def share_filter(panel: Panel, source: str, **params: Any) -> Columns:  # noqa: ANN401 from YAML
    """`share_filter@01` ..: forecast of each share, each step ahead, percent.

    The shares of a segment add up to 100. NaN before the seventh day.

    Args:
        panel: daily shares in percent.
        source: name of the target; the columns do not depend on it.
        params: those of `ShareFilterParameters`.

    Raises:
        ProblemError: a parameter is unknown, out of range, or names no segment, brand or key.
    """
    layout = lay_out_shares(panel)
    parameters = parameters_of(params)
    forecasts = forecast_layout(
        layout, recover_counts(layout.values), parameters, horizon=panel.horizon
    )
    return {
        step_column("share_filter", h): 100 * layout.to_series(forecasts[:, h - 1])
        for h in range(1, panel.horizon + 1)
    }


def forecast_layout(
    layout: ShareLayout, counts: FloatArray, parameters: ShareFilterParameters, *, horizon: int
) -> FloatArray:
    """(T, horizon, G, B): fractions forecast on each day for the days after it.

    Args:
        layout: the shares.
        counts: (T, G); NaN where unknown.
        parameters: by label.
        horizon: steps ahead, days.
    """
    counts = np.where(np.isnan(counts), parameters.unknown_count, counts)
    shares = layout.fractions()
    space = state_space(
        parameters, segments=layout.segments, brands=layout.brands, labels=layout.labels
    )
    forecasts = filter_shares(shares, counts, layout.days, space, horizon=horizon)
    if parameters.shock_lag:
        return add_returning_surprises(forecasts, shares, counts, space.loadings, parameters)
    return forecasts


def filter_shares(
    shares: FloatArray, counts: FloatArray, days: Days, space: StateSpace, *, horizon: int
) -> FloatArray:
    """One pass over the days: what each day's shares tell of the `horizon` days after it.

    A day's forecasts depend, to the last bit, on that day and the days before alone.

    Args:
        shares: (T, G, B), fractions that add up to 1 in a segment; NaN where unknown.
        counts: (T, G), number of observations behind a segment's shares, without NaN.
        days: (T,), datetime64[D], without gaps.
        space: the state space of these segments and brands.
        horizon: steps ahead, days.

    Returns:
        (T, horizon, G, B); NaN before the seventh day.
    """
    # One thread: to share out matrices of this size costs more than to multiply them.
    with threadpool_limits(limits=1, user_api="blas"):
        return _pass(shares, counts, days, space, horizon)


def _pass(
    shares: FloatArray, counts: FloatArray, days: Days, space: StateSpace, horizon: int
) -> FloatArray:
    """The days one after the other, so that none can depend on a later one."""
    out = np.full((len(days), horizon, space.segments, space.brands), np.nan)
    if len(days) < START_DAYS:
        return out
    season, of_week, steps = yearly_season(days), weekday(days), np.arange(1, horizon + 1)
    state = starting_state(space, shares[:START_DAYS], counts[:START_DAYS])
    for t in range(len(days)):
        if t:
            state = predict(space, state)
        state = update(
            space, state, shares[t], counts[t], season=season[t], weekday=int(of_week[t])
        )
        if t + 1 >= START_DAYS:
            ahead = days[t] + steps
            out[t] = shares_of(space, state.mean, yearly_season(ahead), weekday(ahead), ahead=True)
    return out
