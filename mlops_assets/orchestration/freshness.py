"""Freshness policies from a problem's YAML."""

from __future__ import annotations

import dagster as dg

from mlops_assets.problem import Freshness


def freshness(rule: Freshness) -> dg.FreshnessPolicy:
    """Warn and fail when the newest materialisation is older than the rule allows."""
    return dg.FreshnessPolicy.time_window(fail_window=rule.fail_after, warn_window=rule.warn_after)
