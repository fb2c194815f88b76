"""Reads the registry from the tables of an MLflow database, without MLflow.

Here: selects on `registered_models`, their aliases and tags, `model_versions` and their tags; and
the engine that `writer` shares. Nothing is created: neither the tables nor an SQLite file. The
tables are those of MLflow 3; a release with workspaces is read in its default one.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from serving.domain_errors import RegistryUnreachableError
from serving.model_files import ModelFiles
from serving.registry.artifacts import Artifacts
from serving.registry.reader import RegisteredModel, VersionDescription, is_version_number
from serving.served_model import RegisteredVersion

if TYPE_CHECKING:
    from sqlalchemy import ColumnClause, Connection, Engine, Select, TableClause
    from sqlalchemy.engine import URL

DELETED: Final = "Deleted_Internal"
"""Stage of a version that was deleted; MLflow keeps its row."""

_SECONDS: Final = 5
_DEFAULT_WORKSPACE: Final = "default"
_COLUMNS: Final = {
    "registered_models": ("name",),
    "registered_model_aliases": ("name", "alias", "version"),
    "registered_model_tags": ("name", "key", "value"),
    "model_versions": (
        *("name", "version", "creation_time", "current_stage"),
        *("source", "storage_location", "run_id"),
    ),
    "model_version_tags": ("name", "version", "key", "value"),
}


class Database:
    """A connection to MLflow's database, opened on first use."""

    def __init__(self, address: str) -> None:
        """Remember the SQLAlchemy address."""
        self._address = address
        self._engine: Engine | None = None
        self._has_workspaces: bool | None = None
        self._tables: dict[str, TableClause] = {}

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction: committed at the end, rolled back by an error.

        Raises:
            RegistryUnreachableError: the database does not answer, or is none of MLflow's.
        """
        import sqlalchemy as sa

        try:
            if self._engine is None:
                self._engine = _engine(self._address)
                weakref.finalize(self, self._engine.dispose)
            with self._engine.begin() as connection:
                if self._has_workspaces is None:
                    columns = sa.inspect(connection).get_columns("registered_models")
                    self._has_workspaces = any(c["name"] == "workspace" for c in columns)
                yield connection
        except sa.exc.SQLAlchemyError as error:
            raise RegistryUnreachableError(type(error).__name__) from error

    def table(self, name: str) -> TableClause:
        """One of MLflow's tables, the same object each time."""
        import sqlalchemy as sa

        columns: list[ColumnClause[Any]] = [
            sa.column(column) for column in (*_COLUMNS[name], "workspace")
        ]
        return self._tables.setdefault(name, sa.table(name, *columns))

    def conditions(self, table: TableClause, **equal: str | int) -> list[Any]:
        """Conditions on columns, and on the workspace where the database has them."""
        wanted: dict[str, str | int] = dict(equal)
        if self._has_workspaces:
            wanted["workspace"] = _DEFAULT_WORKSPACE
        return [table.c[column] == value for column, value in wanted.items()]

    def select(self, table_name: str, /, *columns: str, **equal: str | int) -> Select[Any]:
        """A select of columns of a table, where columns equal values."""
        import sqlalchemy as sa

        table = self.table(table_name)
        return sa.select(*(table.c[c] for c in columns)).where(*self.conditions(table, **equal))


class DatabaseRegistry:
    """A `reader.Registry` over MLflow's tables."""

    def __init__(self, database: Database, artifacts: Artifacts) -> None:
        """Read from `database`; files come from where the versions say."""
        self._database = database
        self._artifacts = artifacts

    def model(self, name: str) -> RegisteredModel | None:
        """See `Registry`."""
        ask = self._database.select
        with self._database.begin() as connection:
            if connection.execute(ask("registered_models", "name", name=name)).first() is None:
                return None
            aliases = ask("registered_model_aliases", "alias", "version", name=name)
            pointed = {str(row.alias): str(row.version) for row in connection.execute(aliases)}
            held = ask("registered_model_tags", "key", "value", name=name)
            tags = {str(row.key): str(row.value) for row in connection.execute(held)}
        return RegisteredModel(
            name=name,
            aliases=pointed,
            tags=tags,
        )

    def version(self, name: str, number: str) -> RegisteredVersion | None:
        """See `Registry`."""
        if not is_version_number(number):
            return None
        found = self._described(name, version=int(number))
        return found[0].registered if found else None

    def versions(self, name: str) -> list[VersionDescription]:
        """See `Registry`."""
        return self._described(name)

    def files(self, version: RegisteredVersion) -> ModelFiles:
        """See `Registry`."""
        return self._artifacts.files(version)

    def _described(self, name: str, **equal: int) -> list[VersionDescription]:
        wanted = ("version", "creation_time", "source", "storage_location", "run_id")
        stage = self._database.table("model_versions").c["current_stage"]
        with self._database.begin() as connection:
            rows = connection.execute(
                self._database.select(
                    "model_versions", *wanted, "current_stage", name=name, **equal
                ).where(stage != DELETED)
            ).all()
            tag_rows = connection.execute(
                self._database.select(
                    "model_version_tags", "version", "key", "value", name=name, **equal
                )
            ).all()
        tags: dict[int, dict[str, str]] = {}
        for tag in tag_rows:
            tags.setdefault(tag.version, {})[tag.key] = tag.value
        described = [
            VersionDescription(
                name=name,
                version=str(row.version),
                created_at=datetime.fromtimestamp(row.creation_time / 1000, UTC),
                # Where MLflow resolved a source such as models:/ itself, it noted the folder.
                source=row.storage_location or row.source or "",
                run_id=row.run_id,
                tags=tags.get(row.version, {}),
            )
            for row in rows
        ]
        return sorted(described, key=lambda found: int(found.version), reverse=True)


def _engine(address: str) -> Engine:
    import sqlalchemy as sa

    url = sa.make_url(address)
    kind = url.get_backend_name()
    if kind == "sqlite":
        # A connection for each question: it notices a file that was removed or replaced.
        return sa.create_engine(_existing(url), poolclass=sa.NullPool)
    timeouts: dict[str, Any] = {"connect_timeout": _SECONDS}
    if kind == "mysql":
        timeouts |= {"read_timeout": 2 * _SECONDS, "write_timeout": 2 * _SECONDS}
    if kind == "postgresql":
        timeouts["options"] = f"-c statement_timeout={2000 * _SECONDS}"
    return sa.create_engine(url, pool_size=1, pool_pre_ping=True, connect_args=timeouts)


def _existing(url: URL) -> URL:
    """The address of an SQLite file that must be there: SQLite would create it, in a race."""
    file = Path(url.database or "").absolute()
    query = {**url.query, "mode": "rw", "uri": "true"}
    return url.set(database=f"file:{quote(str(file))}", query=query)
