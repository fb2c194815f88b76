"""Baselines, trees and the registration of families."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor

from mlops_assets.problem import ProblemError
from mlops_assets.training.baselines import drift, last_value
from mlops_assets.training.families import FAMILIES, check_families
from mlops_assets.training.trees import hist_gradient_boosting, random_forest
from mlops_assets_tests.training.made import CANDIDATES, inputs, problem

ROWS = 500
FEATURES = inputs(ROWS, 3)
TARGET = np.nan_to_num(FEATURES[:, 0]) + np.random.default_rng(3).normal(size=ROWS)
FOREST = CANDIDATES["random_forest"]["params"]
BOOSTING = CANDIDATES["hist_gradient_boosting"]["params"]
PARAMS = {c["family"]: c.get("params", {}) for c in CANDIDATES.values()}
LEARNING = [name for name in FAMILIES if name not in {"feature", "average", "prophet"}]
"""Families that fit something to any inputs; the others: `test_composed`, `test_prophet_curve`."""


def test_the_last_value_moves_by_nothing_whatever_it_was_trained_on() -> None:
    assert last_value(FEATURES, TARGET, params={}).predict(FEATURES).tolist() == [0.0] * ROWS


def test_the_drift_moves_by_the_mean_of_its_training_window() -> None:
    target = np.array([0.01, -0.02, 0.04])

    moves = drift(np.empty((3, 0)), target, params={}).predict(np.empty((2, 0)))

    assert moves == pytest.approx([0.01, 0.01])  # (0.01 - 0.02 + 0.04) / 3


def test_the_forest_is_scikit_learn_s_on_medians_and_float32() -> None:
    fit = random_forest(FEATURES, TARGET, params=FOREST)

    filled = np.where(np.isnan(FEATURES), np.nanmedian(FEATURES, axis=0), FEATURES)
    wanted = RandomForestRegressor(
        n_estimators=10, max_depth=5, min_samples_leaf=20, max_features="sqrt", random_state=0
    ).fit(filled.astype(np.float32), TARGET)
    np.testing.assert_allclose(
        fit.predict(FEATURES), wanted.predict(filled.astype(np.float32)), rtol=1e-12
    )
    nodes = sum(tree.tree_.node_count for tree in wanted.estimators_)
    assert fit.describe() == {"trees": 10, "nodes": nodes}


def test_boosting_is_scikit_learn_s_with_missing_inputs_kept() -> None:
    fit = hist_gradient_boosting(FEATURES, TARGET, params=BOOSTING)

    wanted = HistGradientBoostingRegressor(
        max_iter=15, learning_rate=0.1, max_leaf_nodes=6, min_samples_leaf=20, early_stopping=False,
        random_state=0,
    ).fit(FEATURES.astype(np.float32), TARGET)  # fmt: skip
    np.testing.assert_allclose(
        fit.predict(FEATURES), wanted.predict(FEATURES.astype(np.float32)), rtol=1e-12
    )
    assert fit.describe() == {"iterations": 15}


@pytest.mark.parametrize("family", LEARNING)
def test_a_fit_repeats_to_the_bit(family: str) -> None:
    params = PARAMS[family]

    once, twice = (FAMILIES[family](FEATURES, TARGET, params=params) for _ in range(2))

    assert once.predict(FEATURES).tobytes() == twice.predict(FEATURES).tobytes()


@pytest.mark.parametrize("family", LEARNING)
def test_an_input_that_is_missing_throughout_stops_no_family(family: str) -> None:
    dead = np.column_stack([FEATURES, np.full(ROWS, np.nan)])  # a source that never answered

    fit = FAMILIES[family](dead, TARGET, params=PARAMS[family])

    assert np.isfinite(fit.predict(dead)).all()


@pytest.mark.parametrize(
    ("family", "params", "message"),
    [
        ("last_value", {"step": 1}, "family 'last_value': params.step: Extra inputs"),
        ("drift", {"step": 1}, "it takes none"),
        ("random_forest", {**FOREST, "trees": 101}, "params.trees: Input should be less than"),
        ("random_forest", {"trees": 5}, "params.max_depth: Field required; params.min_samples"),
        ("hist_gradient_boosting", {**BOOSTING, "l2": -1}, "params.l2: Input should be greater"),
        ("lstm", {"hidden": 8}, "params.lookback: Field required"),
        ("transformer", {"lookback": 1, "layers": 3}, "params.layers: Input should be less than"),
        ("prophet", {"yearly": 3}, "it takes changepoints, changepoint_prior, daily, weekly"),
    ],
)
def test_parameters_that_a_family_does_not_take_are_named(
    family: str, params: dict[str, object], message: str
) -> None:
    with pytest.raises(ProblemError) as caught:
        FAMILIES[family](FEATURES, TARGET, params=params)

    assert message in str(caught.value)


def test_a_candidate_of_an_unknown_family_is_refused_with_the_families_there_are() -> None:
    check_families(problem())

    with pytest.raises(ProblemError) as caught:
        check_families(problem(lasso={"family": "lasso", "features": "all"}))

    assert str(caught.value) == (
        "coin_close: candidates.lasso.family 'lasso' is unknown; use one of last_value, drift, "
        "feature, best_feature, average, ridge, random_forest, hist_gradient_boosting, lstm, "
        "transformer, prophet"
    )
