from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from mlops_assets.forecasting.watch_tables import read_replays
from mlops_assets.replay.isolation import FOLDER, ReplayError, replay_folder, replay_settings
from mlops_assets.replay.ledger import (
    SCORES,
    build_ledger,
    cumulative_loss_difference,
    ledger_table,
    read_evidence,
    write_ledger,
)
from mlops_assets.replay.progress import Progress, write_progress
from mlops_assets.settings import Settings
from mlops_assets.storage.tables import TableStore
from mlops_assets_tests.end_to_end.planted import DAY, NAME, problem
from mlops_assets_tests.replay.played import (
    CLOSING,
    FIRST,
    SECOND,
    VERSIONS,
    evidence,
    live_scores,
    steps,
    verdicts,
)

PROBLEM = problem()


@pytest.fixture
def production(tmp_path: Path) -> Settings:
    """Production, beside it a replay of the two steps that was looked back at."""
    settings = Settings(data="files", home=tmp_path)
    folder = replay_folder(settings, "spring")
    record = Progress(problem=NAME, terms="t", commits={}, steps=tuple(steps()))
    write_progress(folder, record)
    TableStore(str(folder)).write(SCORES, live_scores())
    TableStore(replay_settings(settings, "spring").storage).write(f"{NAME}/champion", verdicts())
    return settings


def test_a_row_tells_what_an_origin_came_to_and_erred_by() -> None:
    ledger = build_ledger(evidence(), PROBLEM, replay_id="spring")

    first, second = ledger.rows
    assert (first.origin, first.candidate, first.version, first.decision) == (
        FIRST,
        "ridge",
        "2",
        "promote",
    )
    assert first.reasons == ("ridge proved better.", "It takes it.")
    assert first.registered == VERSIONS[0]
    assert first.live is not None
    assert second.live is not None
    assert (first.live.mae, first.live.mae_last_value, first.live.n) == (1.0, 4.0, 2)
    assert second.live.mae == 2.0


def test_the_whole_ledger_tells_span_and_totals() -> None:
    ledger = build_ledger(evidence(), PROBLEM, replay_id="spring")

    assert (ledger.start, ledger.end, ledger.steps) == (FIRST, SECOND, 2)
    assert ledger.step_seconds == DAY.total_seconds()
    assert ledger.live is not None
    assert (ledger.live.mae, ledger.live.n) == (1.5, 4)
    assert [rule.rule for rule in ledger.rules] == ["gate", "lower", "newest"]


def test_another_rule_tells_the_champions_that_it_would_have_had() -> None:
    ledger = build_ledger(evidence(), PROBLEM, replay_id="spring", rule="lower")

    assert [row.version for row in ledger.rows] == ["2", "6"]
    assert ledger.live is not None
    assert ledger.live.mae == 3.0


def test_an_origin_without_a_look_or_an_outcome_says_so() -> None:
    quiet = evidence()
    silent = type(quiet)(quiet.steps, verdicts().clear(), live_scores().clear(), CLOSING)

    ledger = build_ledger(silent, PROBLEM, replay_id="spring")

    assert [(row.reasons, row.live) for row in ledger.rows] == [((), None), ((), None)]
    assert ledger.live is None


def test_the_table_has_one_row_an_origin() -> None:
    table = ledger_table(build_ledger(evidence(), PROBLEM, replay_id="spring"))

    assert table["origin"].to_list() == [FIRST, SECOND]
    row = table.row(0, named=True)
    assert (row["n"], row["mae"], row["coverage"], row["triggers"]) == (2, 1.0, 1.0, ["schedule"])
    assert {r["candidate"]: r["version"] for r in row["registered"]} == VERSIONS[0]


def test_the_loss_difference_is_summed_up_over_time() -> None:
    found = cumulative_loss_difference(evidence(), PROBLEM)

    # 1 - 4, 1 - 4, then 2 - 4, 2 - 4.
    assert found["difference"].to_list() == [-3.0, -6.0, -8.0, -10.0]


def test_evidence_is_read_from_the_replays_own_tables(production: Settings) -> None:
    found = read_evidence(production, PROBLEM, "spring", steps(), closing=CLOSING)

    assert build_ledger(found, PROBLEM, replay_id="spring") == build_ledger(
        evidence(), PROBLEM, replay_id="spring"
    )


def test_a_replay_that_was_not_looked_back_at_has_no_ledger(production: Settings) -> None:
    with pytest.raises(ReplayError, match=r"2 finished steps and no live scores.*call the replay"):
        read_evidence(production, PROBLEM, "autumn", steps(), closing=CLOSING)


def test_the_next_snapshot_of_production_carries_the_ledger(production: Settings) -> None:
    ledger = build_ledger(evidence(), PROBLEM, replay_id="spring")

    (record,) = read_replays(production.namespace / FOLDER, NAME)
    assert (record.live, len(record.rows)) == (None, 2)
    files = write_ledger(production, ledger, "<html></html>")

    assert read_replays(production.namespace / FOLDER, NAME) == [ledger]
    assert json.loads(files["ledger"].read_text())["replay_id"] == "spring"
    assert files["report"].read_text() == "<html></html>"
    assert pl.read_parquet(files["table"]).equals(ledger_table(ledger))


def test_a_ledger_of_fewer_steps_than_the_record_gives_way_to_it(production: Settings) -> None:
    part = evidence()
    shorter = type(part)(steps()[:1], part.verdicts, part.scores, SECOND)
    write_ledger(production, build_ledger(shorter, PROBLEM, replay_id="spring"), "")

    (told,) = read_replays(production.namespace / FOLDER, NAME)

    assert (len(told.rows), told.live) == (2, None)
