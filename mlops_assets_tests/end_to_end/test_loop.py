"""From files to an answer over HTTP, through the job that Dagster's page launches too."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import httpx
import polars as pl
import pytest

from mlops_assets.cli.summary import RunSummary
from mlops_assets.promotion.registry import Registry
from mlops_assets.storage.publication import latest_snapshot_id
from mlops_assets.training.tracking import client
from mlops_assets_tests.end_to_end import planted
from mlops_assets_tests.end_to_end.planted import AS_OF, DAY, NAME
from mlops_assets_tests.end_to_end.world import World
from mlops_assets_tests.serving.running import is_ready, listening, until
from serving.app import create_app
from serving.contract.model_card import TAG_MODEL_SHA256
from serving.contract.snapshot import CALIBRATION, FORECASTS, INPUTS, MANIFEST, Manifest
from serving.settings import ServingSettings

pytestmark = pytest.mark.services
EXACT = ("point", "lower", "upper")


def snapshot(world: World) -> str:
    """Folder of the served snapshot below the storage root."""
    return f"published/{NAME}/{latest_snapshot_id(world.store, NAME)}"


def published(world: World, name: str) -> pl.DataFrame:
    return pl.read_parquet(io.BytesIO(world.store.read_file(f"{snapshot(world)}/{name}")))


def champion_forecast(world: World) -> dict[str, object]:
    """The newest row of the forecasts table by the champion's version."""
    version = world.table("champion")["version"][-1]
    own = world.table("forecasts").filter(pl.col("version") == version).sort("origin")
    return own.row(-1, named=True)


def test_the_candidate_that_finds_the_reversal_leads_and_is_promoted(
    first: World, summary: RunSummary
) -> None:
    board = {row.candidate: row for row in summary.leaderboard}

    assert summary.as_of == AS_OF  # the newest close in the files
    assert summary.leaderboard[0].candidate == "ridge"
    assert {row.n for row in board.values()} == {240}  # two folds of five days
    assert board["last_value"].skill == 0.0
    # Returns reverse by half: sqrt(1 - 0.25) = 0.87 of the error is left.
    assert board["ridge"].skill == pytest.approx(0.13, abs=0.04)
    assert (summary.verdict.decision, summary.champion.candidate) == ("promote", "ridge")
    assert "ridge takes the alias" in summary.verdict.reasons[-1]
    assert first.table("champion")["decision"].to_list() == ["promote"]


def test_every_candidate_is_registered_and_the_aliases_follow_the_verdict(
    first: World, summary: RunSummary
) -> None:
    registry = Registry(first.settings, NAME)
    store = client(first.settings)
    versions = {
        v.tags["candidate"]: v for v in store.search_model_versions(f"name = '{registry.name}'")
    }

    assert set(versions) == {"last_value", "ridge", "boosting"}
    assert all(len(v.tags[TAG_MODEL_SHA256]) == 64 for v in versions.values())
    aliases = store.get_registered_model(registry.name).aliases
    assert {alias: str(version) for alias, version in aliases.items()} == {
        "champion": summary.champion.version,
        "origin-20250610": summary.champion.version,
        **{f"origin-20250610-{name}": str(found.version) for name, found in versions.items()},
        "challenger": str(versions["boosting"].version),
    }
    model, card = registry.model(summary.champion.version)
    assert (card.candidate, card.refit_at, card.mlflow_run_id) == (
        "ridge",
        AS_OF,
        summary.champion.run_id,
    )
    assert set(card.data_versions) == {"raw_coin", "raw_index", "observations", "features"}
    assert len(model) > 0


def test_model_runs_lie_below_one_finished_parent(first: World) -> None:
    store = client(first.settings)
    experiment = store.get_experiment_by_name(f"files.{NAME}")
    assert experiment is not None
    runs = store.search_runs([experiment.experiment_id])
    [parent] = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run is not parent]

    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert {run.info.run_name for run in children} == {
        "model_last_value",
        "model_ridge",
        "model_boosting",
    }
    assert parent.data.metrics["ridge.mae"] < parent.data.metrics["last_value.mae"]
    report = {f.path for f in store.list_artifacts(parent.info.run_id, "report")}
    assert {"report/evaluation.html", "report/predictions.csv"} <= report


