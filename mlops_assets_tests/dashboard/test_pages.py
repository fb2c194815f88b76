from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from dashboard.language import phrase
from mlops_assets_tests.dashboard.charts import choose, points, set_day, table, trace, traces
from mlops_assets_tests.dashboard.running import (
    PHONE,
    dashboard,
    free_port,
    reader,
    switched_api,
)
from mlops_assets_tests.dashboard.worlds import DRIFT_DOCUMENT, LEDGER
from mlops_assets_tests.serving.past_world import rows_of

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.services

# The page that the address without a path opens is the market's.
PATHS = {"market": "", "search": "search", "models": "models", "live": "live", "replay": "replay"}
LAST_WORDS = {
    "market": "far below the costs of a trade",
    "search": "Choose day, age group, gender and brand",
    "models": "3 features",
    "live": "A column drifts when its distance",
    "replay": "ridge beats last_value.",
}


def opened(page: Page, pages: str, name: str) -> Page:
    """A page, shown to its last words."""
    page.goto(f"{pages}/{PATHS[name]}")
    page.get_by_text(LAST_WORDS[name]).last.wait_for()
    assert page.get_by_test_id("stException").count() == 0
    return page


def test_a_brands_shares_are_drawn_with_the_newest_forecast_and_its_band(
    page: Page, pages: str, api: httpx.Client
) -> None:
    opened(page, pages, "search")
    choose(page, "Gender", "male")
    page.wait_for_function(
        "() => { const plot = document.querySelector('.st-key-share-lines .js-plotly-plot');"
        " const found = plot?.data?.find((trace) => trace.meta === 'forecast-토레타');"
        " return found && Math.abs(found.y[1] - 75) < 1e-3; }"
    )

    series = {"series": "토레타/male/20대"}
    answer = api.get("/v1/forecasts/drink_share/latest", params=series).json()["forecasts"]
    for meta, column in (("", "point"), ("-lower", "lower"), ("-upper", "upper")):
        drawn = trace(page, "share-lines", f"forecast-토레타{meta}")
        assert drawn["y"] == [row[column] for row in answer]
        assert drawn["x"] == ["2026-03-03", "2026-03-04"]
    observed = rows_of(api.get("/v1/observations/drink_share", params=series))
    drawn = trace(page, "share-lines", "observed-토레타")
    assert drawn["y"] == [row["value"] for row in observed]
    assert (drawn["x"][0], drawn["x"][-1]) == ("2026-02-21", "2026-03-02")


def test_the_heat_map_shows_every_group_on_a_chosen_day(page: Page, pages: str) -> None:
    opened(page, pages, "search")
    choose(page, "Day of the forecast", "2026-03-04")
    page.wait_for_function(
        "() => document.querySelector('.st-key-heat-map .js-plotly-plot')?.data[0].z[0][0] < 1e-3"
    )

    drawn = trace(page, "heat-map", "segments")
    assert drawn["x"] == ["게토레이", "토레타", "포카리스웨트"]
    assert drawn["y"] == ["male · 20대", "female · 20대"]
    assert drawn["z"] == [
        pytest.approx([0.0, 75.0, 25.0], abs=1e-3),
        pytest.approx([20.0, 40.0, 40.0], abs=1e-3),
    ]


def test_the_form_asks_the_api_for_one_share(page: Page, pages: str, api: httpx.Client) -> None:
    opened(page, pages, "search")
    form = page.get_by_test_id("stForm")
    box = form.get_by_role("combobox", name="Brand", exact=True)
    box.click()
    box.press("ArrowDown")
    page.get_by_role("option", name="토레타", exact=True).click()
    set_day(page, "Day", "20260304")
    form.get_by_role("button", name="Forecast").click()

    question = {"date": "2026-03-04", "age_group": "20대", "gender": "female", "brand": "토레타"}
    (row,) = api.post("/predict", json=question).json()["forecasts"]
    page.get_by_text("토레타 · female · 20대 · 2026-03-04").wait_for()
    shown = page.get_by_test_id("stMetricValue").all_inner_texts()
    assert shown == ["40.00 percent", f"{row['lower']:,.2f} to {row['upper']:,.2f}"]


