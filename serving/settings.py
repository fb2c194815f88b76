"""Settings of the service, read from `MLOPS_*` variables and an optional `.env`.

Here: names, defaults and the addresses derived from them. Not here: anything that opens a store.
Names shared with the pipeline's settings mean the same there, and the derived addresses agree (a
test compares them); the two classes are apart because the service imports nothing of the pipeline.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from serving.contract.prediction_log import FILE


class ServingSettingsError(ValueError):
    """A setting cannot be used; the message names the variable, the rule and the remedy."""


class ServingSettings(BaseSettings):
    """What can be set from outside; every default works offline."""

    model_config = SettingsConfigDict(env_prefix="MLOPS_", env_file=".env", extra="ignore")

    data: Literal["sample", "files", "live"] = Field(
        default="sample", description="where values come from; names the namespace that is served"
    )
    home: Path = Field(default=Path(".mlops"), description="folder of all local state")
    storage_uri: str | None = Field(
        default=None, description="where tables and snapshots live; default: a folder in home"
    )
    mlflow_tracking_uri: str | None = Field(
        default=None, description="MLflow store or server; default: SQLite in home"
    )
    prediction_log_uri: str | None = Field(
        default=None,
        description="database of the answered forecasts (SQLAlchemy address); default: SQLite in "
        "home",
    )
    prediction_log_queue_rows: int = Field(
        default=50_000, ge=1, description="answered forecasts that may wait to be written"
    )
    prediction_log_wait_seconds: float = Field(
        default=2.0, gt=0, description="an answer waits so long for room in the log, then 503"
    )
    host: str = Field(default="127.0.0.1", description="address the service listens on")
    api_port: int = Field(default=8000, ge=1, le=65535, description="the forecast API")
    api_poll_seconds: float = Field(
        default=2.0, gt=0, description="pause between two looks at snapshots and registry"
    )
    api_recheck_polls: int = Field(
        default=30, ge=1, description="looks after which a refused model is tried again"
    )
    api_max_model_mb: float = Field(
        default=512, gt=0, description="a larger model file is refused, in 10^6 bytes"
    )
    api_max_snapshot_mb: float = Field(
        default=256, gt=0, description="a larger file of a snapshot is refused, in 10^6 bytes"
    )
    api_max_body_kb: float = Field(
        default=1000, gt=0, description="a larger request body is refused, in 10^3 bytes"
    )
    api_max_rows: int = Field(
        default=5000, ge=1, description="rows of features, or forecasts, in one answer"
    )
    api_timeout_seconds: float = Field(
        default=30.0, gt=0, description="a request must be received and answered within this time"
    )
    api_model_memory_mb: float = Field(
        default=512, gt=0, description="memory for models that are held ready, in 10^6 bytes"
    )
    api_cache: Path | None = Field(
        default=None,
        description="folder of the last good models and snapshots; default: a folder in home",
    )
    api_workers: int = Field(default=1, ge=1, le=64, description="processes that answer")
    api_keys: Path | None = Field(
        default=None, description="file of API keys; default: api-keys.json in home"
    )
    api_rate_per_second: float = Field(
        default=1000.0, gt=0, description="requests per second that one API key may send a worker"
    )
    api_log: Literal["text", "json"] = Field(
        default="text", description="form of the service's own log lines"
    )
    api_access_log: bool = Field(default=False, description="write a log line for each request")
    prediction_log_enabled: bool = Field(
        default=True, description="write every answered forecast down"
    )

    @property
    def namespace(self) -> Path:
        """Folder of this data mode's state (absolute)."""
        return self.home.expanduser().resolve() / self.data

    @property
    def storage(self) -> str:
        """Root of published snapshots: a folder or an `s3://` address, no final slash."""
        if self.storage_uri is None:
            return str(self.namespace / "storage")
        return f"{self.storage_uri.rstrip('/')}/{self.data}"

    @property
    def tracking_uri(self) -> str:
        """MLflow's tracking and registry store."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.namespace / 'mlflow.db'}"

    @property
    def cache(self) -> Path:
        """Folder of the last good models and snapshots (absolute)."""
        return (self.api_cache or self.namespace / "serving-cache").expanduser().resolve()

    @property
    def keys(self) -> Path:
        """File of API keys (absolute)."""
        return (self.api_keys or self.namespace / "api-keys.json").expanduser().resolve()

    @property
    def prediction_log(self) -> str:
        """The database that every answered forecast is written to; may hold a password."""
        return self.prediction_log_uri or f"sqlite:///{self.namespace / FILE}"


def load_serving_settings() -> ServingSettings:
    """The settings of this process.

    Raises:
        ServingSettingsError: a variable has a value that its setting does not allow.
    """
    try:
        return ServingSettings()
    except ValidationError as error:
        lines = [
            f"MLOPS_{str(fault['loc'][0]).upper()}={fault['input']!r}: {fault['msg']}; "
            "correct it or remove it to use the default"
            for fault in error.errors()
        ]
        raise ServingSettingsError("\n".join(lines)) from error
