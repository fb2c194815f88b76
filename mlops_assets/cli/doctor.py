"""`mlops doctor`: whether every source and every store answers, and what to set if not.

Here: trying them, one by one, and the table of findings. Nothing is stored and nothing created.
Not here: whether stored data is sound (the checks of the assets).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from mlops_assets.cli.ports import mlflow_is_elsewhere
from mlops_assets.cli.problems import problem_files
from mlops_assets.cli.status import without_password
from mlops_assets.cli.stores import StoreError, mlflow_schema_is_current
from mlops_assets.problem import Source, load_problem
from mlops_assets.settings import Settings, SettingsError

if TYPE_CHECKING:
    import polars as pl
    from rich.table import Table

    from mlops_assets.ingestion.sources import Delivery

State = Literal["fine", "weak", "broken"]

_LOOK_BACK: Final = timedelta(days=7)
"""Long enough for every market to have been open; sources of longer periods get two of them."""

_INSTANT: Final = timedelta(microseconds=1)
_ROWS: Final = {"candles": "bar", "values": "value", "channels": "snapshot"}
"""What a row of each kind of source is called."""

_PROBE: Final = "doctor.probe"
_STYLES: Final[dict[State, str]] = {"fine": "green", "weak": "yellow", "broken": "bold red"}


@dataclass(frozen=True)
class Finding:
    """One source or store.

    `weak`: something that a run does without (an exogenous source). `broken`: a run needs it.
    """

    what: str
    state: State
    told: str


def examine(settings: Settings, problems: list[str], *, now: datetime) -> list[Finding]:
    """Try every source of the problems in the settings' data mode, then the stores.

    Args:
        settings: name the data mode and the stores.
        problems: names of problems.
        now: the instant of the trial; rows of the week before are asked for.

    Raises:
        ProblemError: a problem's file cannot be used.
    """
    return [*_sources(settings, problems, now=now), _storage(settings), _mlflow(settings)]


def findings_table(findings: list[Finding]) -> Table:
    """The findings, the broken ones in red."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Doctor", title_justify="left")
    for name in ("what", "state"):
        table.add_column(name, no_wrap=True)
    table.add_column("finding", overflow="fold")
    for finding in findings:
        state = Text(finding.state, style=_STYLES[finding.state])
        table.add_row(finding.what, state, Text(finding.told))
    return table


def _sources(settings: Settings, problems: list[str], *, now: datetime) -> Iterator[Finding]:
    for problem in problems:
        for name, source in load_problem(problem_files()[problem]).sources.items():
            yield _source(settings, f"{problem}: {name}", name, source, now=now)


def _source(settings: Settings, what: str, name: str, source: Source, *, now: datetime) -> Finding:
    """Fetch the newest week; `files` are read whole, since they may have ended long ago."""
    from mlops_assets.ingestion.sources import SourceError

    start = source.start if settings.data == "files" else now - max(_LOOK_BACK, 2 * source.period)
    needed: State = "broken" if source.role == "target" else "weak"
    try:
        found = _delivery(settings, name, source, start=start, now=now)
    except (SourceError, SettingsError) as error:
        return Finding(what, needed, str(error))
    newest = found.rows["valid_time"].max()
    if newest is None:
        return Finding(
            what,
            needed,
            f"{name}: no {_ROWS[source.kind]} opens from {start:%Y-%m-%d} on; a source must "
            "deliver; check the source's entry in the problem's YAML, and `start`",
        )
    return Finding(what, "fine", _told(source, found.rows, newest=newest, notes=found.notes))


def _told(source: Source, rows: pl.DataFrame, *, newest: object, notes: tuple[str, ...]) -> str:
    series = rows["series"].n_unique()
    of_series = f" of {series} series" if series > 1 else ""
    until = {"candles": "closes", "values": "ends", "channels": "is of"}[source.kind]
    plural = "s" if len(rows) > 1 else ""
    what = f"{len(rows):,} {_ROWS[source.kind]}{plural}{of_series}"
    counted = f"{what}, the newest {until} {newest!s}"
    return "; ".join([counted, *notes])


def _delivery(
    settings: Settings, name: str, source: Source, *, start: datetime, now: datetime
) -> Delivery:
    """What the source delivers; a live one is asked with less patience than by a run."""
    from mlops_assets.ingestion.sources import Delivery, fetch_for

    if settings.data == "live":
        from mlops_assets.ingestion.http_client import Retries
        from mlops_assets.ingestion.live import deliver

        return deliver(
            name,
            source,
            start=start,
            end=now + _INSTANT,  # a snapshot is valid at the very instant of the fetch
            fetched_at=now,
            settings=settings,
            retries=Retries(attempts=2, total=20, answer_within=8),
        )
    fetch = fetch_for(settings.data)
    rows = fetch(name, source, start=start, end=now, fetched_at=now, settings=settings)
    return Delivery(rows)


def _storage(settings: Settings) -> Finding:
    """Write and delete a small file; a folder that does not exist yet needs a writable parent."""
    import os

    from mlops_assets.storage.files import FileStore

    store, what = FileStore(settings.storage), "tables and snapshots"
    if store.is_folder and not Path(store.root).exists():
        parent = next(p for p in Path(store.root).parents if p.exists())
        if os.access(parent, os.W_OK) and parent.is_dir():
            return Finding(what, "fine", f"{store.root}: not there yet, the first run creates it")
        return _no_storage(what, store.root, f"{parent} is not writable")
    try:
        store.write(_PROBE, b"")
        store.delete(_PROBE)
    except OSError as error:
        return _no_storage(what, store.root, str(error))
    return Finding(what, "fine", f"{store.root}: writable")


def _no_storage(what: str, root: str, why: str) -> Finding:
    return Finding(
        what,
        "broken",
        f"{root}: {why}; every run writes here; set MLOPS_STORAGE_URI (or MLOPS_HOME) to a place "
        "that can be written",
    )


def _mlflow(settings: Settings) -> Finding:
    what, shown = "MLflow", without_password(settings.tracking_uri)
    if mlflow_is_elsewhere(settings):
        return _mlflow_server(what, settings.tracking_uri, shown)
    file = settings.tracking_uri.removeprefix("sqlite:///")
    if file != settings.tracking_uri and not Path(file).exists():
        return Finding(what, "fine", f"{shown}: not there yet, the first run creates it")
    try:
        current = mlflow_schema_is_current(settings.tracking_uri)
    except StoreError as error:
        return Finding(what, "broken", str(error))
    told = "reachable" if current else "reachable; the next run upgrades its schema"
    return Finding(what, "fine", f"{shown}: {told}")


def _mlflow_server(what: str, address: str, shown: str) -> Finding:
    import httpx

    try:
        httpx.get(f"{address.rstrip('/')}/health", timeout=10).raise_for_status()
    except httpx.HTTPError as error:
        return Finding(
            what,
            "broken",
            f"{shown} does not answer ({type(error).__name__}); every run logs there; correct "
            "MLOPS_MLFLOW_TRACKING_URI, or start that server",
        )
    return Finding(what, "fine", f"{shown}: answers")