def test_a_day_that_nobody_forecasts_is_answered_with_the_days_there_are(
    page: Page, pages: str
) -> None:
    opened(page, pages, "search")
    set_day(page, "Day", "20260401")
    page.get_by_role("button", name="Forecast", exact=True).click()

    page.get_by_text("use one of the known dates").wait_for()


def test_the_days_of_the_search_page_can_be_fewer_and_past_forecasts_say_what_to_do(
    page: Page, pages: str
) -> None:
    opened(page, pages, "search")
    page.get_by_role("radio", name="14", exact=True).click()
    page.get_by_text("What champions said a day ahead").click()

    page.get_by_text("materialise forecasts and then published").wait_for()
    assert len(trace(page, "share-lines", "observed-토레타")["x"]) == 10


def test_the_leaderboard_says_who_is_shown_to_be_better(page: Page, pages: str) -> None:
    opened(page, pages, "models")

    assert [[row[i] for i in (0, 1, 3, 4, 5)] for row in table(page, "p-value")] == [
        ["forest", "275.7000", "+0.35%", "0.004", "better"],
        ["ridge", "276.2000", "+0.12%", "0.21", "not shown to be better"],
        ["last_value ◦", "276.7000", "—", "—", "baseline"],
    ]


def test_champions_stand_on_a_time_line_with_their_reasons(page: Page, pages: str) -> None:
    opened(page, pages, "models")

    bars = [t for t in traces(page, "champions", with_meta="reign") if t["meta"] == "reign"]
    assert [(t["name"], t["x"]) for t in bars] == [
        ("ridge v2", ["2026-02-26T12:00:00", "2026-03-01T12:00:00"]),
        ("forest v3", ["2026-03-01T12:00:00", "2026-03-02T12:00:00"]),
    ]
    assert table(page, "Reasons")[0] == [
        "2026-03-01 12:00",
        "promote",
        "forest v3",
        "forest beats ridge with p = 0.004, and no guard is against it.",
    ]


def test_a_versions_card_is_shown_with_links_to_its_runs(page: Page, pages: str) -> None:
    opened(page, pages, "models")
    choose(page, "Version", "v2 · ridge · 2026-01-23 12:00")
    page.get_by_role("link", name="MLflow", exact=True).wait_for()
    page.wait_for_function(
        "() => [...document.querySelectorAll('a')].some((a) => a.href.endsWith('/versions/2'))"
    )

    links = {a.inner_text(): a.get_attribute("href") for a in page.get_by_role("link").all()}
    assert links["MLflow"] == "http://127.0.0.1:5000/#/models/sample.bitcoin_close/versions/2"
    assert links["Dagster run"] == "http://127.0.0.1:3000/runs/dagster-run"
    card = dict(table(page, "What"))
    assert (card["Candidate"], card["Training rows"]) == ("ridge", "720")
    page.get_by_text("3 features").click()
    assert [row[0] for row in table(page, "Source")] == ["ret", "vol", "band_quantile"]


def test_another_problem_can_be_chosen_and_says_what_is_not_published(
    page: Page, pages: str
) -> None:
    opened(page, pages, "models")
    choose(page, "Problem", "Shares of drinks")

    page.get_by_text("materialise evaluation_report and then published").wait_for()


def test_live_errors_coverage_and_drift_are_the_apis(
    page: Page, pages: str, api: httpx.Client
) -> None:
    opened(page, pages, "live")

    scores = rows_of(api.get("/v1/live-scores/bitcoin_close"))
    by_day = {row["day"][:10]: row for row in scores}
    for chart, meta, column in (
        ("live-mae", "mae", "mae"),
        ("live-mae", "mae-last", "mae_last_value"),
        ("live-coverage", "coverage", "coverage"),
    ):
        assert points(trace(page, chart, meta)) == pytest.approx(
            {day: row[column] for day, row in by_day.items()}
        )
    shares = trace(page, "drift-share", "drift")["y"]
    assert shares == [row["share_drifted"] for row in DRIFT_DOCUMENT["history"]]
    assert [row[:4] for row in table(page, "Threshold")] == [
        ["volume", "0.410", "0.250", "● drifted"],
        ["return_1h", "0.080", "0.250", "steady"],
        ["gold", "—", "—", "too little history to judge"],
    ]
    assert [row[0] for row in table(page, "Answers")] == ["champion", "challenger (shadow)"]


