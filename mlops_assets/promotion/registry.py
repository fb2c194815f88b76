"""The model registry: who holds which alias, and the only code that moves one.

Moving an alias is the only act of promotion or rollback; serving follows it. Not here: the rules of
the verdict (`promotion.decision`, `promotion.rollback`) and that a run as of the past moves nothing
(`promotion.champion`).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlops_assets.promotion.verdict import Incumbent, Verdict
from mlops_assets.settings import Settings
from serving.contract.model_card import CARD_FILE, MODEL_FILE, ModelCard

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
TAG_BY: Final = "verdict_by"
"""Tag of a version that a person gave the alias through the API: who that was."""

KEPT_VERSIONS: Final = 30
"""Newest versions of each candidate that stay, whatever holds an alias."""
KEPT_ALIASES: Final = timedelta(weeks=104)
"""Age at which a dated alias is removed; a version that holds one stays."""

_DATED: Final = re.compile(r"origin-(\d{8})(?:-.+)?")
_TAGS: Final = frozenset({"candidate", "recipe_id", "as_of", "data_version"})
"""Tags that every version of the pipeline has."""


class RegistryError(LookupError):
    """The registry does not hold what is asked for."""


@dataclass(frozen=True)
class RegisteredVersion:
    """One registered version with what its tags say."""

    version: str
    candidate: str
    recipe_id: str
    as_of: datetime
    run_id: str
    data_version: str

    @property
    def incumbent(self) -> Incumbent:
        """The recipe behind it."""
        return Incumbent(candidate=self.candidate, recipe_id=self.recipe_id)


@dataclass(frozen=True)
class HandMove:
    """A roll back that a person asked the API for, as the tags of its target tell it."""

    target: RegisteredVersion
    as_of: datetime
    reasons: tuple[str, ...]


class Registry:
    """The registered versions of one problem."""

    def __init__(self, settings: Settings, problem: str) -> None:
        """Open no connection yet."""
        self._settings = settings
        self.name = settings.registered_model(problem)

    @cached_property
    def _client(self) -> MlflowClient:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self._settings.tracking_uri)

    def holder(self, alias: str = CHAMPION) -> RegisteredVersion | None:
        """The version that holds an alias; None where nobody does."""
        from mlflow.exceptions import MlflowException

        try:
            return _described(self._client.get_model_version_by_alias(self.name, alias))
        except MlflowException as error:
            if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                return None
            raise

    def move_by_hand(self) -> HandMove | None:
        """The roll back through the API that gave the holder its alias; None where none did."""
        holder = self.holder()
        if holder is None:
            return None
        tags = self._client.get_model_version(self.name, holder.version).tags
        if TAG_BY not in tags or tags.get("verdict") != "roll_back":
            return None
        return HandMove(
            target=holder,
            as_of=datetime.fromisoformat(tags["verdict_as_of"]),
            reasons=tuple(tags["verdict_reasons"].splitlines()),
        )

    def apply(self, verdict: Verdict, versions: Mapping[str, str]) -> RegisteredVersion:
        """Move the aliases as the verdict says, and tag the champion's version with it.

        `champion` goes to the verdict's candidate (its new version, but for `keep`), the dated
        alias `origin-YYYYMMDD` with it, and `challenger` to the best of the others. Each version
        of this run gets the dated alias of its candidate, `origin-YYYYMMDD-<candidate>`.

        Args:
            verdict: what the gate decided.
            versions: candidate -> the version registered in this run.

        Raises:
            RegistryError: the verdict names a candidate without a version.
        """
        if verdict.decision != "keep":
            if verdict.candidate not in versions:
                raise RegistryError(
                    f"the verdict names {verdict.candidate!r}, which registered no version in "
                    f"this run (registered: {', '.join(versions) or 'none'}); materialise its "
                    "model asset and the champion together"
                )
            self._alias(CHAMPION, versions[verdict.candidate])
        champion = self._champion()
        self._alias(_dated(verdict), champion.version)
        for candidate, version in versions.items():
            self._alias(f"{_dated(verdict)}-{candidate}", version)
        self._tag(champion.version, verdict)
        runner_up = next((c for c in verdict.mean_losses if c != champion.candidate), None)
        if runner_up is not None and runner_up in versions:
            self._alias(CHALLENGER, versions[runner_up])
        return champion

    def roll_back(self, verdict: Verdict, target: RegisteredVersion) -> RegisteredVersion:
        """Move `champion` and the dated alias to an existing version, and tag it with the verdict.

        `challenger` goes to the version that held the alias: it is now the best of the others.

        Args:
            verdict: a roll back.
            target: who takes the alias.
        """
        before = self._champion()
        for alias in (CHAMPION, _dated(verdict)):
            self._alias(alias, target.version)
        self._tag(target.version, verdict)
        if before.version != target.version:
            self._alias(CHALLENGER, before.version)
            self._client.set_model_version_tag(
                self.name, before.version, "rolled_back_as_of", verdict.as_of.isoformat()
            )
        return target

    def versions(
        self, *, candidate: str | None = None, recipe_id: str | None = None
    ) -> list[RegisteredVersion]:
        """The registered versions, newest first (by the newest origin they saw, then by number).

        A version that someone registered by hand, without the pipeline's tags, is left out.

        Args:
            candidate: only this candidate's; None: all.
            recipe_id: only this recipe's; None: all.
        """
        found: list[RegisteredVersion] = []
        token: str | None = ""
        while token is not None:
            page = self._client.search_model_versions(
                f"name = '{self.name}'", page_token=token or None
            )
            found += [_described(v) for v in page if v.tags.keys() >= _TAGS]
            token = page.token or None
        chosen = [
            v
            for v in found
            if candidate in {None, v.candidate} and recipe_id in {None, v.recipe_id}
        ]
        return sorted(chosen, key=lambda v: (v.as_of, int(v.version)), reverse=True)

    def retire(self, *, as_of: datetime) -> list[str]:
        """Remove dated aliases older than `KEPT_ALIASES`, then versions that nothing asks for.

        A version stays while it holds an alias or is one of the `KEPT_VERSIONS` newest of its
        candidate. The run that logged a version keeps its files.

        Args:
            as_of: the present; what is newer is left alone.

        Returns:
            The versions that were removed, oldest first.
        """
        held = self._client.get_registered_model(self.name).aliases
        old = {alias for alias in held if _is_before(alias, as_of - KEPT_ALIASES)}
        for alias in sorted(old):
            self._client.delete_registered_model_alias(self.name, alias)
        kept = {str(version) for alias, version in held.items() if alias not in old}
        seen: Counter[str] = Counter()
        removed = []
        for found in self.versions():
            seen[found.candidate] += 1
            if seen[found.candidate] > KEPT_VERSIONS and found.version not in kept:
                self._client.delete_model_version(self.name, found.version)
                removed.append(found.version)
        return removed[::-1]

    def tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Tag an MLflow run."""
        for name, value in tags.items():
            self._client.set_tag(run_id, name, value)

    def model(self, version: str) -> tuple[bytes, ModelCard]:
        """Model file and card of a version."""
        import mlflow.artifacts

        found = self._client.get_model_version(self.name, version)
        folder = mlflow.artifacts.download_artifacts(
            artifact_uri=found.source, tracking_uri=self._settings.tracking_uri
        )
        card = Path(folder, CARD_FILE).read_bytes()
        return Path(folder, MODEL_FILE).read_bytes(), ModelCard.model_validate_json(card)

    def _champion(self) -> RegisteredVersion:
        champion = self.holder()
        if champion is None:
            raise RegistryError(
                f"{self.name} has no champion although the verdict keeps one; its alias was "
                "removed by hand; run the problem again to set it"
            )
        return champion

    def _alias(self, alias: str, version: str) -> None:
        self._client.set_registered_model_alias(self.name, alias, version)

    def _tag(self, version: str, verdict: Verdict) -> None:
        figures = verdict.model_dump(mode="json", include={"tests", "mean_losses", "alpha", "look"})
        tags = {
            "verdict": verdict.decision,
            "verdict_as_of": verdict.as_of.isoformat(),
            "verdict_reasons": "\n".join(verdict.reasons)[:4900],
            "verdict_figures": json.dumps(figures, separators=(",", ":"))[:4900],
        }
        for name, value in tags.items():
            self._client.set_model_version_tag(self.name, version, name, value)


def _dated(verdict: Verdict) -> str:
    return f"origin-{verdict.as_of:%Y%m%d}"


def _is_before(alias: str, instant: datetime) -> bool:
    """Whether an alias is a dated one of a day before the instant's."""
    dated = _DATED.fullmatch(alias)
    return dated is not None and dated[1] < f"{instant.astimezone(UTC):%Y%m%d}"


def _described(version: ModelVersion) -> RegisteredVersion:
    tags = version.tags
    return RegisteredVersion(
        version=str(version.version),
        candidate=tags["candidate"],
        recipe_id=tags["recipe_id"],
        as_of=datetime.fromisoformat(tags["as_of"]),
        run_id=str(version.run_id),
        data_version=tags["data_version"],
    )
