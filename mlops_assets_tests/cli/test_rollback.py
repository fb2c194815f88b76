from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from typer.testing import CliRunner

from mlops_assets import definitions
from mlops_assets.automation.alerts_events import Verdicts
from mlops_assets.automation.alerts_messages import Kind
from mlops_assets.cli import main, stores
from mlops_assets.cli.main import app
from mlops_assets.cli.rollback import RollbackError, RolledBack, described, roll_back_by_hand
from mlops_assets.orchestration.clock import Clock
from mlops_assets.promotion.assets import champion_key
from mlops_assets.promotion.champion import append_verdict, empty_history
from mlops_assets.promotion.registry import RegisteredVersion
from mlops_assets.promotion.verdict import Verdict
from mlops_assets.storage.publication import publish
from mlops_assets.storage.tables import TableStore
from mlops_assets_tests.end_to_end.world import empty_registry
from mlops_assets_tests.evaluation.frames import START, small_problem
from mlops_assets_tests.promotion.registered import PROBLEM, Shelf, verdict
from serving.contract.snapshot import CALIBRATION, LATEST, Manifest, problem_prefix

WEEK = timedelta(days=7)
NOW = START + 2 * WEEK
HISTORY = f"{PROBLEM}/champion"
NAMES = ["forest", "ridge", "last_value"]


def silent(_line: str) -> None:
    """Nobody listens."""


def publish_calibration(store: TableStore, *recipes: str) -> Manifest:
    """A snapshot with the calibration of these recipes."""
    draft = Manifest(
        snapshot_id="",
        problem=PROBLEM,
        title="Coin",
        unit="USDT",
        as_of=NOW,
        created_at=NOW,
        frequency_seconds=3600,
        horizon=1,
        stale_after_seconds=7200,
        synthetic=False,
        data_mode="files",
        data_version="data-1",
        dagster_run_id="run",
        registered_model=f"files.{PROBLEM}",
        files={},
    )
    return publish(store, draft, {CALIBRATION: pl.DataFrame({"recipe_id": list(recipes)})})