def test_a_replays_ledger_stands_beside_the_rules(page: Page, pages: str) -> None:
    opened(page, pages, "replay")

    assert [[row[i] for i in (0, 1, 2, 4)] for row in table(page, "Promotions")] == [
        ["our gate", "1", "0", "0.9975"],
        ["promote if lower", "3", "2", "1.0010"],
        ["always newest", "4", "0", "1.0080"],
    ]
    ledger = table(page, "Triggers")
    assert ledger[0][:5] == ["2026-03-02 12:00", "schedule", "keep", "ridge v1", "—"]
    assert ledger[-1][2] == "promote"
    ratios = trace(page, "replay-ratio", "ratio")["y"]
    assert ratios == pytest.approx(
        [row["live"]["rmse"] / 400 for row in LEDGER["rows"] if row["live"]]
    )


@pytest.mark.parametrize("name", list(PATHS))
def test_every_page_fits_a_phone_and_a_dark_room(browser: Browser, pages: str, name: str) -> None:
    with reader(browser, size=PHONE, dark=True) as page:
        opened(page, pages, name)

        width = page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth")
        assert width <= PHONE[0]
        colour = page.evaluate(
            "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
        )
        assert max(int(part) for part in colour[4:-1].split(",")) < 64, colour
        assert page.get_by_text("synthetic data").first.is_visible()


@pytest.mark.parametrize("name", list(PATHS))
def test_every_page_speaks_korean_to_a_korean_reader(
    browser: Browser, pages: str, name: str
) -> None:
    with reader(browser, locale="ko-KR") as page:
        page.goto(f"{pages}/{PATHS[name]}")
        page.get_by_role("heading", name=phrase(name, "ko"), level=1).wait_for()


def test_the_language_can_be_switched(browser: Browser, pages: str) -> None:
    with reader(browser, locale="ko-KR") as page:
        page.goto(pages)
        page.get_by_role("heading", name="시장", level=1).wait_for()
        trace(page, "market-chart", "champion-")
        page.get_by_role("radio", name="English").click()

        page.get_by_role("heading", name="Market", level=1).wait_for()
        page.get_by_text("champion of each time").first.wait_for()


def test_without_an_api_the_page_says_how_to_start_one(tmp_path: Path, browser: Browser) -> None:
    port = free_port()
    with dashboard(tmp_path, api_port=port) as address, reader(browser) as page:
        page.goto(address)
        page.get_by_text(f"Nothing answers at http://127.0.0.1:{port}").wait_for()
        page.get_by_text("mlops up").first.wait_for()

        with switched_api(port) as api:
            api.go.set()
            page.get_by_role("button", name="Try again").click()
            page.get_by_text("No problem with candles is published yet").wait_for()
            page.get_by_text("mlops run bitcoin_close").first.wait_for()


def test_a_slow_api_is_waited_for_and_then_given_up(tmp_path: Path, browser: Browser) -> None:
    port = free_port()
    with (
        switched_api(port) as api,
        dashboard(tmp_path, api_port=port, MLOPS_DASHBOARD_TIMEOUT_SECONDS="4") as address,
        reader(browser) as page,
    ):
        page.goto(address)
        page.get_by_text("Asking the API; given up after 4 s for each answer").wait_for()
        assert api.asked.is_set()
        page.get_by_text("The API did not answer /v1/problems within 4 s").wait_for()

        api.go.set()
        page.get_by_role("button", name="Try again").click()
        page.get_by_text("No problem with candles is published yet").wait_for()
