"""What a reader sees of the charts: the data of the figures in the page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from playwright.sync_api import Page

Trace = dict[str, Any]
_OPENINGS: Final = 5
_OPEN_MS: Final = 5_000
"""A list that was not closed shows its option long before."""

_TRACES: Final = """(key) => {
    const plot = document.querySelector(`.st-key-${key} .js-plotly-plot`);
    if (!plot || !plot.data) return null;
    const list = (values) => values == null ? null : Array.from(values);
    return plot.data.map((trace) => ({
        type: trace.type, name: trace.name, meta: trace.meta ?? null,
        x: list(trace.x), y: list(trace.y), close: list(trace.close), z: trace.z ?? null,
    }));
}"""


def traces(page: Page, chart: str, *, with_meta: str | None = None, without: str | None = None
           ) -> list[Trace]:  # fmt: skip
    """The traces of a chart, once one with a certain `meta` is there, or none with another."""
    condition = f"""() => {{
        const traces = ({_TRACES})({json.dumps(chart)});
        const metas = traces && traces.map((trace) => trace.meta);
        const [wanted, unwanted] = {json.dumps([with_meta, without])};
        return metas && (wanted === null || metas.includes(wanted))
            && (unwanted === null || !metas.includes(unwanted));
    }}"""
    page.wait_for_function(condition)
    found: list[Trace] = page.evaluate(_TRACES, chart)
    return found


def trace(page: Page, chart: str, meta: str) -> Trace:
    """The trace of a chart with a certain `meta`, once it is there."""
    return next(t for t in traces(page, chart, with_meta=meta) if t["meta"] == meta)


def points(found: Trace) -> dict[str, float]:
    """Where a trace's points lie -> their height."""
    return dict(zip(found["x"], found["y"], strict=True))


def choose(page: Page, label: str, option: str) -> None:
    """Choose an option of the first select box of a name.

    A run of the page that ends meanwhile closes the list; then it is opened again.
    """
    from playwright.sync_api import TimeoutError as ListClosed

    box = page.get_by_role("combobox", name=label, exact=True).first
    wanted = page.get_by_role("option", name=option, exact=True)
    for _ in range(_OPENINGS):
        box.click()
        box.press("ArrowDown")
        try:
            wanted.click(timeout=_OPEN_MS)
        except ListClosed:
            page.keyboard.press("Escape")
        else:
            return
    raise AssertionError(f"{label} offers no {option!r}")


def set_day(page: Page, label: str, day: str) -> None:
    """Type a day, `YYYYMMDD`, into a field of dates."""
    page.get_by_role("spinbutton", name=f"year, {label}").click()
    page.keyboard.type(day)
    page.keyboard.press("Escape")
    page.get_by_role("heading", level=1).click()


def table(page: Page, heading: str) -> list[list[str]]:
    """The cells of the table that has a certain column heading, once it is there."""
    found = page.locator("table", has=page.get_by_role("columnheader", name=heading, exact=True))
    found.first.wait_for()
    rows = found.first.locator("tbody tr")
    return [row.locator("td").all_inner_texts() for row in rows.all()]
