"""Locations made of features and of other locations."""

from __future__ import annotations

import numpy as np
import pytest

from mlops_assets.problem import ProblemError
from mlops_assets.training.composed import (
    AboveReference,
    OneFeature,
    Part,
    WeightedAverage,
    best_feature,
    feature,
)
from mlops_assets.training.families import check_families
from mlops_assets.training.fit import fit_recipe
from mlops_assets_tests.features.series import at
from mlops_assets_tests.training.made import design_rows, problem, recipes

ROWS = design_rows(600)
INPUT = np.array([[1.0, 10.0, 4.0], [2.0, 20.0, np.nan]])


def test_a_single_feature_is_the_forecast_as_it_is_and_stays_missing() -> None:
    fitted = feature(INPUT[:, 2:], np.array([0.0, 0.0]), params={})

    np.testing.assert_array_equal(fitted.predict(INPUT[:, 2:]), [4.0, np.nan])


def test_a_set_of_two_features_is_no_forecast() -> None:
    with pytest.raises(ProblemError, match=r"family 'feature' has 2 features; .* exactly one"):
        feature(INPUT[:, :2], np.array([0.0, 0.0]), params={})


def test_the_best_feature_is_the_one_with_the_lowest_absolute_error() -> None:
    target = np.array([1.0, 2.0, 3.0])
    near, far = np.array([1.1, 1.9, 3.2]), np.array([1.5, 2.5, 2.5])

    fitted = best_feature(np.column_stack([far, near]), target, params={})

    assert fitted.position == 1


def test_rows_without_a_feature_do_not_decide_and_are_filled_with_its_mean() -> None:
    target = np.array([1.0, 2.0, 100.0])
    features = np.array([[1.0, 0.0], [2.0, 0.0], [np.nan, 100.0]])

    fitted = best_feature(features, target, params={})

    assert fitted.position == 0
    np.testing.assert_array_equal(fitted.predict(features), [1.0, 2.0, 1.5])


def test_an_average_weighs_its_parts_each_on_its_own_columns() -> None:
    both = WeightedAverage((Part(0.75, (0,), OneFeature(0)), Part(0.25, (0, 1), OneFeature(1))))

    assert both.predict(INPUT).tolist() == [0.75 * 1 + 0.25 * 10, 0.75 * 2 + 0.25 * 20]


def test_a_location_above_a_reference_adds_it() -> None:
    assert AboveReference(1, OneFeature(0)).predict(INPUT).tolist() == [11.0, 22.0]


def test_an_average_of_candidates_is_the_weighted_mean_of_their_forecasts() -> None:
    made = recipes()
    rows = {name: fit_recipe(made[name], ROWS, refit_at=at(500)) for name in made}
    ahead = ROWS.tail(50)

    given, _ = rows["average"].predict(ahead)

    ridge, _ = rows["ridge"].predict(ahead)
    boosting, _ = rows["hist_gradient_boosting"].predict(ahead)
    np.testing.assert_allclose(given, 0.75 * ridge + 0.25 * boosting, rtol=1e-12)


def test_the_identity_of_an_average_changes_with_that_of_a_member() -> None:
    other = recipes(
        ridge={"family": "ridge", "features": "all", "params": {"alpha": 20, "clip_quantile": 0.01}}
    )

    assert other["average"].recipe_id != recipes()["average"].recipe_id
    assert other["last_value"].recipe_id == recipes()["last_value"].recipe_id


def test_what_is_learned_above_a_reference_is_the_difference_to_it() -> None:
    plain = {"family": "drift", "scaled_target": False}
    above = recipes(mean={**plain, "reference": "level"})["mean"]

    location, _ = fit_recipe(above, ROWS, refit_at=at(600)).predict(ROWS)

    used, level = ROWS.filter(ROWS["target_known_at"] <= at(600)), ROWS["level"].to_numpy()
    shift = np.mean(used["realised"].to_numpy() - used["level"].to_numpy())
    np.testing.assert_allclose(location, level + shift, rtol=1e-12)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"ridge": 1, "average": 1}, "params.members names 'average'"),
        ({"ridge": 1, "nobody": 1}, "params.members names 'nobody'"),
        ({"ridge": 1, "last_value": 1}, "that of its member 'last_value' False"),
        ({"ridge": 1, "drift": -1}, "weights must be above 0"),
    ],
)
def test_an_average_of_what_cannot_be_averaged_is_refused(
    params: dict[str, float], message: str
) -> None:
    with pytest.raises(ProblemError, match=message):
        check_families(problem(average={"family": "average", "params": {"members": params}}))
