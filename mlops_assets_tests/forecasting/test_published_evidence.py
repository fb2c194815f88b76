from __future__ import annotations

import io
import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlops_assets.forecasting import published_evidence
from mlops_assets.forecasting.live import SCHEMA
from mlops_assets.forecasting.published_evidence import (
    as_json,
    newest_groups,
    published_answers,
    published_drift,
    published_forecasts,
    published_live_scores,
    published_replays,
    published_verdicts,
)
from serving.contract.evidence import ReplayLedger, ReplayStep
from serving.contract.snapshot import ANSWERS, DRIFT, FORECASTS, LIVE_SCORES, REPLAYS, VERDICTS
from serving.published_evidence import read_evidence

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LATER = NOON + 9 * DAY


def said(version: str, candidate: str, *hours: int, series: str = "btc") -> pl.DataFrame:
    """Forecasts of a version from origins so many hours after noon."""
    rows = [
        {
            "version": version,
            "candidate": candidate,
            "series": series,
            "origin": NOON + hour * HOUR,
            "step": 1,
            "point": float(hour),
        }
        for hour in hours
    ]
    absent = {name: None for name in SCHEMA if name not in rows[0]}
    return pl.DataFrame([row | absent for row in rows], schema=SCHEMA)


STAMPS: dict[str, pl.Expr] = {
    "last_observed": pl.col("origin"),
    "valid_time": pl.col("origin") + HOUR,
}


