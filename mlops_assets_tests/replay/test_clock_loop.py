"""A replay beside live runs: the same numbers, and production as it was."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product
from pathlib import Path

import polars as pl
import pytest
from filelock import FileLock

from mlops_assets.components.forecast_pipeline import build_problem_definitions
from mlops_assets.forecasting import assets as forecasting
from mlops_assets.promotion.registry import Registry
from mlops_assets.replay.clock_loop import run_clock_loop
from mlops_assets.replay.isolation import (
    FITS,
    FOLDER,
    ReplayError,
    replay_folder,
    replay_settings,
)
from mlops_assets.replay.ledger import SCORES
from mlops_assets.replay.progress import StepOutcome
from mlops_assets.replay.step import Options, ReplayStepFailed
from mlops_assets.storage.publication import latest_snapshot_id
from mlops_assets.storage.tables import TableStore
from mlops_assets.training import recall
from mlops_assets_tests.end_to_end import planted
from mlops_assets_tests.end_to_end.planted import AS_OF, DAY, HOUR, NAME
from mlops_assets_tests.end_to_end.world import World, empty_registry
from mlops_assets_tests.replay.conftest import REPLAY, with_registry

FIRST, SECOND = AS_OF - 2 * DAY, AS_OF - 2 * DAY + HOUR
KEPT = ("observations", "features", "forecasts", "backtest")


def content(folder: Path) -> dict[str, str]:
    """Each file with the hash of its bytes; replays are no part of production."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and FOLDER not in path.relative_to(folder).parts
    }


