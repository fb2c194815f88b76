"""Freshness policies from a problem's YAML, and which rule holds for which asset."""

from __future__ import annotations

from typing import Final, Literal

import dagster as dg

from mlops_assets.problem import ForecastProblem, Freshness

_RULES: Final[dict[str, Literal["raw", "features", "models"]]] = {
    "observations": "features",
    "features": "features",
    "backtest": "models",
    "evaluation_report": "models",
    "champion": "models",
    "forecasts": "features",
    "live_scores": "features",
    "drift_report": "models",
    "prediction_log": "features",
    "published": "features",
}
"""What follows new values is late when features would be; what is fitted, when models would be."""


def freshness(rule: Freshness) -> dg.FreshnessPolicy:
    """Warn and fail when the newest materialisation is older than the rule allows."""
    return dg.FreshnessPolicy.time_window(fail_window=rule.fail_after, warn_window=rule.warn_after)


def with_freshness(spec: dg.AssetSpec, problem: ForecastProblem) -> dg.AssetSpec:
    """The spec with the policy of its rule; as it is when it has one, or no rule names it."""
    rule = _RULES.get(spec.key.path[-1])
    if spec.freshness_policy is not None or rule not in problem.freshness:
        return spec
    return spec.replace_attributes(freshness_policy=freshness(problem.freshness[rule]))