def stored(frame: pl.DataFrame) -> bytes:
    """A table as the bytes of its Parquet file."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def verdicts(*moves: tuple[int, str]) -> pl.DataFrame:
    """Verdicts: hours after noon, version that holds the alias then."""
    return pl.DataFrame(
        {
            "as_of": [NOON + hour * HOUR for hour, _ in moves],
            "version": [version for _, version in moves],
        }
    )


def kept(
    forecasts: pl.DataFrame, *, max_rows: int = 100, until: int = 9
) -> list[tuple[object, ...]]:
    """Version, hour of the origin, champion or not, of what is published."""
    moves = verdicts((1, "1"), (3, "2"))
    found = published_forecasts(
        forecasts, moves, until=NOON + until * HOUR, as_of=NOON + 9 * HOUR, max_rows=max_rows
    )
    return [
        (version, round((origin - NOON) / HOUR), champion)
        for version, origin, champion in found.select("version", "origin", "champion").iter_rows()
    ]


def test_champions_of_their_time_and_the_newest_version_of_each_candidate_are_published() -> None:
    forecasts = pl.concat(
        [
            said("1", "ridge", 1, 2, 3, 4),  # champion until 3 o'clock, then superseded
            said("2", "forest", 2, 3, 4),  # champion from 3 o'clock on
            said("9", "ridge", 4),  # neither champion nor the newest ridge
            said("10", "ridge", 4),  # the newest ridge, by number
        ]
    )

    # Sorted by series, origin and version; "10" comes before "2" as text.
    assert kept(forecasts) == [
        ("1", 1, True),
        ("1", 2, True),
        ("2", 2, False),
        ("2", 3, True),
        ("10", 4, False),
        ("2", 4, True),
    ]


def test_the_newest_whole_origins_within_the_row_cap_are_published() -> None:
    champion = pl.concat([said("2", "forest", 3, 4, 5, series=name) for name in ("a", "b")])

    # Two rows an origin: a third origin would make six.
    assert kept(champion, max_rows=5) == [
        ("2", 4, True),
        ("2", 5, True),
        ("2", 4, True),
        ("2", 5, True),
    ]


def test_champions_take_of_the_row_cap_what_they_need_and_others_the_rest() -> None:
    champion, other = said("2", "forest", 3, 4, 5), said("10", "ridge", 3, 4, 5)

    published = kept(pl.concat([champion, other]), max_rows=5)

    assert [origin for version, origin, _ in published if version == "2"] == [3, 4, 5]
    assert [origin for version, origin, _ in published if version == "10"] == [4, 5]


def test_the_newest_origin_of_every_candidate_is_published_whatever_the_row_cap() -> None:
    champion, other = said("2", "forest", 3, 4, 5), said("10", "ridge", 3, 4, 5)

    assert kept(pl.concat([champion, other]), max_rows=1) == [("10", 5, False), ("2", 5, True)]


def test_origins_of_the_last_90_days_are_published() -> None:
    quarter = 90 * 24
    forecasts = said("2", "forest", 3, 3 + quarter, 4)

    published = kept(forecasts, until=3 + quarter)

    assert [origin for _, origin, _ in published] == [4, 3 + quarter]


def test_what_was_said_after_a_past_present_is_invisible() -> None:
    assert kept(said("1", "ridge", 1, 2, 3), until=2) == [("1", 1, True), ("1", 2, True)]


def test_the_newest_group_is_published_however_large_it_is() -> None:
    rows = pl.DataFrame({"origin": [1, 2, 2, 2]})

    assert newest_groups(rows, "origin", max_rows=2)["origin"].to_list() == [2, 2, 2]


def test_text_of_forecasts_is_stored_as_a_dictionary() -> None:
    published = published_forecasts(
        said("1", "ridge", 1), verdicts((1, "1")), until=LATER, as_of=LATER
    )

    schema = pq.read_schema(pa.BufferReader(stored(published)))

    assert pa.types.is_dictionary(schema.field("series").type)
    assert set(schema.names) == set(SCHEMA) - {"max_known_at", "last_value"} | {"champion"}


def came_true(day: int, hour: int, error: float, held: bool, **changes: object) -> dict[str, Any]:
    """A live score with a last value of 100 and an actual of 102."""
    row: dict[str, Any] = {
        "version": "1",
        "candidate": "ridge",
        "role": "champion",
        "step": 1,
        "valid_time": datetime(2026, 3, day, hour, tzinfo=UTC),
        "last_value": 100.0,
        "actual": 102.0,
        "absolute_error": abs(error),
        "squared_error": error**2,
        "target_known_at": datetime(2026, 3, day, hour, tzinfo=UTC),
        "covered": held,
    }
    return row | changes


def test_live_scores_are_means_by_day_version_role_and_step() -> None:
    scores = pl.DataFrame(
        [
            came_true(1, 0, 1.0, True),
            came_true(1, 23, -3.0, False, last_value=106.0),
            came_true(2, 0, 5.0, True),
            came_true(1, 5, 7.0, True, role="challenger"),
        ]
    )

    found = published_live_scores(scores, as_of=LATER)

    first = datetime(2026, 3, 1, tzinfo=UTC)
    columns = ("day", "role", "n", "mae", "mse", "coverage", "mae_last_value", "mse_last_value")
    assert found.select(columns).rows() == [
        (first, "challenger", 1, 7.0, 49.0, 1.0, 2.0, 4.0),
        # Errors 1 and 3; the last value misses 102 by 2 and by 4.
        (first, "champion", 2, 2.0, 5.0, 0.5, 3.0, 10.0),
        (first + DAY, "champion", 1, 5.0, 25.0, 1.0, 2.0, 4.0),
    ]


def test_the_newest_days_of_live_scores_are_published() -> None:
    scores = pl.DataFrame([came_true(day, 0, 1.0, True) for day in (1, 2, 3)])

    assert published_live_scores(scores, as_of=LATER, max_rows=2)["day"].dt.day().to_list() == [
        2,
        3,
    ]


def history(*whole: dict[str, object]) -> pl.DataFrame:
    """A history of verdicts, one an hour from noon on; an empty record is none."""
    return pl.DataFrame(
        {
            "as_of": [NOON + number * HOUR for number in range(len(whole))],
            "decision": ["keep"] * len(whole),
            "candidate": ["ridge"] * len(whole),
            "version": ["1"] * len(whole),
            "reasons": [["because"]] * len(whole),
            "verdict": [json.dumps(record) if record else "" for record in whole],
        }
    )


def test_verdicts_carry_their_whole_record_and_what_they_left_in_place() -> None:
    published = json.loads(
        published_verdicts(history({}, {"decision": "promote", "alpha": 0.05}), as_of=LATER)
    )

    assert published == [
        {
            "as_of": "2026-03-02T12:00:00+00:00",
            "decision": "keep",
            "candidate": "ridge",
            "version": "1",
            "reasons": ["because"],
        },
        {
            "as_of": "2026-03-02T13:00:00+00:00",
            "decision": "promote",
            "candidate": "ridge",
            "version": "1",
            "reasons": ["because"],
            "alpha": 0.05,
        },
    ]


def test_the_newest_verdicts_are_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published_evidence, "MAX_VERDICTS", 2)
    published = json.loads(published_verdicts(history({"n": 1}, {"n": 2}, {"n": 3}), as_of=LATER))

    assert [verdict["n"] for verdict in published] == [2, 3]


def report(hours: int, feature: str, statistic: float | None, share: float) -> dict[str, object]:
    """A row of a drift report so many hours after noon, with a threshold of 0.5."""
    return {
        "as_of": NOON + hours * HOUR,
        "feature": feature,
        "statistic": statistic,
        "threshold": 0.5,
        "drifted": statistic is not None and statistic > 0.5,
        "reference_rows": 1000,
        "current_rows": 100,
        "share_drifted": share,
        "concept_drift": hours == 0,
        "report": None,
    }


def test_drift_is_the_newest_report_by_column_and_the_history_in_short() -> None:
    drift = published_drift(
        pl.DataFrame(
            [
                report(0, "volume", 0.1, 0.0),
                report(1, "volume", 0.9, 0.5),
                report(1, "return", None, 0.5),
            ]
        ),
        as_of=LATER,
    )

    assert drift is not None
    assert drift.newest.as_of == NOON + HOUR
    assert [(c.feature, c.statistic, c.drifted) for c in drift.newest.columns] == [
        ("volume", 0.9, True),
        ("return", None, False),
    ]
    assert [(r.as_of, r.share_drifted, r.concept_drift) for r in drift.history] == [
        (NOON, 0.0, True),
        (NOON + HOUR, 0.5, False),
    ]


def test_a_drift_history_is_bounded_and_ends_with_the_newest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(published_evidence, "MAX_DRIFT_REPORTS", 2)
    drift = published_drift(
        pl.DataFrame([report(h, "volume", 0.1, 0.0) for h in range(4)]), as_of=LATER
    )

    assert drift is not None
    assert [r.as_of for r in drift.history] == [NOON + 2 * HOUR, NOON + 3 * HOUR]


def test_there_is_no_drift_before_the_first_report() -> None:
    assert (
        published_drift(pl.DataFrame([report(0, "volume", 0.1, 0.0)]).clear(), as_of=LATER) is None
    )


def test_what_came_after_a_past_present_is_invisible() -> None:
    reports = pl.DataFrame([report(0, "volume", 0.1, 0.0), report(1, "volume", 0.9, 0.5)])
    scores = pl.DataFrame([came_true(2, hour, 1.0, True) for hour in (11, 12, 13)])

    drift = published_drift(reports, as_of=NOON)

    assert drift is not None
    assert (drift.newest.as_of, len(drift.history)) == (NOON, 1)
    assert published_drift(reports, as_of=NOON - HOUR) is None
    assert published_live_scores(scores, as_of=NOON)["n"].to_list() == [2]
    assert len(json.loads(published_verdicts(history({}, {}), as_of=NOON))) == 1


def ledger(replay_id: str, *hours: int) -> ReplayLedger:
    """A replay with steps so many hours after noon."""
    steps = tuple(
        ReplayStep(
            origin=NOON + hour * HOUR,
            triggers=("schedule",),
            decision="keep",
            candidate="ridge",
            version="1",
            control_alarm=None,
            drift_alarm=None,
            seconds=1.0,
        )
        for hour in hours
    )
    return ReplayLedger(
        replay_id=replay_id,
        start=steps[0].origin,
        end=steps[-1].origin,
        step_seconds=3600.0,
        steps=len(steps),
        rows=steps,
    )


def test_the_replays_that_end_last_are_published_with_their_newest_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(published_evidence, "MAX_REPLAYS", 2)
    monkeypatch.setattr(published_evidence, "MAX_REPLAY_STEPS", 1)
    ledgers = [ledger("b", 1, 5), ledger("old", 1, 2), ledger("a", 3, 4)]

    published = json.loads(published_replays(ledgers))

    assert [(r["replay_id"], r["steps"], len(r["rows"])) for r in published] == [
        ("a", 2, 1),
        ("b", 2, 1),
    ]
    assert published[1]["rows"][0]["origin"] == "2026-03-02T17:00:00Z"


def test_variants_of_answers_are_published_as_rows() -> None:
    variants = pl.DataFrame({"version": ["1"], "mae": [math.nan], "newest": [NOON]})

    assert json.loads(published_answers(variants)) == [
        {"version": "1", "mae": None, "newest": "2026-03-02T12:00:00Z"}
    ]


def test_without_a_forecast_the_file_is_there_and_empty() -> None:
    published = published_forecasts(
        said("1", "ridge", 1).clear(), verdicts((1, "1")), until=LATER, as_of=LATER
    )

    assert published.is_empty()
    assert "champion" in published.columns


def test_the_service_reads_what_is_published() -> None:
    drift = published_drift(pl.DataFrame([report(0, "volume", 0.1, 0.0)]), as_of=LATER)
    assert drift is not None
    moves = verdicts((1, "1"), (3, "2"))
    scores = pl.DataFrame([came_true(1, 0, 1.0, True)])
    forecasts = [
        said("1", "ridge", 1, 2).with_columns(**STAMPS),
        said("2", "forest", 3).with_columns(**STAMPS),
    ]
    held = read_evidence(
        {
            FORECASTS: stored(
                published_forecasts(pl.concat(forecasts), moves, until=LATER, as_of=LATER)
            ),
            LIVE_SCORES: stored(published_live_scores(scores, as_of=LATER)),
            VERDICTS: published_verdicts(history({"decision": "promote"}, {}), as_of=LATER),
            DRIFT: drift.model_dump_json().encode(),
            REPLAYS: published_replays([ledger("spring", 1, 2)]),
            ANSWERS: published_answers(pl.DataFrame({"version": ["1"]})),
        }
    )

    assert held.forecasts is not None
    assert held.forecasts.columns["champion"].data.tolist() == [True, True, True]
    assert held.forecasts.columns["version"].values(np.arange(3)) == ["1", "1", "2"]
    assert held.live_scores is not None
    assert held.live_scores.rows == 1
    assert held.verdicts is not None
    assert len(held.verdicts) == 2
    assert held.drift == drift
    assert held.replays is not None
    assert held.replays["spring"].summary.steps == 2
    assert held.answers == b'[{"version": "1"}]'


def test_what_is_no_number_is_null_in_json() -> None:
    content = {"a": [math.nan, 1.5], "b": (math.inf, {"c": -math.inf}), "d": "음료"}

    assert json.loads(as_json(content)) == {"a": [None, 1.5], "b": [None, {"c": None}], "d": "음료"}
