"""Changes the registry: aliases and tags, so that operators can steer traffic without MLflow.

Here: what may be changed and how a server or a database is told. Not here: who may do it (`access`)
and what the tags mean (`traffic`, the verdict's tags of the pipeline). A change of several names is
one transaction of a database; a server is told one by one, versions' tags first and aliases last,
so that whoever sees an alias moved also sees why.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from serving.domain_errors import UnknownNameError, UnusableInputError
from serving.registry.database import DELETED, Database
from serving.registry.reader import is_version_number
from serving.registry.rest import RegistryAnswerError, RegistryServer

if TYPE_CHECKING:
    from sqlalchemy import Connection

_ALIAS: Final = re.compile(r"[\w-]{1,255}")
_RESERVED_ALIAS: Final = re.compile(r"latest|v\d+", re.IGNORECASE)
_LONGEST_KEY: Final = 250
_LONGEST_VALUE: Final = 5000
"""Of a tag of a registered model in MLflow's tables."""


@dataclass(frozen=True, slots=True)
class RegistryChange:
    """What is to be changed of one registered model."""

    aliases: Mapping[str, str] = field(default_factory=dict)
    """Alias -> the version it shall point to."""
    tags: Mapping[str, str | None] = field(default_factory=dict)
    """Tag of the registered model -> its value; None removes it."""
    version_tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Version -> tag -> value."""


class RegistryWriter(Protocol):
    """Whoever can change the registry."""

    def apply(self, name: str, change: RegistryChange) -> None:
        """Change a registered model.

        Raises:
            UnknownNameError: there is no such registered model or version.
            UnusableInputError: an alias, key or value is not allowed.
            RegistryUnreachableError: the registry does not answer.
        """


class RestWriter:
    """A `RegistryWriter` over an MLflow server."""

    def __init__(self, server: RegistryServer) -> None:
        """Tell `server`."""
        self._server = server

    def apply(self, name: str, change: RegistryChange) -> None:
        """See `RegistryWriter`."""
        require_allowed(change)
        for number, tags in change.version_tags.items():
            for key, value in tags.items():
                body = {"name": name, "version": number, "key": key, "value": value}
                self._call("POST", "/model-versions/set-tag", body, f"version {number} of {name}")
        for key, wanted in change.tags.items():
            if wanted is None:
                body = {"name": name, "key": key}
                self._call("DELETE", "/registered-models/delete-tag", body, name)
            else:
                body = {"name": name, "key": key, "value": wanted}
                self._call("POST", "/registered-models/set-tag", body, name)
        for alias, number in change.aliases.items():
            body = {"name": name, "alias": alias, "version": number}
            self._call("POST", "/registered-models/alias", body, f"version {number} of {name}")

    def _call(self, method: str, path: str, body: Mapping[str, str], what: str) -> None:
        try:
            self._server.call(method, path, body=body)
        except RegistryAnswerError as error:
            if str(error) == "RESOURCE_DOES_NOT_EXIST":
                raise _unknown(what) from error
            raise UnusableInputError(
                value=what,
                rule=f"the registry must allow the change, it says {error}",
                remedy="give the service credentials that may write, or use other names",
            ) from error


class DatabaseWriter:
    """A `RegistryWriter` over MLflow's tables: the statements that MLflow's own store makes."""

    def __init__(self, database: Database) -> None:
        """Write into `database`."""
        self._database = database

    def apply(self, name: str, change: RegistryChange) -> None:
        """See `RegistryWriter`."""
        require_allowed(change)
        with self._database.begin() as connection:
            self._require(connection, name, change)
            for number, tags in change.version_tags.items():
                for key, value in tags.items():
                    where: dict[str, str | int] = {"name": name, "version": int(number), "key": key}
                    self._put(connection, "model_version_tags", where, {"value": value})
            for key, wanted in change.tags.items():
                where = {"name": name, "key": key}
                if wanted is None:
                    self._delete(connection, "registered_model_tags", where)
                else:
                    self._put(connection, "registered_model_tags", where, {"value": wanted})
            for alias, number in change.aliases.items():
                where = {"name": name, "alias": alias}
                values = {"version": int(number)}
                self._put(connection, "registered_model_aliases", where, values)

    def _require(self, connection: Connection, name: str, change: RegistryChange) -> None:
        """Pass when the model and every version exist."""
        ask = self._database.select
        if connection.execute(ask("registered_models", "name", name=name)).first() is None:
            raise _unknown(f"registered model {name}")
        stage = self._database.table("model_versions").c["current_stage"]
        for number in {*change.aliases.values(), *change.version_tags}:
            found = ask("model_versions", "version", name=name, version=int(number))
            if connection.execute(found.where(stage != DELETED)).first() is None:
                raise _unknown(f"version {number} of {name}")

    def _put(
        self,
        connection: Connection,
        table_name: str,
        where: Mapping[str, str | int],
        values: Mapping[str, str | int],
    ) -> None:
        """Update the row of a key, or insert it."""
        import sqlalchemy as sa

        table = self._database.table(table_name)
        conditions = self._database.conditions(table, **where)
        held = sa.select(sa.func.count()).select_from(table).where(*conditions)
        if connection.execute(held).scalar_one():
            connection.execute(sa.update(table).where(*conditions).values(**values))
        else:
            # The column of workspaces, where there is one, has its default in the database.
            connection.execute(sa.insert(table).values(**where, **values))

    def _delete(
        self, connection: Connection, table_name: str, where: Mapping[str, str | int]
    ) -> None:
        import sqlalchemy as sa

        table = self._database.table(table_name)
        connection.execute(sa.delete(table).where(*self._database.conditions(table, **where)))


def require_allowed(change: RegistryChange) -> None:
    """Pass when the names and values are such as MLflow itself allows.

    Raises:
        UnusableInputError: one is not.
    """
    for alias in change.aliases:
        if not _ALIAS.fullmatch(alias) or _RESERVED_ALIAS.fullmatch(alias):
            raise UnusableInputError(
                value=f"alias {alias[:60]!r}",
                rule="an alias has letters, digits, _ and -, and is neither `latest` nor like `v1`",
                remedy="choose another alias",
            )
    for number in (*change.aliases.values(), *change.version_tags):
        if not is_version_number(number):
            raise UnusableInputError(
                value=f"version {number[:60]!r}",
                rule="a version is a whole number",
                remedy="take one of the model's versions",
            )
    for tags in (change.tags, *change.version_tags.values()):
        for key, value in tags.items():
            if not 0 < len(key) <= _LONGEST_KEY or len(value or "") > _LONGEST_VALUE:
                raise UnusableInputError(
                    value=f"tag {key[:60]!r} of {len(value or '')} characters",
                    rule=f"keys have 1 to {_LONGEST_KEY} characters, values up to {_LONGEST_VALUE}",
                    remedy="shorten it",
                )


def _unknown(what: str) -> UnknownNameError:
    return UnknownNameError(
        value=what, rule="it must be registered", remedy="take a version that the registry lists"
    )