def test_the_snapshot_holds_the_columns_of_the_contract(first: World) -> None:
    manifest = Manifest.model_validate_json(first.store.read_file(f"{snapshot(first)}/{MANIFEST}"))
    inputs, forecasts = published(first, INPUTS), published(first, FORECASTS)

    assert (manifest.problem, manifest.as_of, manifest.unit) == (NAME, AS_OF, "USDT")
    assert (manifest.synthetic, manifest.data_mode) == (False, "files")
    assert inputs.columns[:4] == ["series", "origin", "last_observed", "last_value"]
    assert {"valid_time", "step", "coin_close_location"} <= set(inputs.columns)
    assert inputs["origin"].max() == AS_OF
    assert len(inputs) == manifest.files[INPUTS].rows == 14 * 24
    assert set(forecasts["version"]) == set(first.table("forecasts")["version"])
    known = published(first, CALIBRATION)
    assert known.columns == ["recipe_id", "series", "origin", "step", "band_quantile"]
    assert known["recipe_id"].n_unique() == 3
    assert known["band_quantile"].is_finite().all()


@pytest.fixture(scope="module")
def api(first: World) -> Iterator[httpx.Client]:
    settings = ServingSettings(data="files", home=first.folder / "home", api_poll_seconds=0.05)
    app = create_app(settings, clock=lambda: AS_OF + timedelta(minutes=30))
    with listening(app) as asking:
        until(lambda: is_ready(asking), what="the service is ready")
        yield asking


def test_the_api_answers_exactly_the_numbers_of_the_forecasts_table(
    api: httpx.Client, first: World
) -> None:
    expected = champion_forecast(first)

    latest = api.get(f"/forecasts/{NAME}/latest").json()["forecasts"]
    asked = api.post("/predict", json={"problem": NAME}).json()["forecasts"]
    at_origin = api.post("/predict", json={"problem": NAME, "origin": AS_OF.isoformat()}).json()[
        "forecasts"
    ]

    assert len(latest) == 1
    for answer in (latest[0], asked[0], at_origin[0]):
        assert {name: answer[name] for name in EXACT} == {name: expected[name] for name in EXACT}
        assert (answer["series"], answer["step"]) == ("coin", 1)
        assert answer["valid_time"] == "2025-06-10T01:00:00Z"


def test_given_features_give_the_same_numbers(api: httpx.Client, first: World) -> None:
    champion = champion_forecast(first)
    _, card = Registry(first.settings, NAME).model(str(champion["version"]))
    newest = published(first, INPUTS).sort("origin").row(-1, named=True)
    names = [f.name for f in card.features if f.source != "calibration"]
    question = {
        "problem": NAME,
        "features": {name: None if newest[name] is None else float(newest[name]) for name in names},
        "last_value": newest["last_value"],
    }

    answer = api.post("/predict", json=question).json()

    assert {name: answer[name] for name in EXACT} == {name: champion[name] for name in EXACT}
    assert [given["feature"] for given in answer["assumed"]] == ["band_quantile"]


def test_an_answer_says_where_it_comes_from(
    api: httpx.Client, first: World, summary: RunSummary
) -> None:
    [answer] = api.get(f"/forecasts/{NAME}/latest").json()["forecasts"]

    assert (answer["version"], answer["run_id"], answer["alias"]) == (
        summary.champion.version,
        summary.champion.run_id,
        "champion",
    )
    assert answer["synthetic"] is False


def test_a_second_run_refreshes_and_computes_no_fold_again(world: World) -> None:
    before = world.table("forecasts")

    summary = world.run()

    assert summary.verdict.decision == "refresh"
    assert summary.champion.version != before["version"][-1]
    assert Registry(world.settings, NAME).holder().version == summary.champion.version  # type: ignore[union-attr]
    [event] = world.dagster(
        lambda instance: (
            instance.fetch_materializations(dg.AssetKey([NAME, "backtest"]), limit=1).records
        )
    )
    told = event.asset_materialization.metadata
    # The two folds, and the one before them that starts the quantile, of three recipes.
    assert (told["folds_computed"].value, told["folds_reused"].value) == (0, 9)
    after = world.table("forecasts")
    assert after.join(before, on=before.columns, how="semi", nulls_equal=True).height == len(before)


def test_a_run_as_of_the_past_moves_no_alias_and_no_served_snapshot(world: World) -> None:
    served, holder = snapshot(world), Registry(world.settings, NAME).holder()
    pointer = world.store.read_file(f"published/{NAME}/latest.json")

    summary = world.run(as_of=AS_OF - DAY, evaluate_from="2025-05-28")

    assert summary.as_of == AS_OF - DAY
    assert summary.verdict.decision == "keep"
    assert "never moves an alias" in summary.verdict.reasons[-1]
    assert Registry(world.settings, NAME).holder() == holder
    # The champion has seen what came after; what it said later is invisible as well.
    assert summary.forecast is None
    assert snapshot(world) == served
    assert json.loads(pointer)["snapshot_id"] in served
    # 28 May is no refit: its periods come from the refit of the 26th.
    rows = world.table("backtest")
    assert rows["origin"].min() == planted.START + 27 * DAY
    assert rows["refit_at"].min() == planted.START + 25 * DAY
