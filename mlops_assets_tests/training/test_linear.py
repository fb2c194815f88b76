"""Ridge against scikit-learn's own pipeline, and its clipping and filling by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlops_assets.problem import ProblemError
from mlops_assets.training.forecaster import FloatArray
from mlops_assets.training.linear import ridge, ridge_clipped_at_sd
from mlops_assets_tests.training.made import inputs

ROWS, COLUMNS = 400, 4


def target(features: FloatArray, seed: int = 2) -> FloatArray:
    rng = np.random.default_rng(seed)
    signal: FloatArray = np.nan_to_num(features) @ np.array([0.5, -0.02, 0.0, 1e-3])
    return signal + rng.normal(size=ROWS)


@settings(max_examples=15, deadline=None)
@given(st.floats(1e-3, 1e4), st.integers(0, 1000))
def test_without_clipping_ridge_is_scikit_learn_s_scaler_and_ridge(alpha: float, seed: int) -> None:
    features = inputs(ROWS, COLUMNS, seed=seed, missing=0.0)
    wanted = make_pipeline(StandardScaler(), Ridge(alpha=alpha)).fit(features, target(features))

    ours = ridge(features, target(features), params={"alpha": alpha})
    at_sd = ridge_clipped_at_sd(features, target(features), alpha=alpha, clip_sd=1e6)

    np.testing.assert_allclose(ours.predict(features), wanted.predict(features), atol=1e-8)
    np.testing.assert_allclose(at_sd.predict(features), wanted.predict(features), atol=1e-8)


def test_clipping_at_quantiles_is_that_pipeline_on_clipped_inputs() -> None:
    features = inputs(ROWS, COLUMNS, missing=0.0)
    fit = ridge(features, target(features), params={"alpha": 2.0, "clip_quantile": 0.05})

    lower, upper = np.quantile(features, 0.05, axis=0), np.quantile(features, 0.95, axis=0)
    clipped = np.clip(features, lower, upper)
    scaled = (clipped - features.mean(axis=0)) / features.std(axis=0)
    wanted = Ridge(alpha=2.0).fit(scaled, target(features)).predict(scaled)
    np.testing.assert_allclose(fit.predict(features), wanted, atol=1e-9)


def test_an_input_beyond_the_bounds_counts_as_the_bound() -> None:
    features = inputs(ROWS, COLUMNS, missing=0.0)
    fit = ridge(features, target(features), params={"alpha": 2.0, "clip_quantile": 0.05})
    row = features.mean(axis=0, keepdims=True)

    for column in range(COLUMNS):
        far, bound = row.copy(), row.copy()
        far[0, column], bound[0, column] = 1e9, np.quantile(features[:, column], 0.95)
        assert fit.predict(far)[0] == pytest.approx(fit.predict(bound)[0], rel=1e-12)
        far[0, column], bound[0, column] = -1e9, np.quantile(features[:, column], 0.05)
        assert fit.predict(far)[0] == pytest.approx(fit.predict(bound)[0], rel=1e-12)


def test_the_volatility_model_clips_at_so_many_standard_deviations() -> None:
    features = inputs(ROWS, COLUMNS, missing=0.0)
    fit = ridge_clipped_at_sd(features, target(features), alpha=1.0, clip_sd=2.0)

    center, spread = features.mean(axis=0), features.std(axis=0)
    np.testing.assert_allclose(fit.lower, center - 2 * spread)
    np.testing.assert_allclose(fit.upper, center + 2 * spread)
    three, two = (center + k * spread for k in (3, 2))
    assert fit.predict(three[None, :])[0] == pytest.approx(fit.predict(two[None, :])[0])


def test_a_missing_input_takes_the_mean_of_the_known_ones() -> None:
    features = inputs(ROWS, COLUMNS, missing=0.2)
    fit = ridge(features, target(features), params={"alpha": 2.0})

    mean = np.nanmean(features, axis=0)
    filled = np.where(np.isnan(features), mean, features)
    wanted = make_pipeline(StandardScaler(), Ridge(alpha=2.0)).fit(filled, target(features))
    np.testing.assert_allclose(fit.center, mean)
    np.testing.assert_allclose(fit.predict(features), wanted.predict(filled), atol=1e-8)
    nothing_known = np.full((1, COLUMNS), np.nan)
    assert fit.predict(nothing_known)[0] == pytest.approx(fit.intercept)


def test_inputs_that_are_constant_or_missing_throughout_say_nothing() -> None:
    features = inputs(ROWS, COLUMNS, missing=0.0)
    dull = np.column_stack([features, np.full(ROWS, 7.0), np.full(ROWS, np.nan)])
    plain = ridge(features, target(features), params={"alpha": 2.0, "clip_quantile": 0.01})
    at_sd = ridge_clipped_at_sd(dull, target(features), alpha=2.0, clip_sd=8)

    fit = ridge(dull, target(features), params={"alpha": 2.0, "clip_quantile": 0.01})

    np.testing.assert_allclose(fit.predict(dull), plain.predict(features), atol=1e-10)
    assert np.isfinite(at_sd.predict(dull)).all()
    assert at_sd.coef[4:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "family 'ridge': params.alpha: Field required; it takes alpha, clip_quantile"),
        ({"alpha": 0}, "params.alpha: Input should be greater than 0"),
        ({"alpha": 1, "beta": 2}, "params.beta: Extra inputs are not permitted"),
        ({"alpha": 1, "clip_quantile": 0.5}, "params.clip_quantile: Input should be less than 0.5"),
    ],
)
def test_parameters_that_cannot_be_used_are_named(params: dict[str, object], message: str) -> None:
    features = inputs(ROWS, COLUMNS)

    with pytest.raises(ProblemError) as caught:
        ridge(features, target(features), params=params)

    assert message in str(caught.value)
