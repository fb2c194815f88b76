from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mlops_assets.evaluation.backtest import add_bands, run_backtest
from mlops_assets.evaluation.folds import Fold, plan_folds
from mlops_assets.features.design import lay_rows
from mlops_assets.features.feature_set import compute_features
from mlops_assets.features.leakage import known_at
from mlops_assets.forecasting import live
from mlops_assets.forecasting.live import LoadedVersion
from mlops_assets.storage.tables import TableStore
from mlops_assets.training.fit import FittedRecipe, fit_recipe
from mlops_assets.training.intervals import TooFewScoresError
from mlops_assets.training.model_card import Provenance, build_card, build_example
from mlops_assets.training.onnx_export import export
from mlops_assets_tests.end_to_end import planted
from mlops_assets_tests.end_to_end.planted import AS_OF, DAY, HOUR
from serving.contract.model_card import ModelCard

# The band's window is shorter than a fold, so that the stored rows of one fold fill it.
PROBLEM = planted.problem(band={"coverage": 0.9, "window": 100, "calibration": "5d"})
VALUES = ("point", "lower", "upper")


class Evidence:
    """Observations, design rows and backtest of the planted market."""

    def __init__(self, folder: Path) -> None:
        self.observations = planted.observed(PROBLEM, planted.market())
        self.rows = planted.designed(PROBLEM, self.observations)
        self.recipes = planted.recipes(PROBLEM, self.rows)
        self.folds = plan_folds(PROBLEM, as_of=AS_OF)
        store = TableStore(str(folder))
        forecasts, _ = run_backtest(
            self.rows, self.recipes, self.folds, store=store, log=lambda _: None
        )
        self.backtest = add_bands(
            forecasts, self.rows, PROBLEM, evaluate_from=self.folds[1].refit_at
        )

    @property
    def fold(self) -> Fold:
        """The last fold, whose band reads the scores of the one before."""
        return self.folds[-1]

    def loaded(self, candidate: str, *, version: str = "1") -> LoadedVersion:
        """The model file of a candidate's fit at the fold's refit, as it would be registered."""
        seen = self.rows.filter(pl.col("target_known_at") <= self.fold.refit_at)
        fitted = fit_recipe(self.recipes[candidate], seen, refit_at=self.fold.refit_at)
        return LoadedVersion(version, "run-1", *model_and_card(fitted, seen))

    def live_rows(self, origin: datetime) -> pl.DataFrame:
        """Design rows of one origin, from what was known then and nothing else."""
        features = compute_features(known_at(self.observations, origin), PROBLEM)
        return lay_rows(features, PROBLEM, steps=[1]).filter(pl.col("origin") == origin)


def model_and_card(fitted: FittedRecipe, seen: pl.DataFrame) -> tuple[bytes, ModelCard]:
    model = export(fitted, PROBLEM)
    banded = seen.with_columns(band_quantile=pl.lit(1.5))
    provenance = Provenance(
        as_of=fitted.refit_at,
        data_versions={"features": "data-1"},
        dagster_run_id="dagster-1",
        synthetic=False,
    )
    card = build_card(
        PROBLEM,
        fitted,
        model_sha256="",
        example=build_example(model, fitted, banded, PROBLEM),
        advance=frozenset(),
        provenance=provenance,
    )
    return model, card


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return Evidence(tmp_path_factory.mktemp("tables"))


@pytest.mark.parametrize(
    ("candidate", "share_of_band"), [("last_value", 1e-9), ("ridge", 1e-9), ("boosting", 1e-5)]
)
def test_a_backtest_fold_equals_live_forecasts_of_the_model_file(
    evidence: Evidence, candidate: str, share_of_band: float
) -> None:
    # Every origin is forecast as if it were now: later rows and later scores do not exist.
    origins = [evidence.fold.refit_at, evidence.fold.refit_at + DAY, evidence.fold.end - HOUR]
    loaded = evidence.loaded(candidate)
    known = pl.col("target_known_at")
    said = pl.concat(
        live.forecast(loaded, evidence.live_rows(o), evidence.backtest.filter(known <= o), PROBLEM)
        for o in origins
    )

    tested = evidence.backtest.filter(
        pl.col("candidate") == candidate, pl.col("origin").is_in(origins)
    )
    assert said["origin"].to_list() == tested["origin"].to_list() == origins
    assert said["valid_time"].to_list() == tested["valid_time"].to_list()
    width = (tested["upper"] - tested["lower"]).to_numpy()[:, None]
    gap = np.abs(said.select(VALUES).to_numpy() - tested.select(VALUES).to_numpy())
    # For the linear recipes relative to the value, which is a far larger number than the band.
    scale = width if candidate == "boosting" else tested.select(VALUES).to_numpy()
    assert (gap <= share_of_band * scale).all()


def test_a_whole_fold_in_one_go_is_what_its_origins_give_one_by_one(evidence: Evidence) -> None:
    rows = lay_rows(compute_features(evidence.observations, PROBLEM), PROBLEM, steps=[1])
    ahead = rows.filter(pl.col("origin") < evidence.fold.end)

    said = live.forecast(evidence.loaded("ridge"), ahead, evidence.backtest, PROBLEM)

    tested = evidence.backtest.filter(
        pl.col("candidate") == "ridge", pl.col("refit_at") == evidence.fold.refit_at
    )
    assert said["origin"].to_list() == planted.origins_of(evidence.fold)
    np.testing.assert_allclose(said.select(VALUES), tested.select(VALUES), rtol=1e-9)


