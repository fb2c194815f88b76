"""The evaluation on paper: one self-contained HTML page, a Markdown table, the forecasts as CSV.

Here: how figures are written down. Not here: the figures (`evaluation.leaderboard`), the pictures
(`evaluation.plots`) and the verdict (`promotion.decision`), which the page takes as plain data.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import polars as pl

from mlops_assets.evaluation.breakdown import with_labels
from mlops_assets.evaluation.panel_plots import label_names
from mlops_assets.evaluation.rows import COLUMNS, ROW
from mlops_assets.problem import ForecastProblem

_MISSING: Final = "-"
_TABLE: Final[Mapping[str, tuple[str, str]]] = {
    "candidate": ("candidate", ""),
    "mae": ("MAE{unit}", ",.2f"),
    "rmse": ("RMSE{unit}", ",.2f"),
    "skill": ("skill", "+.4f"),
    "p_value": ("p", ".2g"),
    "mase": ("MASE", ".3f"),
    "mape_pct": ("MAPE, %", ".3f"),
    "r2_return": ("R² of return", ".4f"),
    "direction_pct": ("direction, %", ".1f"),
    "coverage": ("coverage", ".3f"),
    "worst_week_coverage": ("worst week", ".3f"),
    "winkler": ("Winkler{band_unit}", ",.1f"),
    "mae_ratio": ("MAE ratio", ".4f"),
    "rmse_ratio": ("RMSE ratio", ".4f"),
    "n": ("rows", ",d"),
}
"""Column of the leaderboard -> heading and number format."""

_LEGEND: Final = (
    "Every candidate is scored on the same rows, none of which its fit had seen. Errors are "
    "forecast minus actual. Skill is 1 - loss / loss of the strongest baseline; p is the "
    "one-sided Diebold-Mariano test against it; ratios are to it."
)
_LEGEND_OF: Final = {
    "mase": "MASE is the error over the usual change of a series in one season before the refit.",
    "r2_return": "R² compares with a zero return.",
    "direction_pct": "Direction leaves out rows without a move.",
    "winkler": "Winkler is the interval score in {band_unit}: width plus a penalty for every miss.",
}
"""What is explained where the column is shown."""

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2733; --muted: #5b6875; --line: #dfe4ea;
  --page: #ffffff; --card: #f5f7f9; --mark: #e3f0fa; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --muted: #a3afbb; --line: #35414d;
  --page: #14191f; --card: #1d252d; --mark: #1d3a52; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page);
  max-width: 1140px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p.muted, figcaption, td.muted { color: var(--muted); }
.verdict, .caveat { background: var(--card); border-left: 4px solid #0072b2; border-radius: 6px;
  padding: .6rem 1rem; margin: 1rem 0; }
.caveat { border-color: #d55e00; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th { white-space: normal; vertical-align: bottom; }
th:first-child, td:first-child, td.text { text-align: left; }
tr.holder { background: var(--mark); font-weight: 600; }
figure { margin: 1rem 0; background: #ffffff; border: 1px solid var(--line); border-radius: 6px;
  padding: .6rem; } figure img { width: 100%; height: auto; display: block; }
"""


