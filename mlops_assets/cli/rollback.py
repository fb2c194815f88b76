"""`mlops rollback`: a person takes the champion's alias back, with the same record as the control.

Here: choosing the version, the act, telling Dagster, and what is printed. Not here: the rules
(`promotion.rollback`) and the roll back on an alarm (the asset `champion`).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from mlops_assets.cli import stores
from mlops_assets.problem import ForecastProblem
from mlops_assets.settings import Settings
from serving.contract.snapshot import CALIBRATION, problem_prefix

if TYPE_CHECKING:
    import polars as pl

    from mlops_assets.promotion.registry import RegisteredVersion, Registry
    from mlops_assets.promotion.verdict import Verdict
    from mlops_assets.storage.tables import TableStore

_SHOWN_VERSIONS: Final = 12
"""Newest versions that an error names."""


class RollbackError(LookupError):
    """The alias cannot be taken back as asked; the message says what to give instead."""


@dataclass(frozen=True, kw_only=True)
class RolledBack:
    """What a roll back by hand came to.

    Attributes:
        because: why others were passed over; empty for the previous recipe or a named version.
        barred_until: until then the recipe that was rolled back cannot take the alias; None when
            it is the one that holds it still, with another fit.
        gap: why the API cannot serve the version yet and what mends it; None when it can.
    """

    problem: str
    before: RegisteredVersion
    now: RegisteredVersion
    because: tuple[str, ...]
    barred_until: datetime | None
    gap: str | None


def roll_back_by_hand(
    settings: Settings,
    problem: ForecastProblem,
    *,
    to: str | None,
    progress: Callable[[str], None],
) -> RolledBack:
    """Move the alias to `to`, or to whom the control would give it, and record the verdict.

    Args:
        settings: name the stores.
        problem: whose alias.
        to: a registered version; None: the last version of the previous recipe, or a baseline's.
        progress: told what takes time.

    Raises:
        RollbackError: there is no champion, no such version, or nobody to go back to.
        StoreError: a store cannot be prepared.
    """
    from mlops_assets.promotion.champion import append_verdict
    from mlops_assets.promotion.registry import Registry
    from mlops_assets.storage.tables import TableStore

    store, registry = TableStore(settings.storage), Registry(settings, problem.name)
    history = _history(store, problem)
    stores.prepare(settings, progress)
    before = registry.holder()
    if before is None:
        raise _no_champion(problem)
    as_of = _instant(settings, problem, before, history)
    now, because = _chosen(registry, before, history, problem, to=to, as_of=as_of)
    verdict = _verdict(history, before, now, because, as_of=as_of)
    registry.roll_back(verdict, now)
    history = append_verdict(history, verdict, now)
    store.write(_table(problem), history)
    _tell_dagster(verdict, history, settings)
    same = now.incumbent == before.incumbent
    return RolledBack(
        problem=problem.name,
        before=before,
        now=now,
        because=because,
        barred_until=None if same else as_of + problem.control.cooldown,
        gap=_gap(store, problem, now),
    )


def described(done: RolledBack) -> str:
    """What serves now, since when the API does, and what the other recipe may not do."""
    lines = [
        f"{done.problem}: {_label(done.now)} holds the alias champion now, {_label(done.before)} "
        "held it before.",
        *done.because,
        done.gap or "The API follows within its polling interval (MLOPS_API_POLL_SECONDS).",
    ]
    if done.barred_until is not None:
        lines.append(
            f"The recipe of {done.before.candidate} cannot take the alias before "
            f"{done.barred_until:%Y-%m-%d %H:%M} UTC."
        )
    return "\n".join(lines)


def _table(problem: ForecastProblem) -> str:
    return f"{problem.name}/champion"


def _history(store: TableStore, problem: ForecastProblem) -> pl.DataFrame:
    """The verdicts so far, at least one: without a verdict nobody has held the alias."""
    from mlops_assets.promotion.champion import as_history

    if not store.exists(_table(problem)):
        raise _no_champion(problem)
    return as_history(store.read(_table(problem)))


def _chosen(
    registry: Registry,
    before: RegisteredVersion,
    history: pl.DataFrame,
    problem: ForecastProblem,
    *,
    to: str | None,
    as_of: datetime,
) -> tuple[RegisteredVersion, tuple[str, ...]]:
    """The version that takes the alias, and why others were passed over."""
    from mlops_assets.promotion.rollback import find_target

    versions = registry.versions()
    others = [v for v in versions if v.version != before.version]
    if to is None:
        target = find_target(before.incumbent, history, versions, problem, as_of=as_of)
        if target.version is None:
            raise RollbackError(f"{' '.join(target.because)} {_remedy(others)}")
        return target.version, target.because
    if to == before.version:
        raise RollbackError(
            f"version {to} of {registry.name} holds the alias already; a roll back goes to another "
            f"one. {_remedy(others)}"
        )
    found = next((v for v in others if v.version == to), None)
    if found is None:
        raise RollbackError(
            f"{registry.name} has no version {to!r}; only a registered one can serve. "
            f"{_remedy(others)}"
        )
    return found, ()


def _verdict(
    history: pl.DataFrame,
    before: RegisteredVersion,
    now: RegisteredVersion,
    because: tuple[str, ...],
    *,
    as_of: datetime,
) -> Verdict:
    """What is recorded: the verdict of any roll back, with the command line as its trigger."""
    from mlops_assets.orchestration.trigger import Trigger
    from mlops_assets.promotion.rollback import roll_back_verdict

    verdict = roll_back_verdict(
        history,
        holder=before.incumbent,
        target=now,
        as_of=as_of,
        reasons=(f"Rolled back by hand from {_label(before)}.", *because),
    )
    return verdict.model_copy(update={"trigger": str(Trigger.COMMAND_LINE)})


def _tell_dagster(verdict: Verdict, history: pl.DataFrame, settings: Settings) -> None:
    """Report the asset `champion` as materialised, so that page, automation and alerts see it."""
    import dagster as dg

    from mlops_assets.promotion.assets import champion_key, verdict_metadata

    event = dg.AssetMaterialization(
        champion_key(verdict.problem),
        description="Rolled back by hand.",
        metadata=verdict_metadata(verdict, history, settings),
    )
    with dg.DagsterInstance.get() as instance:
        instance.report_runless_asset_event(event)


def _remedy(others: Sequence[RegisteredVersion]) -> str:
    if not others:
        return "There is no other version; a run of the problem registers new ones."
    shown = ", ".join(f"{v.version} ({v.candidate})" for v in others[:_SHOWN_VERSIONS])
    return f"Name one with --to, newest first: {shown}"


def _instant(
    settings: Settings, problem: ForecastProblem, before: RegisteredVersion, history: pl.DataFrame
) -> datetime:
    """The problem's present; no earlier than what the registry knows, since nothing is undone."""
    from mlops_assets.definitions import default_clock
    from mlops_assets.promotion.rollback import last_move

    now = default_clock(settings, [problem]).now()
    return max(now, before.as_of, last_move(history) or now)


def _gap(store: TableStore, problem: ForecastProblem, version: RegisteredVersion) -> str | None:
    """Why the published snapshot cannot feed a version: it lacks its recipe's calibration."""
    import polars as pl

    from mlops_assets.storage.publication import latest_snapshot_id

    snapshot = latest_snapshot_id(store, problem.name)
    if snapshot is None:
        return f"Nothing is published yet, so nothing is served: `mlops run {problem.name}`."
    path = f"{problem_prefix(problem.name)}/{snapshot}/{CALIBRATION}"
    if version.recipe_id in pl.read_parquet(io.BytesIO(store.read_file(path)))["recipe_id"]:
        return None
    return (
        f"The API goes on with {snapshot} as it is: that snapshot has no calibration for recipe "
        f"{version.recipe_id}. If {version.candidate} is still that recipe, `mlops run "
        f"{problem.name}` publishes it; otherwise name another version with --to."
    )


def _no_champion(problem: ForecastProblem) -> RollbackError:
    return RollbackError(
        f"{problem.name} has no champion; only one that was promoted can be rolled back; "
        f"`mlops run {problem.name}` promotes one"
    )


def _label(version: RegisteredVersion) -> str:
    return f"{version.candidate} version {version.version} (recipe {version.recipe_id})"
