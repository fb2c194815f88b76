from __future__ import annotations

import re
from html.parser import HTMLParser

from mlops_assets.replay.ledger import build_ledger, cumulative_loss_difference
from mlops_assets.replay.page import replay_page
from mlops_assets_tests.end_to_end.planted import problem
from mlops_assets_tests.replay.played import evidence, live_scores

PROBLEM = problem()


class Cells(HTMLParser):
    """Collects the text of each table row."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        del attrs
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data


def page() -> str:
    ledger = build_ledger(evidence(), PROBLEM, replay_id="spring")
    return replay_page(ledger, cumulative_loss_difference(evidence(), PROBLEM), PROBLEM)


def rows_of(text: str) -> list[list[str]]:
    cells = Cells()
    cells.feed(text)
    return cells.rows


def test_the_page_tells_each_origin_and_each_rule() -> None:
    rows = rows_of(page())

    heading, gate, lower, newest = rows[:4]
    assert heading[:5] == ["rule", "promotions", "churn", "versions", "MAE / last"]
    assert gate[1:5] == ["1", "0", "1", "0.3750"]  # 1.5 over 4
    assert lower[1:5] == ["2", "1", "1", "0.7500"]  # 3 over 4
    assert newest[0].startswith("newest: the main recipe")
    first = rows[5]
    assert first[:5] == ["2025-05-01 00:00", "schedule", "promote", "ridge, version 2", "0.2500"]
    assert "ridge proved better." in first[-1]


def test_the_page_needs_nothing_from_outside_and_escapes_what_it_tells() -> None:
    text = page()

    assert re.findall(r'(?:src|href)="(?!data:)', text) == []
    assert text.count("data:image/png;base64,") == 2
    assert "&lt;nobody&gt; proved better." in text
    assert "<nobody>" not in text


def test_a_replay_of_which_nothing_came_true_still_has_a_page() -> None:
    quiet = evidence()
    silent = type(quiet)(quiet.steps, quiet.verdicts, live_scores().clear(), quiet.closing)
    ledger = build_ledger(silent, PROBLEM, replay_id="spring")

    text = replay_page(ledger, cumulative_loss_difference(silent, PROBLEM), PROBLEM)

    assert text.count("data:image/png;base64,") == 1
    assert rows_of(text)[1][4:8] == ["-", "-", "-", "-"]