def html_report(
    problem: ForecastProblem,
    leaderboard: pl.DataFrame,
    figures: Mapping[str, bytes],
    *,
    as_of: datetime,
    span: tuple[datetime, datetime],
    verdict: Mapping[str, Any] | None = None,
    caveats: Sequence[str] = (),
    provenance: Mapping[str, str] | None = None,
    by_label: pl.DataFrame | None = None,
) -> str:
    """One HTML page without scripts or outside files, readable in light and dark.

    Args:
        problem: names title and units.
        leaderboard: the table of `evaluation.leaderboard.leaderboard`.
        figures: PNG by file name, shown in this order.
        as_of: what was known, UTC.
        span: first and last origin that was scored, both included, UTC.
        verdict: the gate's verdict in JSON form; None before the gate has spoken.
        caveats: what a reader must know before acting on the figures, one paragraph each.
        provenance: where the figures come from, such as run and data version, by name.
        by_label: the table of `evaluation.breakdown.by_label`; shown for the best candidate.

    Returns:
        The page as text; every value is escaped.
    """
    holder = str(verdict["candidate"]) if verdict else None
    body = [
        f"<h1>{_text(problem.title)}</h1>",
        f'<p class="muted">As of {_instant(as_of)}; origins {_instant(span[0])} to '
        f"{_instant(span[1])}.</p>",
        *(_verdict_summary(verdict) if verdict else ()),
        *(f'<p class="caveat">{_text(caveat)}</p>' for caveat in caveats),
        "<h2>Leaderboard</h2>",
        _leaderboard_table(leaderboard, problem.target_source.unit, holder),
        f'<p class="muted">{_text(_legend(leaderboard))}</p>',
        *(_picture(name, png) for name, png in figures.items()),
        *(_labels(by_label, leaderboard, problem) if by_label is not None else ()),
        *(_verdict_figures(verdict) if verdict else ()),
        *(("<h2>Provenance</h2>", _pairs(provenance)) if provenance else ()),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(problem.title)}: evaluation</title><style>{_STYLE}</style></head>\n<body>"
        + "\n".join(body)
        + "</body></html>\n"
    )


