"""What the service asks a model registry, and what it is told.

Here: the questions and the shapes of the answers. Not here: who answers (`rest` for an MLflow
server, `database` for MLflow's tables), the files behind a version (`artifacts`), and what changes
the registry (`writer`). MLflow's own client would do all of this too, but importing it and opening
its store costs 155 MB and three seconds of a processor in each worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from serving.contract.model_card import TAG_CARD_SHA256, TAG_MODEL_SHA256
from serving.model_files import ModelFiles
from serving.served_model import RegisteredVersion

_LONGEST_NUMBER: Final = 9


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A registered model: the names that point to its versions, and its tags."""

    name: str
    aliases: Mapping[str, str]
    """Alias -> version."""
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class VersionDescription:
    """One version of a registered model with its tags."""

    name: str
    version: str
    created_at: datetime
    source: str
    run_id: str | None
    tags: Mapping[str, str]

    @property
    def registered(self) -> RegisteredVersion:
        """What is needed to fetch and to verify its files."""
        return RegisteredVersion(
            name=self.name,
            version=self.version,
            source=self.source,
            model_sha256=self.tags.get(TAG_MODEL_SHA256),
            card_sha256=self.tags.get(TAG_CARD_SHA256),
        )


class Registry(Protocol):
    """Where versions and their files are; deleted versions are not among them."""

    def model(self, name: str) -> RegisteredModel | None:
        """A registered model, or None when there is none of that name.

        Raises:
            RegistryUnreachableError: the registry does not answer.
        """

    def version(self, name: str, number: str) -> RegisteredVersion | None:
        """A version by its number, or None when there is none.

        Raises:
            RegistryUnreachableError: the registry does not answer.
        """

    def versions(self, name: str) -> list[VersionDescription]:
        """Every version, newest (highest number) first; empty when there is no such model.

        Raises:
            RegistryUnreachableError: the registry does not answer.
        """

    def files(self, version: RegisteredVersion) -> ModelFiles:
        """The files of a version.

        Raises:
            RegistryUnreachableError: the store of the files does not answer.
            ModelRefusedError: a file is absent or too large, or its address cannot be read.
        """


def is_version_number(text: str) -> bool:
    """Whether a text can be the number of a version at all."""
    return text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER
