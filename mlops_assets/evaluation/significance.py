"""Is a difference in loss more than chance: Diebold-Mariano tests and Holm's correction.

Here: tests on loss differentials. Not here: which comparisons are made and what follows from them
(`promotion.decision`), and the losses themselves (`evaluation.metrics`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from mlops_assets.evaluation.metrics import Loss, row_loss

FloatArray = npt.NDArray[np.float64]
Alternative = Literal["less", "greater"]

MIN_PERIODS: Final = 30
"""Fewer differences prove nothing: a variance from so few lags rejects a true null too often."""
_RELATIVE_ZERO: Final = 1e-12
"""A spread below this share of the largest difference is rounding, not variance."""


@dataclass(frozen=True, kw_only=True)
class DMResult:
    """One Diebold-Mariano test."""

    statistic: float
    """Corrected statistic; 0 when there is no variance or too few differences."""
    p_value: float
    """One-sided; 1 when there is no variance or too few differences."""
    n: int
    """Number of loss differences (valid periods)."""
    mean: float
    """Mean loss difference, in units of the loss; negative when the first forecast is better."""
    bandwidth: int
    """Largest lag in the variance, in valid periods."""


def diebold_mariano(
    loss_differential: FloatArray, lead: int, alternative: Alternative = "less"
) -> DMResult:
    """Test whether the mean loss difference is below (or above) zero.

    S = mean(d) / sqrt(V / n) * sqrt((n + 1 - 2h + h (h - 1) / n) / n) against Student's t with
    n - 1 degrees of freedom; V is the long-run variance of `long_run_variance`, h the lead.

    Args:
        loss_differential: d, shape (n,), loss of the first minus loss of the second forecast, one
            value a valid period, in time order.
        lead: h, the largest lead in the differential, in steps; errors of optimal forecasts are
            correlated over h - 1 steps.
        alternative: "less" asks whether the first is better, "greater" whether it is worse.

    Returns:
        The test; p = 1 when d does not vary, has fewer than `MIN_PERIODS` or no more than h values.

    Raises:
        ValueError: d is not a vector of finite numbers, or the lead is below 1.

    Sources:
        Diebold & Mariano 1995, J. Bus. Econ. Stat. 13:253-263; correction and t distribution:
        Harvey, Leybourne & Newbold 1997, Int. J. Forecasting 13:281-291, eq. 9.
    """
    d = np.asarray(loss_differential, dtype=np.float64)
    if d.ndim != 1 or not np.isfinite(d).all() or lead < 1:
        raise ValueError(
            f"loss differential of shape {d.shape} at lead {lead}; the test needs a vector of "
            "finite numbers and a lead of at least 1; score both forecasts on the same finite rows"
        )
    n = d.size
    bandwidth = newey_west_bandwidth(n, lead)
    mean = float(d.mean()) if n else 0.0
    nothing = DMResult(statistic=0.0, p_value=1.0, n=n, mean=mean, bandwidth=bandwidth)
    if n < MIN_PERIODS or n <= lead or np.ptp(d) <= _RELATIVE_ZERO * np.abs(d).max():
        return nothing
    variance = long_run_variance(d, bandwidth)
    if variance <= (_RELATIVE_ZERO * float(np.abs(d).max())) ** 2:
        return nothing
    correction = (n + 1 - 2 * lead + lead * (lead - 1) / n) / n
    statistic = mean / math.sqrt(variance / n) * math.sqrt(correction)
    p_value = _student_t_cdf(statistic if alternative == "less" else -statistic, n - 1)
    return DMResult(statistic=statistic, p_value=p_value, n=n, mean=mean, bandwidth=bandwidth)


def newey_west_bandwidth(n: int, lead: int) -> int:
    """max(lead - 1, floor(4 (n / 100)^(2/9))), below n.

    The second term is the rule for the Bartlett kernel of Newey & West 1994, Rev. Econ. Stud.
    61:631-653; the first covers the overlap of forecasts `lead` steps ahead.
    """
    rule = math.floor(4 * math.pow(n / 100, 2 / 9))
    return max(min(max(lead - 1, rule), n - 1), 0)


def long_run_variance(values: FloatArray, bandwidth: int) -> float:
    """Variance of sqrt(n) times the mean, robust to heteroskedasticity and autocorrelation.

    g_0 + 2 sum_{j=1..B} (1 - j / (B + 1)) g_j with g_j = sum_t x_t x_{t-j} / n of the centred
    values: Bartlett weights, never negative (Newey & West 1987, Econometrica 55:703-708).
    """
    x = values - values.mean()
    total: float = float(np.dot(x, x))
    for lag in range(1, bandwidth + 1):
        total += 2 * (1 - lag / (bandwidth + 1)) * float(np.dot(x[lag:], x[:-lag]))
    return total / len(x)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p-values of a family of tests: reject where they are below the family's level.

    In ascending order p(1) <= ... <= p(m): max over j <= i of min(1, (m - j + 1) p(j)). Controls
    the chance of any false rejection under every dependence (Holm 1979, Scand. J. Stat. 6:65-70).

    Returns:
        Adjusted p-values by name, in the order of the argument.
    """
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def mean_differential(
    frame: pl.DataFrame, a: str, b: str, loss: Loss, leads: Collection[int]
) -> FloatArray:
    """Loss of candidate `a` minus loss of candidate `b`, one value a valid period, in time order.

    Within a valid period the loss is first averaged over series and leads: they miss the same
    outcomes, so that the number of independent pieces of evidence is that of periods. Every period
    holds all leads, the first and the last ones too, which an origin does not.

    Args:
        frame: the backtest (see `evaluation.rows`), with the same rows for both candidates.
        a: the candidate whose smaller loss gives negative values.
        b: the candidate it is compared with.
        loss: the loss per row.
        leads: the steps that count.

    Returns:
        Shape (valid periods,), in units of the loss.

    Raises:
        ValueError: a candidate has no row at these leads.
    """
    rows = frame.filter(pl.col("step").is_in(list(leads)))
    losses = []
    for name in (a, b):
        own = rows.filter(pl.col("candidate") == name)
        if own.is_empty():
            raise ValueError(
                f"candidate {name!r} has no row at leads {sorted(leads)}; both sides of a "
                "comparison need rows; backtest it or correct the name"
            )
        losses.append(own.group_by("valid_time").agg(row_loss(loss).mean().alias("loss")))
    both = losses[0].join(losses[1], on="valid_time", suffix="_b", validate="1:1")
    return both.sort("valid_time").select(pl.col("loss") - pl.col("loss_b")).to_series().to_numpy()


def _student_t_cdf(statistic: float, degrees: int) -> float:
    from scipy.special import stdtr

    return float(stdtr(degrees, statistic))