def leaderboard_markdown(leaderboard: pl.DataFrame, unit: str = "") -> str:
    """The leaderboard as a Markdown table, for metadata and terminals.

    Args:
        leaderboard: the table of `evaluation.leaderboard.leaderboard`.
        unit: of the target, named in the headings.
    """
    columns = _shown_columns(leaderboard, unit)
    rule = ["---" if c.name == "candidate" else "---:" for c in columns]
    cells = [
        [c.cell(row).replace("|", "\\|").replace("_", "\\_") for c in columns]
        for row in leaderboard.iter_rows(named=True)
    ]
    lines = [[c.heading for c in columns], rule, *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def predictions_csv(frame: pl.DataFrame, *, keys: Sequence[str] = ()) -> bytes:
    """The backtest as CSV: UTF-8, a header, instants in ISO 8601 UTC, by candidate and row.

    Args:
        frame: the backtest (see `evaluation.rows`).
        keys: of a panel; each adds a column with the label of the row's series.
    """
    rows = with_labels(frame.select(COLUMNS), tuple(keys)).sort("candidate", *ROW)
    after = COLUMNS.index("segment") + 1
    return table_csv(rows.select(*COLUMNS[:after], *keys, *COLUMNS[after:]))


def table_csv(table: pl.DataFrame) -> bytes:
    """A table as CSV: UTF-8, a header, instants in ISO 8601 UTC."""
    return table.write_csv(datetime_format="%Y-%m-%dT%H:%M:%SZ").encode()


def _text(value: object) -> str:
    return html.escape(str(value))


def _instant(value: datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True)
class _Column:
    """One column of the leaderboard on paper; `lead` is the place of a lead's MAE, from 0."""

    name: str
    heading: str
    form: str
    lead: int | None = None

    def cell(self, row: Mapping[str, Any]) -> str:
        value = row[self.name] if self.lead is None else row["by_lead"][self.lead]["mae"]
        if value is None:
            return _MISSING
        text = format(value, self.form)
        return f"{text} (baseline)" if self.name == "candidate" and row["baseline"] else text


def _shown_columns(leaderboard: pl.DataFrame, unit: str) -> list[_Column]:
    """The columns that hold a score; for several leads the MAE at each stands in for the RMSE."""
    units = {"unit": f", {unit}" if unit else "", "band_unit": f", {_band_unit(leaderboard)}"}
    leads = leaderboard["by_lead"][0] if "by_lead" in leaderboard.columns else []
    columns = []
    for name, (heading, form) in _TABLE.items():
        if name == "rmse" and len(leads) > 1:
            columns += [
                _Column(name, f"MAE at {lead['step']}", form, place)
                for place, lead in enumerate(leads)
            ]
        elif name in leaderboard.columns and not leaderboard[name].is_null().all():
            columns.append(_Column(name, heading.format(**units), form))
    return columns


def _band_unit(leaderboard: pl.DataFrame) -> str:
    return str(leaderboard["winkler_unit"][0]) if "winkler_unit" in leaderboard.columns else ""


def _legend(leaderboard: pl.DataFrame) -> str:
    unit = _band_unit(leaderboard)
    band_unit = (
        "basis points of the last value" if unit == "bp" else f"units of the target ({unit})"
    )
    shown = {column.name for column in _shown_columns(leaderboard, "")}
    notes = [_LEGEND, *(note for name, note in _LEGEND_OF.items() if name in shown)]
    if len(leaderboard["by_lead"][0]) > 1:
        notes.append("MAE at a number is the one so many steps ahead; all else is over all leads.")
    return " ".join(notes).format(band_unit=band_unit)


def _table(head: Iterable[str], rows: Iterable[tuple[str, Iterable[str]]]) -> str:
    """A table of escaped cells; each row has a class and its cells."""
    titles = "".join(f"<th>{_text(h)}</th>" for h in head)
    body = "".join(
        f'<tr class="{kind}">' + "".join(f"<td>{_text(c)}</td>" for c in cells) + "</tr>"
        for kind, cells in rows
    )
    return (
        f'<div class="scroll"><table><thead><tr>{titles}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _leaderboard_table(leaderboard: pl.DataFrame, unit: str, holder: str | None) -> str:
    columns = _shown_columns(leaderboard, unit)
    return _table(
        (c.heading for c in columns),
        (
            ("holder" if row["candidate"] == holder else "", [c.cell(row) for c in columns])
            for row in leaderboard.iter_rows(named=True)
        ),
    )


def _labels(
    by_label: pl.DataFrame, leaderboard: pl.DataFrame, problem: ForecastProblem
) -> list[str]:
    """The best candidate's scores by label, with the name that the pictures give each label."""
    best = leaderboard["candidate"][0]
    own = by_label.filter(pl.col("candidate") == best)
    if own.is_empty():
        return []
    names = label_names(problem)
    cells = [
        [
            row["key"].replace("_", " "),
            row["label"],
            names[row["key"]][row["label"]],
            f"{row['mae']:,.2f}",
            f"{row['coverage']:.3f}",
            f"{row['n']:,d}",
        ]
        for row in own.iter_rows(named=True)
    ]
    head = ("key", "label", "in the pictures", f"MAE, {problem.target_source.unit}")
    table = _table((*head, "coverage", "rows"), (("", line) for line in cells))
    return [f"<h2>{_text(best)} by label</h2>", table]


def _picture(name: str, png: bytes) -> str:
    encoded = base64.b64encode(png).decode("ascii")
    title = name.removesuffix(".png").replace("_", " ")
    return f'<figure><img alt="{_text(title)}" src="data:image/png;base64,{encoded}"></figure>'


def _verdict_summary(verdict: Mapping[str, Any]) -> list[str]:
    reasons = "".join(f"<li>{_text(reason)}</li>" for reason in verdict["reasons"])
    decision = str(verdict["decision"]).replace("_", " ")
    return [
        f'<div class="verdict"><strong>Verdict: {_text(decision)} {_text(verdict["candidate"])}'
        f"</strong><ul>{reasons}</ul></div>"
    ]


def _verdict_figures(verdict: Mapping[str, Any]) -> list[str]:
    """Every figure of the verdict: its plain fields, then its tests."""
    plain = {
        key.replace("_", " "): _value(value)
        for key, value in verdict.items()
        if key not in {"reasons", "tests"}
    }
    tests = [{k: _value(v) for k, v in test.items()} for test in verdict["tests"]]
    parts = ["<h2>The gate's figures</h2>", _pairs(plain)]
    if tests:
        head = [key.replace("_", " ") for key in tests[0]]
        parts += ["<h2>The gate's tests</h2>", _table(head, (("", t.values()) for t in tests))]
    return parts


def _value(value: object) -> str:
    match value:
        case None:
            return _MISSING
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}"
        case Mapping():
            return ", ".join(f"{k} {_value(v)}" for k, v in value.items())
        case list() | tuple():
            return ", ".join(_value(v) for v in value)
    return str(value)


def _pairs(values: Mapping[str, str]) -> str:
    return _table(("", ""), (("", pair) for pair in values.items()))
