"""The identity of a recipe changes with everything that decides its fits, and with nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from mlops_assets.features.feature_set import group_columns
from mlops_assets.problem import ForecastProblem, ProblemError, load_problem
from mlops_assets.training import recipe as recipe_module
from mlops_assets.training.recipe import build_recipes
from mlops_assets_tests.architecture.source_code import ROOT
from mlops_assets_tests.features.series import small_problem
from mlops_assets_tests.training.made import (
    AVAILABLE,
    CANDIDATES,
    FEATURE_SETS,
    problem,
    recipes,
)

RIDGE = CANDIDATES["ridge"]


def ridge_id(**changes: Any) -> str:  # noqa: ANN401 fields of a candidate
    return recipes(ridge={**RIDGE, **changes})["ridge"].recipe_id


def test_an_id_has_16_hex_digits_and_repeats() -> None:
    assert len(ridge_id()) == 16
    assert int(ridge_id(), 16) >= 0
    assert ridge_id() == ridge_id()


@pytest.mark.parametrize(
    "change",
    [
        {"params": {"alpha": 11, "clip_quantile": 0.01}},
        {"target_clip": 3},
        {"window": "30d"},
        {"scaled_target": False},
        {"features": "volatility"},
        {"family": "hist_gradient_boosting"},
        {"baseline": True},
    ],
)
def test_each_field_of_the_candidate_changes_the_id(change: dict[str, Any]) -> None:
    assert ridge_id(**change) != ridge_id()


@pytest.mark.parametrize("change", [{"promotable": False}, {"enabled": True}])
def test_what_becomes_of_a_fit_is_no_part_of_the_id(change: dict[str, Any]) -> None:
    assert ridge_id(**change) == ridge_id()


def test_a_feature_more_changes_the_id_and_another_candidate_does_not() -> None:
    wider = small_problem(
        feature_sets={**FEATURE_SETS, "all": ["level", "noise", "holed*"]},
        scale={"features": "volatility", "alpha": 1.0},
        candidates=CANDIDATES,
    )

    assert build_recipes(wider, [*AVAILABLE])["ridge"].recipe_id == ridge_id()
    assert build_recipes(wider, [*AVAILABLE, "holed_more"])["ridge"].recipe_id != ridge_id()
    assert recipes(other={**RIDGE, "target_clip": 9})["ridge"].recipe_id == ridge_id()


def test_the_volatility_model_is_part_of_every_recipe() -> None:
    other_scale = small_problem(
        feature_sets=FEATURE_SETS,
        scale={"features": "volatility", "alpha": 2.0},
        candidates=CANDIDATES,
    )

    changed = build_recipes(other_scale, list(AVAILABLE))
    for name, recipe in recipes().items():
        assert changed[name].recipe_id != recipe.recipe_id


def test_another_version_of_the_code_is_another_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    before = ridge_id()

    monkeypatch.setattr(recipe_module, "fingerprint", lambda *packages: "0" * 12)

    assert ridge_id() != before


def test_candidates_that_differ_by_name_alone_are_different_recipes() -> None:
    ids = {r.recipe_id for r in recipes(twin=RIDGE, twin_too=RIDGE).values()}

    assert len(ids) == len(CANDIDATES) + 2


def test_the_columns_of_a_model_are_the_location_s_then_the_scale_s_each_once() -> None:
    made = recipes(narrow={**RIDGE, "features": "volatility"})

    assert made["ridge"].columns == ("level", "noise", "holed")
    assert made["narrow"].columns == ("level", "holed")
    assert made["drift"].features == ()
    assert made["drift"].columns == ("level", "holed")


def test_a_feature_set_that_matches_no_column_is_refused() -> None:
    with pytest.raises(
        ProblemError, match=r"feature_sets\.volatility names 'holed', which matches no"
    ):
        build_recipes(problem(), ["level", "noise"])


def shipped_ids(**changes: Any) -> dict[str, str]:  # noqa: ANN401 fields of the problem
    """Recipe ids of the shipped problem with one field of its YAML changed."""
    shipped = load_problem(ROOT / "mlops_assets" / "defs" / "bitcoin_close" / "defs.yaml")
    described = ForecastProblem.model_validate({**shipped.model_dump(), **changes})
    made = [name for _, names in group_columns(described) for name in names]
    return {name: r.recipe_id for name, r in build_recipes(described, made).items()}


def feature_groups(**changed: dict[str, Any]) -> list[dict[str, Any]]:
    """The shipped feature groups, with other parameters for some kinds."""
    shipped = load_problem(ROOT / "mlops_assets" / "defs" / "bitcoin_close" / "defs.yaml")
    return [{**g.model_dump(), **changed.get(g.kind, {})} for g in shipped.features]


def test_a_parameter_of_a_feature_changes_the_recipes_that_use_it() -> None:
    quicker = {"params": {"half_life": 10, "baseline": 24}}
    before, after = shipped_ids(), shipped_ids(features=feature_groups(slot_log_volatility=quicker))
    assert all(after[name] != before[name] for name in before)  # the volatility model uses it


def test_a_further_feature_group_changes_only_the_recipes_whose_sets_match_it() -> None:
    more = {"kind": "as_of_level", "source": "gold"}
    before, after = shipped_ids(), shipped_ids(features=[*feature_groups(), more])
    assert {name for name in before if after[name] != before[name]} == {
        "random_forest",
        "hist_gradient_boosting",
    }


def test_further_event_dates_do_not_change_a_recipe() -> None:
    shipped = load_problem(ROOT / "mlops_assets" / "defs" / "bitcoin_close" / "defs.yaml")
    events = {name: calendar.model_dump() for name, calendar in shipped.events.items()}
    events["fomc"]["dates"] = [*events["fomc"]["dates"], "2027-01-27"]
    assert shipped_ids(events=events) == shipped_ids()
