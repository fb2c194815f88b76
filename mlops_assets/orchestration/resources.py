"""The resources that assets ask for by name: `clock`, `platform`, `tables`.

`tables` is the IO manager's store as well, so an asset that reads on its own and one that lets
Dagster load its inputs see the same files.
"""

from __future__ import annotations

import dagster as dg

from mlops_assets.settings import Settings, load_settings
from mlops_assets.storage.kept_objects import KeptObjects
from mlops_assets.storage.tables import TableStore


class Platform(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Gives assets the settings of the process they run in."""

    def settings(self) -> Settings:
        """The settings, read from the environment when asked."""
        return load_settings()


class Tables(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Gives assets the stored tables."""

    root: str

    def store(self) -> TableStore:
        """The tables below `root`."""
        return TableStore(self.root)

    def fits(self) -> KeptObjects | None:
        """Where fits are kept that may be made again; None where each is made once."""
        return None
