"""A panel of shares through its whole graph: restated files in, coherent forecasts out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest

from mlops_assets.cli.summary import RunSummary
from mlops_assets.features.leakage import known_at
from mlops_assets.settings import Settings
from mlops_assets.storage.tables import TableStore
from mlops_assets.training.tracking import client
from mlops_assets_tests.end_to_end.planted import write_yaml
from mlops_assets_tests.end_to_end.problem_alone import empty_home, run_alone
from mlops_assets_tests.serving.running import is_ready, listening, until
from serving.app import create_app
from serving.settings import ServingSettings

pytestmark = pytest.mark.services

NAME = "tea_share"
BRANDS, PLACES = ("검은 차", "녹차", "보리차"), ("도시", "시골")
FIRST, DAYS = date(2025, 1, 1), 150
RESTATED = date(2025, 5, 10)
PULL = datetime(2025, 6, 10, 3, tzinfo=UTC)

_SOURCE: dict[str, Any] = {
    "kind": "values",
    "role": "target",
    "title": "Share of tea",
    "unit": "%",
    "period": "1d",
    "zone": "Asia/Seoul",
    "plausible": [0, 100],
    "start": "2025-01-01T00:00:00+09:00",
    "keys": {"brand": list(BRANDS), "place": list(PLACES)},
    "sums_to": {"total": 100, "within": ["place"]},
    "files": [
        {"path": "first.csv", "time_column": "day", "time_zone": "Asia/Seoul"},
        {"path": "later.csv", "time_column": "day", "time_zone": "Asia/Seoul", "pulled_at": PULL},
    ],
}
_FRESH = {"warn_after": "26h", "fail_after": "50h"}
PROBLEM: dict[str, Any] = {
    "name": NAME,
    "title": "Tea, share of cups",
    "description": "Three teas in two places.",
    "owners": ["team:tests"],
    "frequency": "1d",
    "horizon": 3,
    "target": {"source": "tea", "column": "value", "transform": "share"},
    "sources": {"tea": _SOURCE},
    "features": [
        {"kind": "lagged_value", "source": "tea", "params": {"lags": [0]}},
        {"kind": "rolling_mean", "source": "tea", "params": {"windows": [14]}},
        {"kind": "segment_count", "source": "tea", "params": {"rate": 0.1}},
        {"kind": "share_filter", "source": "tea", "params": {"group_sd": {"place": 0.01}}},
    ],
    "feature_sets": {"last": ["tea_lag_0"], "mean": ["tea_mean_14"], "filter": ["share_filter"]},
    "candidates": {
        "last_value": {"family": "feature", "baseline": True, "features": "last"},
        "share_filter": {"family": "feature", "features": "filter"},
        "average": {"family": "average", "params": {"members": {"share_filter": 1, "mean": 1}}},
        "mean": {"family": "feature", "features": "mean"},
    },
    "band": {
        "method": "angular",
        "window": 60,
        "half_life": 30,
        "count_feature": "log_count",
        "level_feature": "tea_mean_14",
        "calibration": "28d",
    },
    "evaluation": {
        "refit_every": "14d",
        "anchor": "2025-01-01T00:00:00+09:00",
        "folds": 3,
        "leads": [1, 3],
        "season": 7,
    },
    "promotion": {"looks_per_year": 26, "leads": [1]},
    "retrain_cron": "0 6 1 * *",
    "freshness": {"raw": _FRESH, "features": _FRESH, "models": _FRESH},
}


def delivered() -> pl.DataFrame:
    """Counts of 200 cups a day around constant shares, divided and rounded."""
    random = np.random.default_rng(4)
    rows = []
    for day in range(DAYS):
        for place, usual in zip(PLACES, ([0.5, 0.3, 0.2], [0.2, 0.2, 0.6]), strict=True):
            cups = random.multinomial(200, usual)
            rows += [
                {
                    "day": str(FIRST + timedelta(days=day)),
                    "brand": brand,
                    "place": place,
                    "value": round(100 * int(count) / 200, 2),
                }
                for brand, count in zip(BRANDS, cups, strict=True)
            ]
    return pl.DataFrame(rows)


def restated(first: pl.DataFrame) -> pl.DataFrame:
    """The later pull: on one day two shares of one place have changed."""
    changed = (pl.col("day") == str(RESTATED)) & (pl.col("place") == PLACES[0])
    move = pl.col("brand").replace_strict(dict(zip(BRANDS, (1.0, -1.0, 0.0), strict=True)))
    return first.with_columns(value=pl.col("value") + pl.when(changed).then(move).otherwise(0.0))


@pytest.fixture(scope="module")
def home(session: Path) -> Settings:
    """An empty home with both pulls."""
    folder = session / "tea"
    (folder / "data").mkdir(parents=True)
    first = delivered()
    first.write_csv(folder / "data" / "first.csv", include_bom=True)
    restated(first).write_csv(folder / "data" / "later.csv", include_bom=True)
    write_yaml(folder / "defs.yaml", PROBLEM)
    return empty_home(session, folder)


@pytest.fixture(scope="module")
def ran(home: Settings) -> RunSummary:
    """`mlops run tea_share`, after the later pull."""
    assert home.data_dir is not None
    return run_alone(
        home, NAME, home.data_dir.parent / "defs.yaml", as_of=PULL + timedelta(hours=1)
    )


@pytest.fixture(scope="module")
def api(ran: RunSummary, home: Settings) -> Iterator[httpx.Client]:
    """The service on what the run published."""
    app = create_app(ServingSettings(data="files", home=home.home, api_poll_seconds=0.05))
    with listening(app) as opened:
        until(lambda: is_ready(opened), what="the service is ready")
        yield opened


def test_a_mean_beats_yesterday_when_only_chance_moves_the_shares(ran: RunSummary) -> None:
    board = {row.candidate: row for row in ran.leaderboard}

    # Yesterday's count of 200 errs by sqrt(2) times what the true share does.
    for name in ("mean", "share_filter", "average"):
        assert board[name].mae < 0.85 * board["last_value"].mae
    assert ran.verdict.decision == "promote"
    assert ran.champion.candidate != "last_value"


def test_every_candidate_is_scored_at_each_lead_on_the_same_rows(ran: RunSummary) -> None:
    for row in ran.leaderboard:
        assert set(row.by_lead) == {"1", "3"}
        # Six series on the 42 days of the three folds, and the rest of the newest one.
        assert row.by_lead["1"].n == row.by_lead["3"].n
        assert row.by_lead["1"].n % 6 == 0
        coverage = row.by_lead["1"].coverage
        assert coverage is not None
        assert 0.8 < coverage < 0.98


def test_all_forecasts_of_a_segment_sum_to_a_hundred_over_http(api: httpx.Client) -> None:
    forecasts = api.get(f"/forecasts/{NAME}/latest").json()["forecasts"]

    assert len(forecasts) == len(BRANDS) * len(PLACES) * 3
    total: dict[tuple[str, int], float] = defaultdict(float)
    for one in forecasts:
        total[one["series"].split("/")[1], one["step"]] += one["point"]
        assert 0 <= one["lower"] <= one["point"] <= one["upper"] <= 100
    assert total == {
        (place, step): pytest.approx(100, abs=1e-6) for place in PLACES for step in (1, 2, 3)
    }


def test_one_series_alone_is_answered_as_among_its_siblings(api: httpx.Client) -> None:
    name = f"{BRANDS[0]}/{PLACES[1]}"
    everything = api.get(f"/forecasts/{NAME}/latest").json()["forecasts"]

    alone = api.get(f"/forecasts/{NAME}/latest", params={"series": name}).json()["forecasts"]

    assert alone == [one for one in everything if one["series"] == name]


def test_the_table_and_the_service_say_the_same(api: httpx.Client, home: Settings) -> None:
    said = TableStore(home.storage).read(f"{NAME}/forecasts")
    forecasts = api.get(f"/forecasts/{NAME}/latest").json()["forecasts"]
    own = said.filter(pl.col("version") == forecasts[0]["version"])

    stored = {(r["series"], r["step"]): r["point"] for r in own.iter_rows(named=True)}
    assert {(f["series"], f["step"]): pytest.approx(f["point"]) for f in forecasts} == stored


def test_a_restated_day_is_known_in_both_versions_from_one_table(
    ran: RunSummary, home: Settings
) -> None:
    observations = TableStore(home.storage).read(f"{NAME}/observations")
    series, end = f"{BRANDS[0]}/{PLACES[0]}", datetime(2025, 5, 10, 15, tzinfo=UTC)
    of_day = observations.filter(pl.col("series") == series, pl.col("valid_time") == end)

    before = known_at(of_day, PULL - timedelta(hours=1))["value"].to_list()
    after = known_at(of_day, PULL).filter(pl.col("superseded_at").is_null())["value"].to_list()

    [first], [later] = before, after
    assert later == pytest.approx(first + 1)
    assert of_day["assumed"].to_list() == [True, False]


def test_the_report_has_its_tables_and_pictures_in_mlflow(ran: RunSummary, home: Settings) -> None:
    store = client(home)
    model_run = store.get_run(ran.champion.run_id)
    parent = model_run.data.tags["mlflow.parentRunId"]

    files = {file.path for file in store.list_artifacts(parent, "report")}

    assert {"report/evaluation.html", "report/predictions.csv", "report/by_lead.csv",
            "report/by_label.csv"} <= files  # fmt: skip
    assert len([path for path in files if path.endswith(".png")]) >= 4
