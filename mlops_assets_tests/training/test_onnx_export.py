"""The model file says what its Python twin says, on rows with gaps, for every family."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import onnx
import onnxruntime
import polars as pl
import pytest

from mlops_assets.training.families import FAMILIES
from mlops_assets.training.fit import FittedRecipe, fit_recipe
from mlops_assets.training.linear import LinearFit
from mlops_assets.training.onnx_export import (
    ALLOWED_SHARE,
    RELATIVE_TOLERANCE,
    ParityError,
    export,
    input_matrix,
    model_inputs,
    require_parity,
    run,
)
from mlops_assets.training.onnx_graph import GraphBuilder
from mlops_assets_tests.features.series import at
from mlops_assets_tests.training.made import CANDIDATES, design_rows, problem, recipes

TRAINING = design_rows()
PROBLEM = problem()
BAND = np.random.default_rng(4).uniform(1.0, 2.5, 2000)
FRESH = design_rows(2000, seed=9).with_columns(band_quantile=pl.Series(BAND))


@pytest.fixture(scope="module")
def fits() -> dict[str, FittedRecipe]:
    """One fit of each candidate, and a ridge on the unscaled target."""
    unscaled = {**CANDIDATES["ridge"], "scaled_target": False}
    return {
        name: fit_recipe(recipe, TRAINING, refit_at=at(1500))
        for name, recipe in recipes(unscaled=unscaled).items()
    }


def test_there_is_a_candidate_of_every_family() -> None:
    assert {c["family"] for c in CANDIDATES.values()} == set(FAMILIES)


@pytest.mark.parametrize("name", [*CANDIDATES, "unscaled"])
def test_the_graph_gives_what_python_gives(name: str, fits: dict[str, FittedRecipe]) -> None:
    fitted = fits[name]
    model = export(fitted, PROBLEM)

    parity = require_parity(model, fitted, FRESH, PROBLEM)

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    features = [FRESH[c].fill_null(float("nan")).to_numpy() for c in fitted.recipe.columns]
    (given,) = session.run(None, {"features": np.column_stack([*features, BAND])})
    location, scale = fitted.predict(FRESH)
    wanted = np.stack([location - BAND * scale, location, location + BAND * scale], axis=1)
    width = 2 * BAND * scale
    off = np.abs(given - wanted).max(axis=1) / width
    assert (off > RELATIVE_TOLERANCE).mean() <= ALLOWED_SHARE
    assert parity.rows == 2000
    assert parity.differing_rows == int((off > RELATIVE_TOLERANCE).sum())
    assert parity.largest_relative == pytest.approx(off.max(), abs=1e-6)


@pytest.mark.parametrize("name", ["last_value", "drift", "ridge", "unscaled"])
def test_models_without_trees_agree_to_eleven_digits(
    name: str, fits: dict[str, FittedRecipe]
) -> None:
    assert (
        require_parity(export(fits[name], PROBLEM), fits[name], FRESH, PROBLEM).largest_relative
        < 1e-11
    )


def test_the_trees_see_missing_inputs(fits: dict[str, FittedRecipe]) -> None:
    fitted = fits["hist_gradient_boosting"]
    location, _ = fitted.predict(FRESH)
    filled, _ = fitted.predict(FRESH.with_columns(pl.col("noise").fill_null(0.0)))

    missing = FRESH["noise"].is_null().to_numpy()
    assert (location[missing] != filled[missing]).any()
    assert (location[~missing] == filled[~missing]).all()


def test_the_input_holds_each_feature_once_and_the_band_quantile_last(
    fits: dict[str, FittedRecipe],
) -> None:
    assert model_inputs(fits["ridge"], PROBLEM) == ("level", "noise", "holed", "band_quantile")
    assert model_inputs(fits["drift"], PROBLEM) == ("level", "holed", "band_quantile")
    matrix = input_matrix(fits["drift"], FRESH[:2], PROBLEM)
    assert matrix.shape == (2, 3)
    assert matrix[:, 2].tolist() == BAND[:2].tolist()


def test_a_model_file_is_plain_onnx_without_external_data(fits: dict[str, FittedRecipe]) -> None:
    for fitted in fits.values():
        model = onnx.load_from_string(export(fitted, PROBLEM))

        domains = {node.domain for node in model.graph.node}
        assert domains <= {"", "ai.onnx.ml"}
        external = onnx.TensorProto.EXTERNAL
        assert all(t.data_location != external for t in model.graph.initializer)
        assert [i.name for i in model.graph.input] == ["features"]
        assert [o.name for o in model.graph.output] == ["quantiles"]


def test_an_export_repeats_to_the_byte(fits: dict[str, FittedRecipe]) -> None:
    assert export(fits["ridge"], PROBLEM) == export(fits["ridge"], PROBLEM)


@pytest.mark.parametrize("rows", [0, 1])
def test_a_model_takes_any_number_of_rows(rows: int, fits: dict[str, FittedRecipe]) -> None:
    fitted = fits["drift"]

    given = run(export(fitted, PROBLEM), input_matrix(fitted, FRESH[:rows], PROBLEM))

    assert given.shape == (rows, 3)


@dataclass(frozen=True)
class Misspelt(LinearFit):
    """A linear model whose graph forgets to clip."""

    def add_to_graph(self, graph: GraphBuilder, features: str) -> str:
        filled = graph.fill_missing(features, self.center)
        centred = graph.node("Sub", filled, graph.constant(self.center[None, :]))
        scaled = graph.node("Div", centred, graph.constant(self.spread[None, :]))
        product = graph.node("MatMul", scaled, graph.constant(self.coef[:, None]))
        return graph.node("Add", product, graph.constant(np.array([[self.intercept]])))


def broken(fitted: FittedRecipe) -> FittedRecipe:
    assert isinstance(fitted.location, LinearFit)
    return replace(fitted, location=Misspelt(**vars(fitted.location)))


def test_a_family_whose_graph_differs_from_its_python_is_stopped(
    fits: dict[str, FittedRecipe],
) -> None:
    fitted = broken(fits["ridge"])

    told = (
        r"ridge: \d+ of 2000 rows differ between ONNX and Python by more than 0\.0001 of the "
        r"band's width; at most 0\.1% may; check the family's add_to_graph"
    )
    with pytest.raises(ParityError, match=told):
        require_parity(export(fitted, PROBLEM), fitted, FRESH, PROBLEM)


def test_one_row_in_a_thousand_may_differ_and_no_more(fits: dict[str, FittedRecipe]) -> None:
    fitted = fits["ridge"]
    model = export(fitted, PROBLEM)
    few, many = _with_far_rows(2), _with_far_rows(3)

    assert require_parity(model, fitted, few, PROBLEM).differing_rows == 0
    bad = export(broken(fitted), PROBLEM)
    assert require_parity(bad, broken(fitted), few, PROBLEM).differing_rows == 2
    with pytest.raises(ParityError, match="3 of 2000 rows"):
        require_parity(bad, broken(fitted), many, PROBLEM)


def _with_far_rows(count: int) -> pl.DataFrame:
    """2000 rows of which `count` lie beyond the bounds that the broken graph forgets."""
    inside = FRESH.with_columns(level=0.0, noise=0.0, holed=0.0)
    far = pl.int_range(pl.len()) < count
    return inside.with_columns(noise=pl.when(far).then(50.0).otherwise(0.0))


def test_a_graph_that_gives_no_number_is_stopped(fits: dict[str, FittedRecipe]) -> None:
    fitted = fits["ridge"]
    assert isinstance(fitted.location, LinearFit)
    void = replace(fitted, location=replace(fitted.location, intercept=float("nan")))

    with pytest.raises(ParityError, match="2000 of 2000 rows"):
        require_parity(export(void, PROBLEM), void, FRESH, PROBLEM)
