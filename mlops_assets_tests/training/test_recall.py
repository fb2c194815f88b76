"""A fit is made once for the same recipe, rows and cutoff, and is the same fit when recalled."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.storage.kept_objects import KeptObjects
from mlops_assets.training import recall
from mlops_assets.training.fit import fit_recipe
from mlops_assets.training.recall import fit_key, fit_or_recall
from mlops_assets_tests.features.series import at
from mlops_assets_tests.training.made import CANDIDATES, design_rows, recipes

ROWS = design_rows()
CUTOFF = 900
AHEAD = ROWS.filter(pl.col("origin") >= at(CUTOFF))


def never(*_: object, **__: object) -> None:
    raise AssertionError("it was fitted again")


@pytest.mark.parametrize("name", CANDIDATES)
def test_a_recalled_fit_forecasts_bit_for_bit_what_a_made_one_does(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, kept = recipes()[name], KeptObjects(tmp_path)
    made = fit_recipe(recipe, ROWS, refit_at=at(CUTOFF))
    fit_or_recall(recipe, ROWS, refit_at=at(CUTOFF), kept=kept)

    monkeypatch.setattr(recall, "fit_recipe", never)
    recalled = fit_or_recall(recipe, ROWS, refit_at=at(CUTOFF), kept=kept)

    assert recalled.training_rows == made.training_rows
    assert recalled.location.describe() == made.location.describe()
    for ours, theirs in zip(recalled.predict(AHEAD), made.predict(AHEAD), strict=True):
        assert ours.tobytes() == theirs.tobytes()


def test_rows_that_were_not_known_at_the_cutoff_play_no_part() -> None:
    recipe = recipes()["ridge"]
    known = ROWS.filter(pl.col("target_known_at") <= at(CUTOFF))

    assert len(known) < len(ROWS)
    assert fit_key(recipe, known, refit_at=at(CUTOFF)) == fit_key(recipe, ROWS, refit_at=at(CUTOFF))


def test_another_cutoff_recipe_or_value_is_another_fit() -> None:
    recipe = recipes()["ridge"]
    key = fit_key(recipe, ROWS, refit_at=at(CUTOFF))
    corrected = ROWS.with_columns(
        pl.when(pl.col("origin") == at(500))
        .then(pl.col(recipe.features[0]) + 1e-12)
        .otherwise(pl.col(recipe.features[0]))
        .alias(recipe.features[0])
    )

    assert fit_key(recipe, ROWS, refit_at=at(CUTOFF) + timedelta(hours=1)) != key
    assert fit_key(recipes()["random_forest"], ROWS, refit_at=at(CUTOFF)) != key
    assert fit_key(recipe, corrected, refit_at=at(CUTOFF)) != key


def test_another_library_is_another_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipes()["ridge"]
    key = fit_key(recipe, ROWS, refit_at=at(CUTOFF))

    monkeypatch.setattr(recall, "_libraries", lambda: "another numpy")

    assert fit_key(recipe, ROWS, refit_at=at(CUTOFF)) != key


def test_without_a_place_to_keep_it_a_fit_is_made(tmp_path: Path) -> None:
    fit_or_recall(recipes()["ridge"], ROWS, refit_at=at(CUTOFF))
    assert list(tmp_path.iterdir()) == []
