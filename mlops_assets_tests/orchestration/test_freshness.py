from __future__ import annotations

import dagster as dg

from mlops_assets.orchestration.freshness import freshness, with_freshness
from mlops_assets_tests.end_to_end import planted

PROBLEM = planted.problem(
    freshness={
        "raw": {"warn_after": "1h", "fail_after": "2h"},
        "features": {"warn_after": "3h", "fail_after": "4h"},
        "models": {"warn_after": "8d", "fail_after": "9d"},
    }
)


def policy(name: str, given: dg.FreshnessPolicy | None = None) -> dg.FreshnessPolicy | None:
    """The policy that an asset of this name ends up with."""
    spec = dg.AssetSpec(dg.AssetKey([planted.NAME, name]), freshness_policy=given)
    return with_freshness(spec, PROBLEM).freshness_policy


def test_what_follows_new_values_is_late_when_features_are() -> None:
    assert policy("live_scores") == freshness(PROBLEM.freshness["features"])


def test_what_is_fitted_is_late_when_models_are() -> None:
    assert policy("champion") == freshness(PROBLEM.freshness["models"])


def test_a_policy_that_an_asset_has_stays() -> None:
    own = freshness(PROBLEM.freshness["raw"])
    assert policy("champion", own) == own