@pytest.fixture(scope="module")
def two_verdicts(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """`ridge` took the alias at `START`, `forest` a week later: versions 1 to 3, then 4 to 6."""
    shelf = Shelf(
        tmp_path_factory.mktemp("two_verdicts"), empty_registry(tmp_path_factory.getbasetemp())
    )
    for candidate, as_of in (("ridge", START), ("forest", START + WEEK)):
        versions = shelf.add(*NAMES, as_of=as_of)
        said = verdict("promote", candidate, losses=NAMES, as_of=as_of)
        shelf.registry.apply(said, versions)
    return shelf


@pytest.fixture
def shelf(two_verdicts: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """The same with its history and snapshot, on the day `NOW`, given to the command line."""
    shelf = two_verdicts.copy(tmp_path)
    store, history = TableStore(shelf.settings.storage), empty_history()
    for candidate, version, as_of in (("ridge", "2", START), ("forest", "4", START + WEEK)):
        said = verdict("promote", candidate, losses=NAMES, as_of=as_of)
        holder = RegisteredVersion(version, candidate, f"{candidate}-1", as_of, "run", "data-1")
        history = append_verdict(history, said, holder)
    store.write(HISTORY, history)
    publish_calibration(store, *(f"{name}-1" for name in NAMES))
    monkeypatch.setattr(definitions, "default_clock", lambda *_: Clock(fixed_at=NOW.isoformat()))
    monkeypatch.setattr(stores, "prepare", lambda *_: None)
    shelf.settings.dagster_home.mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(shelf.settings.dagster_home))
    monkeypatch.setattr(main, "load_settings", lambda: shelf.settings)
    monkeypatch.setattr(main, "chosen_problems", lambda names: names)
    monkeypatch.setattr(main, "problem_files", lambda: {PROBLEM: Path("coin_close.yaml")})
    monkeypatch.setattr(main, "load_problem", lambda _path: small_problem())
    return shelf


def act(shelf: Shelf, *, to: str | None = None) -> RolledBack:
    """A roll back by hand."""
    return roll_back_by_hand(shelf.settings, small_problem(), to=to, progress=silent)


def newest(shelf: Shelf) -> Verdict:
    """The verdict that was recorded last."""
    stored = TableStore(shelf.settings.storage).read(HISTORY)
    return Verdict.model_validate_json(stored["verdict"][-1])


def test_without_a_version_the_last_one_of_the_previous_recipe_takes_the_alias(
    shelf: Shelf,
) -> None:
    shown = CliRunner().invoke(app, ["rollback", PROBLEM])

    assert shown.exit_code == 0, shown.output
    assert shelf.aliases()["champion"] == shelf.aliases()["origin-20240215"] == "5"
    assert "ridge version 5 (recipe ridge-1) holds the alias champion now" in shown.stdout
    assert "forest version 4 (recipe forest-1) held it before" in shown.stdout
    assert "The API follows within its polling interval" in shown.stdout
    assert "The recipe of forest cannot take the alias before 2024-02-22 00:00 UTC." in shown.stdout


def test_a_roll_back_by_hand_is_recorded_like_any_verdict(shelf: Shelf) -> None:
    act(shelf)

    said = newest(shelf)
    assert (said.decision, said.candidate, said.previous) == ("roll_back", "ridge", "forest")
    assert (said.trigger, said.as_of, said.previous_recipe_id) == ("command line", NOW, "forest-1")
    row = TableStore(shelf.settings.storage).read(HISTORY).row(-1, named=True)
    assert (row["version"], row["trigger"]) == ("5", "command line")


def test_a_roll_back_by_hand_shows_on_dagster_s_page_and_raises_an_alert(shelf: Shelf) -> None:
    act(shelf)

    with dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(champion_key(PROBLEM))
        (sighting,) = Verdicts(PROBLEM).after(instance, 0)
    assert event is not None
    shown = event.asset_materialization
    assert shown is not None
    assert shown.metadata["champion_version"] == dg.MetadataValue.text("5")
    assert shown.metadata["trigger"] == dg.MetadataValue.text("command line")
    assert sighting.event is not None
    assert (sighting.event.kind, sighting.event.subject) == (Kind.ROLL_BACK, "ridge, version 5")


def test_a_refused_roll_back_tells_dagster_nothing(shelf: Shelf) -> None:
    with pytest.raises(RollbackError):
        act(shelf, to="77")

    with dg.DagsterInstance.get() as instance:
        assert instance.get_latest_materialization_event(champion_key(PROBLEM)) is None


def test_a_named_version_takes_the_alias(shelf: Shelf) -> None:
    shown = CliRunner().invoke(app, ["rollback", PROBLEM, "--to", "3"])

    assert shown.exit_code == 0, shown.output
    assert shelf.aliases()["champion"] == "3"
    assert newest(shelf).candidate == "last_value"


def test_an_older_fit_of_the_same_recipe_bars_nobody(shelf: Shelf) -> None:
    done = act(shelf, to="1")

    assert (done.now.candidate, done.barred_until) == ("forest", None)


def test_a_second_roll_back_goes_to_the_baseline(shelf: Shelf) -> None:
    act(shelf)

    done = act(shelf)

    assert done.now.candidate == "last_value"
    assert "was rolled back itself and is barred until 2024-02-22" in described(done)


def test_a_third_roll_back_has_nobody_to_go_to_and_names_the_versions(shelf: Shelf) -> None:
    act(shelf)
    act(shelf)

    shown = CliRunner().invoke(app, ["rollback", PROBLEM])

    assert shown.exit_code == 2
    assert "No baseline has a registered version" in shown.stderr
    assert "Name one with --to, newest first: 5 (ridge), 4 (forest), 3" in shown.stderr
    assert shelf.aliases()["champion"] == "6"


def test_a_roll_back_is_dated_after_all_that_moved_the_alias(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = Clock(fixed_at=START.isoformat())
    monkeypatch.setattr(definitions, "default_clock", lambda *_: early)

    act(shelf)

    assert newest(shelf).as_of == START + WEEK


@pytest.mark.parametrize(
    ("to", "message"),
    [
        ("77", r"has no version '77'.*Name one with --to, newest first: 6 \(last_value\), 5"),
        ("4", "version 4 of files.coin_close holds the alias already"),
    ],
)
def test_a_version_that_cannot_take_the_alias_is_refused_by_name(
    shelf: Shelf, to: str, message: str
) -> None:
    with pytest.raises(RollbackError, match=message):
        act(shelf, to=to)

    assert shelf.aliases()["champion"] == "4"


def test_without_a_champion_there_is_nothing_to_roll_back(shelf: Shelf) -> None:
    shelf.client.delete_registered_model_alias(shelf.registry.name, "champion")
    with pytest.raises(RollbackError, match=r"coin_close has no champion; .*mlops run coin_close"):
        act(shelf)


def test_without_any_verdict_no_store_is_opened(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(stores, "prepare")
    Path(shelf.settings.storage, f"{HISTORY}.parquet").unlink()

    with pytest.raises(RollbackError, match="coin_close has no champion"):
        act(shelf)


def test_a_snapshot_without_the_recipes_calibration_is_told_with_what_mends_it(
    shelf: Shelf,
) -> None:
    store = TableStore(shelf.settings.storage)
    snapshot = publish_calibration(store, "forest-1", "last_value-1").snapshot_id

    done = act(shelf)

    assert done.gap is not None
    assert snapshot in done.gap
    assert "no calibration for recipe ridge-1" in done.gap
    assert "`mlops run coin_close` publishes it" in described(done)
    assert shelf.aliases()["champion"] == "5"


def test_before_the_first_publication_it_says_that_nothing_is_served(shelf: Shelf) -> None:
    Path(shelf.settings.storage, problem_prefix(PROBLEM), LATEST).unlink()

    assert described(act(shelf)).splitlines()[1] == (
        "Nothing is published yet, so nothing is served: `mlops run coin_close`."
    )
