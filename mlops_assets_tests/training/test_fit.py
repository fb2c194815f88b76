"""A fit sees what was known at its cutoff and nothing else."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from mlops_assets.training.fit import (
    TooFewRowsError,
    fit_recipe,
    fit_scale,
    known_by,
    matrix,
)
from mlops_assets.training.linear import ridge, ridge_clipped_at_sd
from mlops_assets_tests.features.series import at
from mlops_assets_tests.training.made import CANDIDATES, COLUMNS, design_rows, recipes

ROWS = design_rows()
CUTOFF = 900
AHEAD = ROWS.filter(pl.col("origin") >= at(CUTOFF))


def with_another_future(rows: pl.DataFrame) -> pl.DataFrame:
    """Absurd targets where they became known after the cutoff."""
    later = pl.col("target_known_at") > at(CUTOFF)
    return rows.with_columns(
        pl.when(later).then(pl.lit(1e3)).otherwise(name).alias(name)
        for name in ("actual", "realised", "log_volatility")
    )


@pytest.mark.parametrize("name", CANDIDATES)
def test_targets_known_after_the_cutoff_change_no_bit_of_a_fit(name: str) -> None:
    recipe = recipes()[name]

    honest = fit_recipe(recipe, ROWS, refit_at=at(CUTOFF))
    other = fit_recipe(recipe, with_another_future(ROWS), refit_at=at(CUTOFF))

    assert honest.training_rows == other.training_rows
    for ours, theirs in zip(honest.predict(AHEAD), other.predict(AHEAD), strict=True):
        assert ours.tobytes() == theirs.tobytes()
    changed = fit_recipe(recipe, with_another_future(ROWS), refit_at=at(1500))
    # The future is worth hiding: a fit that may use it, does.
    assert (changed.predict(AHEAD)[1] != honest.predict(AHEAD)[1]).any()


def test_a_target_known_at_the_very_cutoff_is_used_and_the_next_is_not() -> None:
    known = known_by(ROWS, at(CUTOFF), "all")

    assert known["target_known_at"].max() == at(CUTOFF)
    assert len(known) == CUTOFF


def test_a_target_that_became_known_late_is_not_used_before() -> None:
    late = ROWS.with_columns(
        target_known_at=pl.when(pl.col("origin") == at(10))
        .then(pl.lit(at(CUTOFF + 1)))
        .otherwise("target_known_at")
    )

    assert at(10) not in known_by(late, at(CUTOFF), "all")["origin"].to_list()
    assert at(10) in known_by(late, at(CUTOFF + 1), "all")["origin"].to_list()


def test_a_window_keeps_the_origins_from_so_long_before_the_cutoff() -> None:
    windowed = known_by(ROWS, at(CUTOFF), timedelta(days=10))

    assert windowed["origin"].min() == at(CUTOFF - 240)
    assert windowed["origin"].max() == at(CUTOFF - 1)


def test_a_fit_says_which_origins_it_was_trained_on() -> None:
    fitted = fit_recipe(recipes()["random_forest"], ROWS, refit_at=at(CUTOFF))  # 30 days

    assert (fitted.training_start, fitted.training_end) == (at(CUTOFF - 720), at(CUTOFF - 1))
    assert fitted.training_rows == 720
    assert fitted.refit_at == at(CUTOFF)


def test_rows_without_a_return_are_left_out_of_training() -> None:
    holed = ROWS.with_columns(
        realised=pl.when(pl.int_range(pl.len()) < 5).then(None).otherwise("realised")
    )

    assert known_by(holed, at(CUTOFF), "all")["origin"].min() == at(5)


def test_ridge_is_fitted_on_returns_in_units_of_forecast_volatility_clipped() -> None:
    recipe = recipes()["ridge"]
    used = ROWS[:CUTOFF]

    fitted = fit_recipe(recipe, ROWS, refit_at=at(CUTOFF))

    volatility = ridge_clipped_at_sd(
        matrix(used, ("level", "holed")), used["log_volatility"].to_numpy(), alpha=1.0, clip_sd=8
    )
    scale = np.exp(volatility.predict(matrix(AHEAD, ("level", "holed"))))
    trained_on = np.exp(volatility.predict(matrix(used, ("level", "holed"))))
    scaled = np.clip(used["realised"].to_numpy() / trained_on, -4, 4)
    by_hand = ridge(matrix(used, COLUMNS), scaled, params={"alpha": 10, "clip_quantile": 0.01})
    location = by_hand.predict(matrix(AHEAD, COLUMNS)) * scale
    np.testing.assert_allclose(fitted.predict(AHEAD)[1], scale, rtol=1e-12)
    np.testing.assert_allclose(fitted.predict(AHEAD)[0], location, rtol=1e-12)


def test_the_planted_signal_and_volatility_are_found() -> None:
    location, scale = fit_recipe(recipes()["ridge"], ROWS, refit_at=at(CUTOFF)).predict(AHEAD)

    assert np.corrcoef(np.log(scale), AHEAD["level"].to_numpy())[0, 1] > 0.99
    known = AHEAD["noise"].is_not_null().to_numpy()
    signal = AHEAD["noise"].fill_null(0.0).to_numpy()
    assert np.corrcoef((location / scale)[known], signal[known])[0, 1] > 0.95


def test_the_drift_is_the_mean_return_before_the_cutoff() -> None:
    location, _ = fit_recipe(recipes()["drift"], ROWS, refit_at=at(CUTOFF)).predict(AHEAD)

    assert location == pytest.approx(np.mean(ROWS["realised"].to_numpy()[:CUTOFF]))


def test_a_volatility_model_that_is_there_already_is_not_fitted_again() -> None:
    recipe = recipes()["ridge"]
    assert recipe.scale is not None
    scale = fit_scale(recipe.scale, recipe.scale_features, ROWS, refit_at=at(CUTOFF))

    fitted = fit_recipe(recipe, ROWS, refit_at=at(CUTOFF), scale=scale)

    assert fitted.scale is scale
    fresh = fit_recipe(recipe, ROWS, refit_at=at(CUTOFF))
    assert fresh.predict(AHEAD)[0].tobytes() == fitted.predict(AHEAD)[0].tobytes()


def test_too_little_history_is_refused_with_what_is_needed() -> None:
    with pytest.raises(TooFewRowsError) as caught:
        fit_recipe(recipes()["ridge"], ROWS, refit_at=at(99))
    assert str(caught.value) == (
        "recipe 'ridge' has 99 training rows at 2024-03-05T03:00Z and needs 100; "
        "load more history (sources.*.start) or start the evaluation later"
    )
    with pytest.raises(
        TooFewRowsError, match=r"the volatility model has 3 training rows .* needs 4"
    ):
        fit_recipe(recipes()["ridge"], ROWS, refit_at=at(3))
