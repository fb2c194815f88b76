"""A roll back by hand: which version takes the alias, and what the registry is told.

Here: pure functions of the registered model and its versions. The aliases and tags are those of the
pipeline's own roll back, so that its next run finds the version here as the incumbent, and the
version that lost the alias as the challenger. Its table of verdicts takes the roll back up from
these tags at the next look. Not here: who writes them (`registry.writer`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from serving.deployments import CHAMPION
from serving.domain_errors import UnknownNameError, UnusableInputError
from serving.registry.reader import RegisteredModel, VersionDescription
from serving.registry.writer import RegistryChange

CHALLENGER: Final = "challenger"
VERDICT_BY: Final = "verdict_by"
"""Tag of a version: who gave it the alias by hand, through the service."""

_NEEDED: Final = ("candidate", "recipe_id", "as_of", "data_version")
"""Tags without which the pipeline cannot read a champion."""
_LONGEST_TAG: Final = 4900
_SHOWN_VERSIONS: Final = 12


@dataclass(frozen=True, slots=True)
class RollBack:
    """Who loses the alias, who takes it, and the change that makes it so."""

    before: VersionDescription
    now: VersionDescription
    reasons: tuple[str, ...]
    change: RegistryChange


def choose_target(
    model: RegisteredModel, versions: Sequence[VersionDescription], *, to: str | None
) -> tuple[VersionDescription, VersionDescription]:
    """The version that holds the alias, and the one that shall take it.

    Args:
        model: as the registry has it now.
        versions: all of them.
        to: a version; None: the newest version of the recipe that last held the alias before and
            was not rolled back since.

    Raises:
        UnknownNameError: there is no such version.
        UnusableInputError: nobody holds the alias, the version holds it already, nobody held it
            before, or the version is none of the pipeline's.
    """
    by_number = {version.version: version for version in versions}
    before = by_number.get(model.aliases.get(CHAMPION, ""))
    if before is None:
        raise UnusableInputError(
            value=f"alias {CHAMPION} of {model.name}",
            rule="only a champion that was promoted can be rolled back",
            remedy="materialise `champion`, for example with `mlops run`",
        )
    others = [v for v in versions if v.version != before.version]
    target = _previous(before, others) if to is None else _named(to, before, others)
    if absent := [name for name in _NEEDED if name not in target.tags]:
        raise UnusableInputError(
            value=f"version {target.version}",
            rule=f"it lacks the tags {', '.join(absent)}, and the pipeline cannot go on from a "
            "champion without them",
            remedy="name a version that the pipeline registered",
        )
    return before, target


def plan_roll_back(
    before: VersionDescription,
    now: VersionDescription,
    versions: Sequence[VersionDescription],
    *,
    reason: str,
    by: str,
    as_of: datetime,
) -> RollBack:
    """The change of the registry that gives the alias to `now`.

    Args:
        before: holds the alias.
        now: takes it.
        versions: all of them; their verdicts hold the gate's newest figures.
        reason: why, in the words of the person.
        by: who.
        as_of: the instant of the roll back.
    """
    reasons = (
        f"Rolled back by hand from {_label(before)}.",
        f"{by}: {reason}",
        f"{_label(now)} takes the alias back from {_label(before)}.",
    )
    verdict = {
        "verdict": "roll_back",
        "verdict_as_of": as_of.isoformat(),
        "verdict_reasons": "\n".join(reasons)[:_LONGEST_TAG],
        "verdict_figures": _figures(versions),
        VERDICT_BY: by,
    }
    return RollBack(
        before=before,
        now=now,
        reasons=reasons,
        change=RegistryChange(
            aliases={
                CHALLENGER: before.version,
                f"origin-{as_of:%Y%m%d}": now.version,
                CHAMPION: now.version,
            },
            version_tags={
                now.version: verdict,
                before.version: {"rolled_back_as_of": as_of.isoformat()},
            },
        ),
    )


def instant_of(
    present: datetime, before: VersionDescription, versions: Sequence[VersionDescription]
) -> datetime:
    """The problem's present; no earlier than what the registry knows, since nothing is undone."""
    known = [before.tags.get("as_of"), *(v.tags.get("verdict_as_of") for v in versions)]
    return max([present, *(datetime.fromisoformat(at) for at in known if at)])


def _named(
    to: str, before: VersionDescription, others: Sequence[VersionDescription]
) -> VersionDescription:
    """The version of that number, which is not the one that holds the alias."""
    if to == before.version:
        raise UnusableInputError(
            value=f"version {to}",
            rule="it holds the alias already; a roll back goes to another one",
            remedy="name another version",
            known=_shown(others),
        )
    for version in others:
        if version.version == to:
            return version
    raise UnknownNameError(
        value=f"version {to}",
        rule=f"it must be a registered version of {before.name}",
        remedy="use a known version",
        known=_shown(others),
    )


def _previous(
    before: VersionDescription, others: Sequence[VersionDescription]
) -> VersionDescription:
    """The newest version of the recipe that held the alias before."""
    held = [
        v
        for v in others
        if "verdict" in v.tags
        and _recipe(v) != _recipe(before)
        and v.tags.get("rolled_back_as_of", "") < v.tags.get("verdict_as_of", "")
    ]
    if not held:
        raise UnusableInputError(
            value=f"version {before.version}",
            rule="no version of another recipe held the alias before it, or each was rolled back "
            "itself",
            remedy="name the version that shall take the alias",
            known=_shown(others),
        )
    recipe = _recipe(max(held, key=lambda v: (v.tags.get("verdict_as_of", ""), int(v.version))))
    return max(
        (v for v in others if _recipe(v) == recipe),
        key=lambda v: (v.tags.get("as_of", ""), int(v.version)),
    )


def _figures(versions: Sequence[VersionDescription]) -> str:
    """The gate's newest figures, without its tests: a roll back makes none."""
    judged = [v for v in versions if "verdict_figures" in v.tags]
    newest = max(judged, key=lambda v: v.tags.get("verdict_as_of", ""), default=None)
    figures: Mapping[str, Any] = {}
    if newest is not None:
        try:
            figures = json.loads(newest.tags["verdict_figures"])
        except ValueError:
            # The pipeline cuts a long record where the tag ends; it then says nothing.
            figures = {}
    mean_losses, look = figures.get("mean_losses", {}), figures.get("look", 0)
    kept = {"tests": [], "mean_losses": mean_losses, "alpha": 0.0, "look": look}
    return json.dumps(kept, separators=(",", ":"))[:_LONGEST_TAG]


def _recipe(version: VersionDescription) -> tuple[str | None, str | None]:
    return version.tags.get("candidate"), version.tags.get("recipe_id")


def _label(version: VersionDescription) -> str:
    candidate, recipe = _recipe(version)
    return f"{candidate or 'a model'} version {version.version} (recipe {recipe or 'unknown'})"


def _shown(versions: Sequence[VersionDescription]) -> list[str]:
    return [version.version for version in versions[:_SHOWN_VERSIONS]]
