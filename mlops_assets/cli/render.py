"""How results look in a terminal: tables of the leaderboard, the verdict and the addresses.

Here: Rich only. Not here: where the figures come from (`cli.run`), or JSON (`cli.summary`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mlops_assets.cli.ports import Port
from mlops_assets.cli.status import ProblemStatus
from mlops_assets.cli.summary import FirstForecast, LeaderboardRow, RunSummary
from mlops_assets.settings import Settings

_NOTHING = "-"
_LEADS_SHOWN = 4
"""More leads than this do not fit beside each other in 80 columns."""


def progress_printer(console: Console) -> Callable[[str], None]:
    """A function that prints one line, never wrapped, never read as markup."""

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    return say


def show_outcome(summary: RunSummary, console: Console) -> None:
    """Print leaderboard and verdict."""
    console.print(leaderboard_table(summary))
    console.print(verdict_panel(summary))


def show_summary(summary: RunSummary, console: Console) -> None:
    """Print leaderboard, verdict and, if there is one, the newest forecast."""
    show_outcome(summary, console)
    if summary.forecast is not None:
        progress_printer(console)(forecast_sentence(summary.forecast))


def leaderboard_table(summary: RunSummary) -> Table:
    """The candidates in the order of the summary; the champion is marked. Fits 80 columns.

    Where there are several leads, the MAE at each stands in for MAE and RMSE over all.
    """
    leads = _shown_leads(summary)
    table = Table(
        title=f"{summary.problem}: leaderboard as of {summary.as_of:%Y-%m-%d %H:%M %Z}",
        caption=_legend(summary),
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        caption_style="",
        box=box.SIMPLE_HEAD,
        padding=0 if leads else (0, 1, 0, 0),
    )
    table.add_column("candidate", no_wrap=not leads, overflow="fold")
    errors = [f"MAE\nat {lead}" for lead in leads] or ["MAE", "RMSE"]
    for name in (*errors, "skill", "p", "coverage", "Winkler"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in summary.leaderboard:
        champion = row.candidate == summary.champion.candidate
        table.add_row(
            f"{row.candidate} *" if champion else row.candidate,
            *(f"{error:,.2f}" for error in _errors(row, leads)),
            _number(row.skill, "+.2%"),
            _p_value(row.p_value),
            _number(row.coverage, ".1%"),
            _number(row.winkler, ",.1f"),
            style="bold" if champion else "",
        )
    return table


def _shown_leads(summary: RunSummary) -> list[str]:
    """The leads that have a column, spread evenly from first to last; none if one is all."""
    leads = [lead for row in summary.leaderboard[:1] for lead in row.by_lead]
    if len(leads) <= 1:
        return []
    if len(leads) <= _LEADS_SHOWN:
        return leads
    gap = (len(leads) - 1) / (_LEADS_SHOWN - 1)
    return [leads[round(place * gap)] for place in range(_LEADS_SHOWN)]


def _errors(row: LeaderboardRow, leads: Sequence[str]) -> list[float]:
    return [row.by_lead[lead].mae for lead in leads] or [row.mae, row.rmse]


def _legend(summary: RunSummary) -> str:
    """What the columns mean, and how the champion's band fared."""
    unit = f" in {summary.forecast.unit}" if summary.forecast else ""
    forecasts = max((row.n for row in summary.leaderboard), default=0)
    steps = "\nMAE at a lead: so many steps ahead; the rest: over all leads."
    return (
        f"* champion. Each candidate on the same {forecasts:,} forecasts; errors{unit}."
        f"{steps if _shown_leads(summary) else ''}\n"
        "skill, p: against the strongest baseline, by the gate's loss.\n"
        f"coverage: outcomes inside the band; Winkler: the band's score, {_band_unit(summary)}."
        f"{_band_of_champion(summary)}"
    )


def _band_unit(summary: RunSummary) -> str:
    unit = next((row.winkler_unit for row in summary.leaderboard), "bp")
    return "basis points" if unit == "bp" else f"in {unit}"