def test_a_version_speaks_only_about_origins_at_or_after_its_refit(evidence: Evidence) -> None:
    loaded, refit_at = evidence.loaded("ridge"), evidence.fold.refit_at
    around = evidence.rows.filter(pl.col("origin").is_between(refit_at - 2 * HOUR, refit_at + HOUR))

    said = live.forecast(loaded, around, evidence.backtest, PROBLEM)
    before = around.filter(pl.col("origin") < refit_at)

    assert said["origin"].to_list() == [refit_at, refit_at + HOUR]
    assert live.forecast(loaded, before, evidence.backtest, PROBLEM).equals(live.empty())


def test_forecasts_carry_their_provenance_in_the_schema_of_the_table(evidence: Evidence) -> None:
    newest = evidence.rows.tail(1)

    said = live.forecast(evidence.loaded("ridge"), newest, evidence.backtest, PROBLEM)

    assert said.schema == live.SCHEMA
    row = said.row(0, named=True)
    assert row["problem"] == "coin_close"
    assert (row["version"], row["run_id"], row["data_version"]) == ("1", "run-1", "data-1")
    assert row["recipe_id"] == evidence.recipes["ridge"].recipe_id
    assert (row["nominal_coverage"], row["synthetic"]) == (0.9, False)
    assert row["max_known_at"] == row["origin"]
    assert live.is_finite(said)


def test_a_recipe_that_the_backtest_does_not_know_gets_no_band(evidence: Evidence) -> None:
    others = evidence.backtest.filter(pl.col("candidate") != "ridge")

    with pytest.raises(TooFewScoresError, match="fewer than 100 forecasts have come true"):
        live.forecast(evidence.loaded("ridge"), evidence.rows.tail(1), others, PROBLEM)


def said(version: str, hour: int, point: float) -> pl.DataFrame:
    """One forecast of `version` from an hour of 1 May."""
    origin = planted.START + hour * HOUR
    fields = {"version": version, "series": "coin", "origin": origin, "step": 1, "point": point}
    empty = {name: [None] for name in live.SCHEMA if name not in fields}
    filled = {name: [value] for name, value in fields.items()}
    return pl.DataFrame({**empty, **filled}, schema_overrides=live.SCHEMA).select(*live.SCHEMA)


def test_what_was_said_once_is_never_rewritten() -> None:
    table = live.add_new(
        pl.concat([said("1", 0, 100.0), said("1", 1, 101.0)]),
        [said("1", 1, 999.0), said("2", 1, 102.0), said("1", 2, 103.0)],
    )

    assert table.select("version", "point").rows() == [
        ("1", 100.0),
        ("1", 101.0),
        ("2", 102.0),
        ("1", 103.0),
    ]


def test_rows_since_the_newest_forecast_are_due_and_always_the_newest(evidence: Evidence) -> None:
    rows, hour = evidence.rows.head(3), planted.START + HOUR
    origins = rows["origin"].to_list()
    assert origins == [hour, hour + HOUR, hour + 2 * HOUR]

    assert live.newest_origins(rows, live.empty())["origin"].to_list() == origins[-1:]
    assert live.newest_origins(rows, said("1", 1, 100.0))["origin"].to_list() == origins[1:]
    assert live.newest_origins(rows, said("1", 3, 100.0))["origin"].to_list() == origins[-1:]


@pytest.mark.parametrize(
    ("lower", "point", "upper", "sound"),
    [
        (99.0, 100.0, 101.0, True),
        (100.0, 100.0, 100.0, True),
        (99.0, float("nan"), 101.0, False),
        (99.0, 100.0, float("inf"), False),
        (100.5, 100.0, 101.0, False),
    ],
)
def test_a_forecast_is_sound_when_it_is_finite_and_inside_its_band(
    lower: float, point: float, upper: float, sound: bool
) -> None:
    table = pl.DataFrame({"lower": [lower], "point": [point], "upper": [upper]})

    assert live.is_finite(table) is sound


def test_forecasts_that_a_check_stopped_are_split_off_to_be_said_anew() -> None:
    origin = planted.START
    row = said("1", 0, 100.0).with_columns(
        last_observed=pl.lit(origin),
        max_known_at=pl.lit(origin),
        valid_time=pl.lit(origin + HOUR),
        lower=pl.lit(99.0),
        upper=pl.lit(101.0),
    )
    early = row.with_columns(valid_time=pl.lit(origin), version=pl.lit("2"))
    late = row.with_columns(max_known_at=pl.lit(origin + HOUR), version=pl.lit("3"))
    outside = row.with_columns(upper=pl.lit(99.5), version=pl.lit("4"))

    sound, stopped = live.split_sound(pl.concat([row, early, late, outside]), frequency=HOUR)

    assert sound["version"].to_list() == ["1"]
    assert stopped["version"].to_list() == ["2", "3", "4"]
