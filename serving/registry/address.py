"""From MLOPS_MLFLOW_TRACKING_URI to whoever reads and writes the registry there.

Here: the choice between an MLflow server and MLflow's database. Not here: anything that opens one.
"""

from __future__ import annotations

from serving.registry.artifacts import Artifacts
from serving.registry.database import Database, DatabaseRegistry
from serving.registry.reader import Registry
from serving.registry.rest import RegistryServer, RestRegistry
from serving.registry.writer import DatabaseWriter, RegistryWriter, RestWriter


def connect(address: str, *, max_model_bytes: int) -> tuple[Registry, RegistryWriter]:
    """Reader and writer of the registry at an address; nothing is opened before the first question.

    Args:
        address: `http(s)://` of an MLflow server, else a database as SQLAlchemy names it. What is
            neither shows as a registry that does not answer.
        max_model_bytes: larger model files are refused.
    """
    if address.startswith(("http://", "https://")):
        server = RegistryServer(address)
        files = Artifacts(max_model_bytes=max_model_bytes, proxy=server)
        return RestRegistry(server, files), RestWriter(server)
    database = Database(address)
    files = Artifacts(max_model_bytes=max_model_bytes)
    return DatabaseRegistry(database, files), DatabaseWriter(database)
