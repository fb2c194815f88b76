from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mlops_assets_tests.dashboard.charts import choose, points, set_day, table, trace, traces
from mlops_assets_tests.dashboard.running import dashboard, reader
from mlops_assets_tests.dashboard.worlds import VALID, close
from mlops_assets_tests.serving.past_world import Rows, rows_of
from mlops_assets_tests.serving.published import (
    AS_OF,
    HOUR,
    World,
    calibration_rows,
    input_rows,
    model_files,
)
from mlops_assets_tests.serving.published_past import instant, past
from mlops_assets_tests.serving.running import served

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.services

CHART = "market-chart"
HISTORY = "/v1/forecasts/bitcoin_close/history"
CHAMPION = "/v1/forecasts/bitcoin_close/champion"


@pytest.fixture
def market(page: Page, pages: str) -> Page:
    """The market's page, its chart drawn."""
    page.goto(pages)
    traces(page, CHART, with_meta="champion-")
    return page


def drawn_at(row: dict[str, Any]) -> str:
    """Where a forecast is to be drawn: where its bar opens."""
    return f"{datetime.fromisoformat(row['valid_time']) - HOUR:%Y-%m-%dT%H:%M:%S}"


def said(rows: Rows, column: str = "point") -> dict[str, float]:
    """Where forecasts of the API are to be drawn -> their figures."""
    return {drawn_at(row): row[column] for row in rows}


def test_bars_are_the_apis_and_lie_where_they_open(market: Page) -> None:
    candles = next(t for t in traces(market, CHART) if t["type"] == "candlestick")

    assert dict(zip(candles["x"], candles["close"], strict=True)) == {
        f"{at - HOUR:%Y-%m-%dT%H:%M:%S}": close(at) for at in VALID
    }


def test_the_stitched_champion_is_drawn_with_its_band(market: Page, api: httpx.Client) -> None:
    rows = rows_of(api.get(CHAMPION))

    assert points(trace(market, CHART, "champion-")) == said(rows)
    assert points(trace(market, CHART, "champion--lower")) == said(rows, "lower")
    assert points(trace(market, CHART, "champion--upper")) == said(rows, "upper")


def test_a_candidate_is_added_and_removed(market: Page, api: httpx.Client) -> None:
    choose(market, "Candidate", "ridge")
    market.get_by_role("button", name="Add the candidate").click()

    rows = rows_of(api.get(HISTORY, params={"candidate": "ridge"}))
    assert points(trace(market, CHART, "candidate-ridge")) == said(rows)
    assert market.get_by_role("button", name="Add the candidate").is_disabled()

    market.get_by_role("button", name="Remove").nth(1).click()
    left = traces(market, CHART, without="candidate-ridge")
    assert "champion-" in [t["meta"] for t in left]


def test_a_price_copier_is_drawn_one_hour_late(market: Page) -> None:
    choose(market, "Candidate", "last_value")
    market.get_by_role("button", name="Add the candidate").click()

    copier = points(trace(market, CHART, "candidate-last_value"))
    candles = next(t for t in traces(market, CHART) if t["type"] == "candlestick")
    closes = dict(zip(candles["x"], candles["close"], strict=True))
    one_late = {
        f"{datetime.fromisoformat(at) + HOUR:%Y-%m-%dT%H:%M:%S}": value
        for at, value in closes.items()
    }
    assert copier == one_late
    assert not [at for at, value in copier.items() if closes.get(at) == value]


def test_a_version_that_was_never_published_is_asked_what_it_says(
    market: Page, api: httpx.Client
) -> None:
    choose(market, "Model by date and candidate", "2026-01-23 12:00 · ridge · v2")
    choose(market, "Model by date and candidate", "2026-01-25 12:00 · lstm · v4")
    market.get_by_role("button", name="Add the version").click()

    # Its training data ends 48 hours before the snapshot: it may speak of what came after only.
    query = {"version": "4", "from": instant(AS_OF - 48 * HOUR)}
    rows = api.get("/v1/forecasts/bitcoin_close", params=query).json()["forecasts"]
    assert len(rows) == 49
    assert points(trace(market, CHART, "version-4")) == pytest.approx(said(rows))