def _band_of_champion(summary: RunSummary) -> str:
    for row in summary.leaderboard:
        if row.candidate == summary.champion.candidate and row.worst_week_coverage is not None:
            leads = ", ".join(
                f"{_number(row.by_lead[lead].coverage, '.1%')} at {lead}"
                for lead in _shown_leads(summary)
            )
            return (
                f"\nchampion's band: coverage {_number(row.coverage, '.1%')}, "
                f"worst week {row.worst_week_coverage:.1%}."
            ) + (f"\n  by lead: {leads}." if leads else "")
    return ""


def _p_value(value: float | None) -> str:
    return "<0.0001" if value is not None and value < 1e-4 else _number(value, ".4f")


def verdict_panel(summary: RunSummary) -> Panel:
    """The decision, its reasons, and who is champion now."""
    champion = summary.champion
    lines = Table.grid(padding=(0, 1))
    for reason in summary.verdict.reasons:
        lines.add_row("-", Text(reason))
    lines.add_row("*", Text(f"champion: {champion.candidate}, version {champion.version}", "bold"))
    title = f"{summary.problem}, verdict: {summary.verdict.decision}"
    return Panel(lines, title=title, title_align="left", expand=False)


def forecast_sentence(forecast: FirstForecast) -> str:
    """Two short lines with the point forecast, its band and its times."""
    return (
        f"{forecast.series} at {forecast.valid_time:%Y-%m-%d %H:%M %Z}, forecast at "
        f"{forecast.origin:%Y-%m-%d %H:%M %Z}:\n"
        f"  {forecast.point:,.2f} {forecast.unit} "
        f"(band {forecast.lower:,.2f} to {forecast.upper:,.2f})"
    )


def data_sentence(settings: Settings) -> str:
    """Where the values come from; synthetic ones are called so."""
    match settings.data:
        case "sample":
            return "synthetic, from a generator (MLOPS_DATA=files reads real ones)"
        case "files":
            return f"the files in {settings.data_dir}"
        case "live":
            return "live sources"


def status_table(rows: Sequence[ProblemStatus]) -> Table:
    """One line a problem: champion, how old its data is, the snapshot that is served."""
    table = Table(title="Problems")
    for name in ("problem", "champion", "version", "as of", "age", "snapshot"):
        table.add_column(name)
    for row in rows:
        if row.summary is None:
            table.add_row(row.problem, "none yet", *[_NOTHING] * 4)
            continue
        table.add_row(
            row.problem,
            row.summary.champion.candidate,
            row.summary.champion.version,
            f"{row.summary.as_of:%Y-%m-%d %H:%M %Z}",
            _NOTHING if row.age is None else f"{row.age.total_seconds() / 3600:,.1f} h",
            row.snapshot_id or _NOTHING,
        )
    return table


def stores_table(rows: Iterable[tuple[str, str]]) -> Table:
    """What is kept where."""
    return _two_columns("Stores", ("what", "where"), rows)


def ports_table(ports: Sequence[Port], answering: Sequence[Port]) -> Table:
    """Each port, the setting that moves it and whether something answers there."""
    table = Table(title="Ports")
    for name in ("service", "port", "setting", "answers"):
        table.add_column(name)
    for port in ports:
        answer = "yes" if port in answering else "no"
        table.add_row(port.service, str(port.number), port.variable, answer)
    return table


def contents_table(namespace: Path, found: Sequence[tuple[Path, int]]) -> Table:
    """What a reset deletes, in 10^6 bytes."""
    rows = ((path.name, f"{size / 1e6:,.1f} MB") for path, size in found)
    return _two_columns(f"In {namespace}", ("name", "size"), rows)


def addresses_table(rows: Iterable[tuple[str, str]]) -> Table:
    """What runs where: name and address."""
    table = Table(box=box.SIMPLE, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _two_columns(title: str, names: tuple[str, str], rows: Iterable[tuple[str, str]]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(names[0])
    table.add_column(names[1], overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _number(value: float | None, form: str) -> str:
    return _NOTHING if value is None else format(value, form)
