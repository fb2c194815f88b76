"""Final fits on a real MLflow store: a sane one can be traced and used, an insane one is told."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import mlflow
import numpy as np
import polars as pl
import pytest

from mlops_assets.settings import Settings
from mlops_assets.training import families
from mlops_assets.training.families import RegisteredFamily
from mlops_assets.training.final_fit import (
    FinalFit,
    InsaneFitError,
    fit_and_register,
    require_sane,
)
from mlops_assets.training.fit import fit_recipe
from mlops_assets.training.forecaster import FloatArray
from mlops_assets.training.linear import LinearFit, RidgeParameters, ridge
from mlops_assets.training.model_card import Provenance
from mlops_assets.training.onnx_export import run
from mlops_assets.training.onnx_graph import GraphBuilder
from mlops_assets.training.tracking import client, ensure_experiment
from mlops_assets_tests.features.series import at
from mlops_assets_tests.training.made import design_rows, problem, recipes
from serving.contract.model_card import CARD_FILE, MODEL_FILE, ModelCard
from serving.contract.steps import to_target_units

ROWS = design_rows(1000)
PROVENANCE = Provenance(
    as_of=at(1000),
    data_versions={"features": "f1", "observations": "o1"},
    dagster_run_id="dagster-1",
    synthetic=True,
)
NAME = "sample.coin_close"


def final_fit(settings: Settings, candidate: str = "ridge", rows: pl.DataFrame = ROWS) -> FinalFit:
    return fit_and_register(
        recipes()[candidate], rows, problem(), refit_at=at(1000), provenance=PROVENANCE,
        settings=settings,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def parent(settings: Settings) -> Iterator[str]:
    """The parent run of a Dagster run is active."""
    mlflow.set_experiment(ensure_experiment(settings, "coin_close"))
    with mlflow.start_run() as opened:
        yield opened.info.run_id


@dataclass(frozen=True)
class Registered:
    """A registered fit and the files that serving would load."""

    fit: FinalFit
    tags: dict[str, str]
    folder: Path

    @property
    def card(self) -> ModelCard:
        return ModelCard.model_validate_json((self.folder / CARD_FILE).read_bytes())


@pytest.fixture
def registered(settings: Settings) -> Registered:
    fit = final_fit(settings)
    assert fit.version is not None
    version = client(settings).get_model_version(NAME, fit.version)
    folder = Path(mlflow.artifacts.download_artifacts(version.source))
    return Registered(fit, dict(version.tags), folder)


def test_a_sane_fit_becomes_a_version_with_its_figures(registered: Registered) -> None:
    fit = registered.fit

    assert fit.fault is None
    assert fit.parity_share == 0.0
    assert fit.tail_ratio is not None
    assert 0.8 < fit.tail_ratio < 1.0  # the planted signal lowers the error
    assert (fit.training_rows, fit.data_version, fit.as_of) == (1000, "f1", at(1000))
    row = fit.as_frame()
    assert row.row(0, named=True)["version"] == fit.version
    assert row.schema["fault"] == pl.String()


def test_a_version_pins_the_sha256_of_its_model_and_its_card(registered: Registered) -> None:
    def sha256(name: str) -> str:
        return hashlib.sha256((registered.folder / name).read_bytes()).hexdigest()

    assert registered.tags["model_sha256"] == sha256(MODEL_FILE)
    assert registered.tags["card_sha256"] == sha256(CARD_FILE)
    assert registered.card.model_sha256 == sha256(MODEL_FILE)


def test_a_version_is_tagged_with_recipe_data_and_run(registered: Registered) -> None:
    wanted = {
        "candidate": "ridge",
        "recipe_id": recipes()["ridge"].recipe_id,
        "baseline": "false",
        "as_of": "2024-04-11T16:00:00+00:00",
        "data_version": "f1",
        "dagster_run": "dagster-1",
        "synthetic": "true",
    }

    assert wanted.items() <= registered.tags.items()


def test_the_card_says_what_the_model_is_and_where_it_comes_from(registered: Registered) -> None:
    card = registered.card

    assert [f.name for f in card.features] == ["level", "noise", "holed", "band_quantile"]
    assert [f.source for f in card.features] == ["observed"] * 3 + ["calibration"]
    assert (card.problem, card.candidate, card.unit) == ("coin_close", "ridge", "USDT")
    assert (card.training_start, card.training_end) == (at(0), at(999))
    assert card.data_versions == PROVENANCE.data_versions
    assert card.mlflow_run_id == registered.fit.run_id
    assert card.dagster_run_id == "dagster-1"
    assert card.synthetic


def test_the_signature_is_one_float_tensor_in_and_three_quantiles_out(
    registered: Registered,
) -> None:
    signature = mlflow.models.Model.load(str(registered.folder / "MLmodel")).signature

    assert signature is not None
    (taken,), (given,) = signature.inputs.inputs, signature.outputs.inputs
    assert (taken.name, taken.type, taken.shape) == ("features", np.dtype("float64"), (-1, 4))
    assert (given.name, given.type, given.shape) == ("quantiles", np.dtype("float64"), (-1, 3))


def test_the_example_of_the_card_is_what_the_model_file_gives(registered: Registered) -> None:
    example = registered.card.example
    features = np.array(
        [[np.nan if v is None else v for v in row] for row in example.features], dtype=np.float64
    )

    output = run((registered.folder / MODEL_FILE).read_bytes(), features)

    given = to_target_units(registered.card.steps, output, np.array(example.last_value))
    np.testing.assert_allclose(given, example.expected, rtol=1e-12)
    assert example.last_value == ROWS["last_value"].tail(3).to_list()
    assert (np.diff(given, axis=1) > 0).all()


def test_the_model_s_run_is_nested_finished_and_holds_parameters_and_figures(
    registered: Registered, settings: Settings, parent: str
) -> None:
    run_ = client(settings).get_run(registered.fit.run_id)

    assert run_.info.status == "FINISHED"
    assert run_.data.tags["mlflow.parentRunId"] == parent
    assert run_.data.params["params.alpha"] == "10"
    assert run_.data.params["scale.alpha"] == "1.0"
    assert run_.data.metrics["training_rows"] == 1000
    assert run_.data.metrics["parity_differing_share"] == 0
    assert run_.data.metrics["fit.inputs"] == 3


def test_a_baseline_is_registered_like_any_other_model(settings: Settings) -> None:
    fit = final_fit(settings, "last_value")

    assert fit.baseline
    assert fit.tail_ratio == 1.0
    assert fit.version is not None
    assert client(settings).get_model_version(NAME, fit.version).tags["baseline"] == "true"


def versions(settings: Settings) -> int:
    return len(client(settings).search_model_versions(f"name='{NAME}'"))


def test_a_fit_that_is_worse_than_no_change_is_told_and_not_registered(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = versions(settings)

    def shouting(features: FloatArray, target: FloatArray, **params: object) -> LinearFit:
        honest = ridge(features, target, params={"alpha": 10.0})
        return replace(honest, intercept=5.0)

    monkeypatch.setitem(families.FAMILIES, "ridge", RegisteredFamily(shouting, RidgeParameters))
    fit = final_fit(settings)

    assert fit.version is None
    assert fit.fault is not None
    assert fit.fault.startswith("ridge has ")
    assert fit.fault.endswith(
        "times the error of no change on its newest 200 training rows; at most 1.5 is accepted; "
        "check its features and parameters"
    )
    assert versions(settings) == before
    assert client(settings).get_run(fit.run_id).info.status == "FINISHED"  # a normal outcome
    assert fit.as_frame()["version"].to_list() == [None]


def test_a_fit_for_comparison_only_is_registered_however_bad_it_is_and_tagged(
    settings: Settings,
) -> None:
    fit = final_fit(settings, "prophet")

    assert fit.fault is None
    assert fit.tail_ratio is not None
    assert fit.version is not None
    tags = client(settings).get_model_version(NAME, fit.version).tags
    assert tags["promotable"] == "false"


def test_the_same_fit_is_refused_where_it_could_serve() -> None:
    fitted = fit_recipe(recipes()["prophet"], ROWS, refit_at=at(1000))
    promotable = fitted.recipe.candidate.model_copy(update={"promotable": True})
    could_serve = replace(fitted, recipe=replace(fitted.recipe, candidate=promotable))

    assert require_sane(fitted, ROWS.tail(200), problem()) > 1.5
    with pytest.raises(InsaneFitError, match="times the error of no change"):
        require_sane(could_serve, ROWS.tail(200), problem())


@dataclass(frozen=True)
class Forgetful(LinearFit):
    """A linear model whose graph forgets its intercept."""

    def add_to_graph(self, graph: GraphBuilder, features: str) -> str:
        return replace(LinearFit(**vars(self)), intercept=0.0).add_to_graph(graph, features)


def test_a_fit_whose_export_differs_is_told_and_not_registered(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = versions(settings)

    def forgetful(features: FloatArray, target: FloatArray, **params: object) -> LinearFit:
        return Forgetful(
            **{**vars(ridge(features, target, params={"alpha": 10.0})), "intercept": 0.1}
        )

    monkeypatch.setitem(families.FAMILIES, "ridge", RegisteredFamily(forgetful, RidgeParameters))
    fit = final_fit(settings)

    assert fit.version is None
    assert str(fit.fault).startswith("ridge: 200 of 200 rows differ between ONNX and Python")
    assert versions(settings) == before


def test_forecasts_that_are_not_finite_are_no_sane_fit() -> None:
    fitted = fit_recipe(recipes()["ridge"], ROWS, refit_at=at(1000))
    assert isinstance(fitted.location, LinearFit)
    void = replace(fitted, location=replace(fitted.location, intercept=float("nan")))

    assert require_sane(fitted, ROWS.tail(200), problem()) < 1
    with pytest.raises(InsaneFitError, match="ridge gives forecasts that are not finite"):
        require_sane(void, ROWS.tail(200), problem())