def test_all_layers_are_cleared_and_the_champion_is_added_again(market: Page) -> None:
    market.get_by_role("button", name="Clear all").click()
    left = traces(market, CHART, without="champion-")
    assert {t["meta"] for t in left} == {None, "newest"}
    market.get_by_text("No forecasts are laid over").wait_for()

    market.get_by_role("button", name="Add the champion").click()
    assert trace(market, CHART, "champion-")["name"] == "champion of each time"


def test_bands_can_be_hidden(market: Page) -> None:
    market.get_by_text("Show bands").click()

    left = traces(market, CHART, without="champion--lower")
    assert [t["meta"] for t in left] == [None, None, "champion-", "newest"]


def test_fewer_days_and_an_earlier_last_day_show_other_hours(market: Page) -> None:
    market.get_by_role("radio", name="3", exact=True).click()
    # From midnight of 28 February, three days with the last.
    market.wait_for_function(
        "() => document.querySelector('.st-key-market-chart .js-plotly-plot')"
        "?.data[0].x[0] === '2026-02-27T23:00:00'"
    )
    set_day(market, "Until (UTC)", "20260228")
    shown = traces(market, CHART, without="newest")
    assert shown[0]["x"][-1] == "2026-02-28T22:00:00"


def test_errors_of_what_is_shown_are_beside_the_last_values(market: Page) -> None:
    market.get_by_role("button", name="Clear all").click()
    traces(market, CHART, without="champion-")
    choose(market, "Candidate", "forest")
    market.get_by_role("button", name="Add the candidate").click()
    trace(market, CHART, "candidate-forest")

    # `forest` says what comes true and 5 more.
    moves = [abs(close(at) - close(at - HOUR)) for at in VALID[1:]]
    last_value = sum(moves) / len(moves)
    assert table(market, "Whose") == [
        ["forest", "95", "5.00", "5.00", f"{5 / last_value:.4f}", "100.0%"]
    ]


def test_the_last_value_and_the_newest_forecast_are_the_apis(
    market: Page, api: httpx.Client
) -> None:
    (row,) = api.get("/v1/forecasts/bitcoin_close/latest").json()["forecasts"]

    shown = market.get_by_test_id("stMetricValue").all_inner_texts()
    assert shown == [
        f"{value:,.2f}" for value in (close(AS_OF), row["point"], row["lower"], row["upper"])
    ]
    assert points(trace(market, CHART, "newest")) == {drawn_at(row): row["point"]}


def test_generated_data_is_called_synthetic_and_nothing_is_advice(market: Page) -> None:
    assert market.get_by_text("synthetic data").is_visible()
    assert "far below the costs of a trade" in market.inner_text("[data-testid=stMain]")


def test_a_newer_snapshot_is_shown_without_a_click(
    tmp_path: Path, own_world: World, browser: Browser
) -> None:
    world = own_world
    world.register(model_files())
    world.publish(input_rows(), calibration_rows(), files=past(world.home))
    with (
        served(world) as service,
        dashboard(
            tmp_path,
            api_port=service.base_url.port or 0,
            MLOPS_DASHBOARD_REFRESH_SECONDS="0.3",
        ) as address,
        reader(browser) as page,
    ):
        page.goto(address)
        before = _forecast_of(service)
        page.get_by_test_id("stMetricValue").get_by_text(before).first.wait_for()

        world.publish(input_rows(scale=1.1), calibration_rows(), files=past(world.home))

        page.wait_for_function(
            "(before) => ![...document.querySelectorAll('[data-testid=stMetricValue]')]"
            ".some((metric) => metric.innerText.includes(before))",
            arg=before,
        )
        page.get_by_test_id("stMetricValue").get_by_text(_forecast_of(service)).first.wait_for()


def _forecast_of(service: httpx.Client) -> str:
    answer = service.get("/v1/forecasts/bitcoin_close/latest", params={"series": "btc"})
    return f"{answer.json()['forecasts'][0]['point']:,.2f}"
