"""A registry with versions in it, in a real MLflow database, and verdicts to apply to it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from mlops_assets.promotion.registry import Registry
from mlops_assets.promotion.verdict import Verdict
from mlops_assets.settings import Settings
from mlops_assets_tests.evaluation.frames import START

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROBLEM = "coin_close"


class Shelf:
    """The registered versions of one problem below a folder of its own."""

    def __init__(self, folder: Path, database: Path, *, is_empty: bool = True) -> None:
        self.settings = Settings(data="files", home=folder / "home")
        self.settings.namespace.mkdir(parents=True)
        self.database = self.settings.namespace / "mlflow.db"
        shutil.copy(database, self.database)
        self.registry = Registry(self.settings, PROBLEM)
        if is_empty:
            self.client.create_registered_model(self.registry.name)

    def copy(self, folder: Path) -> Shelf:
        """The same versions and aliases, below another folder."""
        return Shelf(folder, self.database, is_empty=False)

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's own client of the same database."""
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.settings.tracking_uri)

    def add(self, *candidates: str, as_of: datetime = START, recipe: str = "1") -> dict[str, str]:
        """Register one version of each candidate, recipe `<candidate>-1`; candidate -> version."""
        return {name: self._add(name, as_of, recipe) for name in candidates}

    def aliases(self) -> dict[str, str]:
        """Alias -> version."""
        held = self.client.get_registered_model(self.registry.name).aliases
        return {alias: str(version) for alias, version in held.items()}

    def tags(self, version: str) -> dict[str, str]:
        """Tags of a version."""
        return dict(self.client.get_model_version(self.registry.name, version).tags)

    def _add(self, candidate: str, as_of: datetime, recipe: str) -> str:
        tags = {
            "candidate": candidate,
            "recipe_id": f"{candidate}-{recipe}",
            "as_of": as_of.isoformat(),
            "data_version": "data-1",
        }
        source = str(self.settings.namespace / candidate)
        made = self.client.create_model_version(self.registry.name, source=source, tags=tags)
        return str(made.version)


def verdict(
    decision: str, candidate: str, *, losses: Sequence[str], as_of: datetime = START
) -> Verdict:
    """A verdict for `candidate`; `losses` are the candidates, best first."""
    fields: dict[str, Any] = {
        "problem": PROBLEM,
        "as_of": as_of,
        "decision": decision,
        "candidate": candidate,
        "recipe_id": f"{candidate}-1",
        "previous": None,
        "reasons": ("ridge proved better.", "It takes the alias."),
        "loss": "absolute_error",
        "guards": (),
        "alpha": 0.05,
        "look": 1,
        "looks_per_year": 52,
        "yearly_error_budget": 0.05,
        "guard_alpha": 0.05,
        "strongest_baseline": "last_value",
        "first_origin": START,
        "last_origin": START,
        "rows": 1,
        "origins": 1,
        "mean_losses": {name: float(place) for place, name in enumerate(losses)},
        "tests": (),
    }
    return Verdict.model_validate(fields)


def fits(versions: dict[str, str], *, faults: dict[str, str] | None = None) -> pl.DataFrame:
    """One row for each final fit; a faulty one has no version."""
    faults = faults or {}
    names = [*versions, *faults]
    return pl.DataFrame(
        {
            "candidate": names,
            "version": [versions.get(name) for name in names],
            "fault": [faults.get(name) for name in names],
        },
        schema_overrides={"version": pl.String, "fault": pl.String},
    )
