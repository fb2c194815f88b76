"""What is written down: page, Markdown table and CSV."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from html.parser import HTMLParser
from io import BytesIO
from typing import Any

import polars as pl
import pytest

from mlops_assets.evaluation.breakdown import by_label
from mlops_assets.evaluation.leaderboard import leaderboard
from mlops_assets.evaluation.report import (
    html_report,
    leaderboard_markdown,
    predictions_csv,
    table_csv,
)
from mlops_assets.evaluation.rows import COLUMNS
from mlops_assets_tests.evaluation.frames import (
    START,
    backtest_frame,
    share_frame,
    share_problem,
    small_problem,
)

AS_OF = datetime(2024, 2, 3, tzinfo=UTC)
VERDICT: dict[str, Any] = {
    "decision": "promote",
    "candidate": "ridge",
    "previous": None,
    "alpha": 0.05,
    "reasons": ["ridge proved better: p < 0.001 & so on"],
    "mean_losses": {"ridge": 1.0, "last_value": 2.0},
    "tests": [{"challenger": "ridge", "p_value": 0.000123456789, "passed": True}],
}


class Page(HTMLParser):
    """Collects the text, the tags and the picture addresses of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.pictures: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.pictures += [v or "" for k, v in attrs if k == "src"]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture
def frame() -> pl.DataFrame:
    return backtest_frame([102.0] * 40, {"last_value": [100.0] * 40, "ridge": [101.0] * 40})


def read(frame: pl.DataFrame, **knobs: Any) -> Page:  # noqa: ANN401  # handed on to html_report
    problem = small_problem()
    page = Page()
    page.feed(
        html_report(
            problem,
            leaderboard(frame, problem),
            {"coverage_by_fold.png": b"\x89PNG"},
            as_of=AS_OF,
            span=(START, AS_OF),
            **knobs,
        )
    )
    return page


def test_the_page_shows_scores_pictures_and_span_without_a_verdict(frame: pl.DataFrame) -> None:
    page = read(frame)
    for expected in ("MAE, USDT", "ridge", "last_value (baseline)", "1.00", "+0.5000"):
        assert expected in page.words
    assert any("2024-02-03 00:00 UTC" in w for w in page.words)
    assert page.pictures == ["data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()]
    assert not any(w.startswith("Verdict") for w in page.words)


def test_the_page_shows_every_figure_of_the_verdict_and_the_caveats(frame: pl.DataFrame) -> None:
    page = read(
        frame, verdict=VERDICT, caveats=["Far below trading costs."], provenance={"run": "r1"}
    )
    for expected in (
        "Verdict: promote ridge",
        "ridge proved better: p < 0.001 & so on",
        "Far below trading costs.",
        "0.000123457",
        "yes",
        "ridge 1, last_value 2",
        "r1",
    ):
        assert expected in page.words


def test_the_page_needs_nothing_from_outside_and_runs_nothing(frame: pl.DataFrame) -> None:
    page = read(frame, verdict=VERDICT)
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "prefers-color-scheme: dark" in "".join(page.words)


def test_text_that_looks_like_markup_is_shown_as_text(frame: pl.DataFrame) -> None:
    page = read(frame, caveats=["<script>alert(1)</script>"])
    assert "script" not in page.tags
    assert "<script>alert(1)</script>" in page.words


def test_the_markdown_table_names_units_and_leaves_undefined_scores_open(
    frame: pl.DataFrame,
) -> None:
    lines = leaderboard_markdown(leaderboard(frame, small_problem()), "USDT").splitlines()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    assert {len(row) for row in cells} == {15}
    assert cells[0][:3] == ["candidate", "MAE, USDT", "RMSE, USDT"]
    assert [row[0] for row in cells[2:]] == ["ridge", "last\\_value (baseline)"]
    assert cells[3][cells[0].index("direction, %")] == "-"  # the last value has none


def test_the_csv_reads_back_as_the_backtest(frame: pl.DataFrame) -> None:
    text = predictions_csv(frame.reverse())
    assert text.splitlines()[1].startswith(
        b"last_value,last_value-1,true,2024-02-01T00:00:00Z,coin"
    )
    back = pl.read_csv(BytesIO(text), try_parse_dates=True)
    assert back.columns == list(COLUMNS)
    values = ["candidate", "series", "step", "actual", "point", "lower", "upper"]
    assert back.select(values).equals(frame.select(values))
    assert back["origin"].dt.epoch().to_list() == frame["origin"].dt.epoch().to_list()


def share_rows() -> pl.DataFrame:
    """Errors: the last value 2, ridge 1 at one step and 3 at three; bands +- 2."""
    return share_frame(
        share_problem(brands=("토레타", "링티")),
        {
            "last_value": lambda *_: 2.0,
            "ridge": lambda _series, step, _day: float(step),
        },
        half_width=2.0,
    )


def test_the_markdown_of_several_leads_shows_the_error_at_each_in_place_of_the_rmse() -> None:
    board = leaderboard(share_rows(), share_problem())
    lines = leaderboard_markdown(board, "%").splitlines()
    head, _, ridge, _ = ([c.strip() for c in line.strip("|").split("|")] for line in lines[:4])
    shown = dict(zip(head, ridge, strict=True))
    assert head[:4] == ["candidate", "MAE, %", "MAE at 1", "MAE at 3"]
    assert (shown["MAE at 1"], shown["MAE at 3"]) == ("2.00", "2.00")
    assert shown["Winkler, %"] == "4.0"
    assert not {"RMSE, %", "R² of return", "direction, %"} & set(head)


def test_the_page_of_a_panel_explains_its_own_scores_and_lists_the_labels() -> None:
    problem, rows = share_problem(brands=("토레타", "링티")), share_rows()
    page = Page()
    page.feed(
        html_report(
            problem,
            leaderboard(rows, problem),
            {},
            as_of=AS_OF,
            span=(START, AS_OF),
            by_label=by_label(rows, problem),
        )
    )
    text = " ".join(page.words)
    assert "interval score in units of the target (%)" in text
    assert "MASE is the error over the usual change" in text
    assert "zero return" not in text
    assert {"last_value by label", "토레타", "링티", "female"} <= set(page.words)


def test_the_page_of_a_price_says_basis_points(frame: pl.DataFrame) -> None:
    text = " ".join(read(frame).words)
    assert "Winkler, bp" in text
    assert "interval score in basis points of the last value" in text


def test_the_csv_of_a_panel_names_the_labels_of_each_row() -> None:
    problem = share_problem(brands=("토레타", "링티"))
    back = pl.read_csv(BytesIO(predictions_csv(share_rows(), keys=problem.series_keys)))
    assert back.columns[4:8] == ["series", "segment", "brand", "gender"]
    first = back.filter(pl.col("series") == "링티/female").row(0, named=True)
    assert (first["segment"], first["brand"], first["gender"]) == ("female", "링티", "female")
    assert back["valid_time"][0] == "2024-02-02T00:00:00Z"


def test_instants_of_any_table_are_written_in_iso_8601() -> None:
    assert table_csv(pl.DataFrame({"refit_at": [START]})) == b"refit_at\n2024-02-01T00:00:00Z\n"