@dataclass
class Replayed:
    """A replay of two origins, whose first step was cut short once."""

    world: World
    before: dict[str, str]
    name: str = REPLAY
    tables: dict[datetime, dict[str, pl.DataFrame]] = field(default_factory=dict)
    told: list[StepOutcome] = field(default_factory=list)

    @property
    def store(self) -> TableStore:
        return TableStore(replay_settings(self.world.settings, self.name).storage)

    def play(
        self,
        origins: list[datetime],
        *,
        retrain_every: int | None = None,
        closing: datetime | None = None,
    ) -> list[StepOutcome]:
        return run_clock_loop(
            self.world.settings,
            planted.problem(),
            origins,
            replay_id=self.name,
            build=build_problem_definitions,
            options=Options(retrain_every=retrain_every),
            on_step=self.keep,
            closing=closing,
        )

    def keep(self, outcome: StepOutcome) -> None:
        self.told.append(outcome)
        self.tables[outcome.origin] = {name: self.store.read(f"{NAME}/{name}") for name in KEPT}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Production: `mlops run --as-of` was called at the first origin, on files that go on."""
    registry = empty_registry(tmp_path_factory.getbasetemp())
    world = World.create(tmp_path_factory.mktemp("live") / "world", registry)
    world.run(as_of=FIRST)
    return world


@pytest.fixture(scope="module")
def replayed(live: World, tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    with_registry(live.settings, tmp_path_factory.getbasetemp())
    replayed = Replayed(live, content(live.folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forecasting, "snapshot_files", _full_disk)
        with pytest.raises(ReplayStepFailed, match=r"published: OSError: no space left"):
            replayed.play([FIRST])
    replayed.play([FIRST, SECOND])
    return replayed


def _full_disk(*_: object, **__: object) -> None:
    raise OSError("no space left")


@pytest.mark.parametrize("name", ["observations", "features", "backtest"])
def test_a_replayed_origin_holds_bit_for_bit_what_a_live_run_at_that_instant_holds(
    replayed: Replayed, live: World, name: str
) -> None:
    assert replayed.tables[FIRST][name].equals(live.table(name))


def test_a_replayed_origin_forecasts_the_numbers_of_a_live_run(
    replayed: Replayed, live: World
) -> None:
    def said(table: pl.DataFrame) -> pl.DataFrame:
        return table.drop("version", "run_id").sort("candidate", "origin")

    assert len(live.table("forecasts")) == 3
    assert said(replayed.tables[FIRST]["forecasts"]).equals(said(live.table("forecasts")))


def test_a_replay_reaches_the_verdict_of_a_live_run(replayed: Replayed, live: World) -> None:
    columns = ("as_of", "decision", "candidate", "look", "reasons")
    table = replayed.store.read(f"{NAME}/champion")

    assert table.head(1).select(columns).equals(live.table("champion").select(columns))
    # Half of the first step was undone: it held one look, not two.
    assert table["decision"].to_list() == ["promote"]


def test_rows_known_after_the_clock_are_invisible(replayed: Replayed, live: World) -> None:
    assert live.store.read_delta(f"{NAME}/raw_coin")["known_at"].max() == AS_OF
    for origin, tables in replayed.tables.items():
        assert tables["observations"]["known_at"].max() == origin
        assert tables["features"]["origin"].max() == origin
        assert tables["forecasts"]["origin"].max() == origin


def test_a_refreshed_step_forecasts_by_the_models_that_stand(replayed: Replayed) -> None:
    first, second = replayed.told

    assert (first.triggers, second.triggers) == (("missing",), ())
    assert (first.decision, second.decision) == ("promote", None)
    assert (first.candidate, second.candidate) == ("ridge", "ridge")
    assert second.version == first.version
    said = replayed.tables[SECOND]["forecasts"].filter(pl.col("origin") == SECOND)
    assert set(said["version"]) == set(replayed.tables[FIRST]["forecasts"]["version"])


def test_production_is_byte_for_byte_what_it_was(replayed: Replayed) -> None:
    assert content(replayed.world.folder) == replayed.before


def test_versions_and_snapshots_of_a_replay_are_its_own(replayed: Replayed) -> None:
    own = replay_settings(replayed.world.settings, REPLAY)
    holder = Registry(own, NAME).holder()

    assert holder is not None
    assert (holder.version, holder.as_of) == (replayed.told[-1].version, FIRST)
    assert str(latest_snapshot_id(replayed.store, NAME)).startswith("20250608T01")
    assert replayed.store.files.folders(NAME) == ["backtest_folds"]  # no copy of raw tables


def test_finished_steps_are_not_done_again(replayed: Replayed) -> None:
    told, verdicts = list(replayed.told), replayed.store.read(f"{NAME}/champion")

    again = replayed.play([FIRST, SECOND])

    assert again == told == replayed.told
    assert replayed.store.read(f"{NAME}/champion").equals(verdicts)


def test_a_replay_goes_on_only_on_the_terms_it_began_with(replayed: Replayed) -> None:
    with pytest.raises(ReplayError, match=r"begun with another problem file.*another replay id"):
        replayed.play([FIRST], retrain_every=3)


def test_one_replay_is_run_by_one_process(replayed: Replayed) -> None:
    lock = replay_folder(replayed.world.settings, REPLAY) / "replay.lock"
    with FileLock(lock), pytest.raises(ReplayError, match="run by another process"):
        replayed.play([FIRST])


def test_a_step_tells_which_versions_it_registered(replayed: Replayed) -> None:
    first, second = replayed.told[:2]

    assert set(first.registered) == {"last_value", "ridge", "boosting"}
    assert first.registered["ridge"] == first.version
    assert second.registered == {}  # it trained nothing


def test_a_repeated_replay_makes_no_fit_again_and_differs_in_no_bit(
    replayed: Replayed, tmp_path_factory: pytest.TempPathFactory
) -> None:
    kept = replayed.world.settings.namespace / FOLDER / FITS
    fits = {path.name for path in kept.iterdir()}
    again = Replayed(replayed.world, {}, name="again")
    with_registry(again.world.settings, tmp_path_factory.getbasetemp(), name="again")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recall, "fit_recipe", _never_fits)
        again.play([FIRST, SECOND])

    assert {path.name for path in kept.iterdir()} == fits
    for origin, name in product((FIRST, SECOND), KEPT):
        ours, theirs = again.tables[origin][name], replayed.tables[origin][name]
        # Runs have names of their own; numbers do not.
        assert without_names(ours).equals(without_names(theirs)), (origin, name)


def test_a_look_back_scores_what_was_said_and_leaves_the_replay_as_it_was(
    replayed: Replayed,
) -> None:
    before = {name: replayed.store.read(f"{NAME}/{name}") for name in KEPT}
    record = replay_folder(replayed.world.settings, REPLAY) / "steps.json"
    steps = record.read_bytes()

    replayed.play([FIRST, SECOND], closing=SECOND + 3 * HOUR)

    scores = TableStore(str(record.parent)).read(SCORES)
    # Three versions; origins 00:00 to 03:00 have come true by 04:00, the last one by its value.
    assert sorted(set(scores["origin"])) == [FIRST, SECOND, SECOND + HOUR, SECOND + 2 * HOUR]
    assert len(scores) == 12
    assert {name: replayed.store.read(f"{NAME}/{name}") for name in KEPT}.keys() == before.keys()
    for name in KEPT:
        assert replayed.store.read(f"{NAME}/{name}").equals(before[name])
    assert record.read_bytes() == steps


def test_a_look_back_lies_after_every_finished_step(replayed: Replayed) -> None:
    with pytest.raises(ReplayError, match=r"does not lie after the finished step.*later instant"):
        replayed.play([FIRST], closing=FIRST + HOUR)


def without_names(table: pl.DataFrame) -> pl.DataFrame:
    """What a table says, without the names of the runs that made it."""
    return table.drop("run_id", strict=False)


def _never_fits(*_: object, **__: object) -> None:
    raise AssertionError("a fit was made again")
