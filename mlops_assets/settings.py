"""Settings of the platform, read from `MLOPS_*` variables and an optional `.env`.

Here: names, defaults and the addresses derived from them. Not here: anything that opens a store.
Every default works offline; each data mode has a namespace of its own below `MLOPS_HOME`, so that
sample data never trains, promotes or serves a model of real data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from serving.contract.prediction_log import FILE

DataMode = Literal["sample", "files", "live"]


class SettingsError(ValueError):
    """A setting is missing or cannot be used; the message names it and the remedy."""


class Settings(BaseSettings):
    """What can be set from outside; `.env.example` lists every name with its default."""

    model_config = SettingsConfigDict(env_prefix="MLOPS_", env_file=".env", extra="ignore")

    data: DataMode = Field(default="sample", description="where values come from")
    data_dir: Path | None = Field(default=None, description="folder of the files, for data=files")
    home: Path = Field(default=Path(".mlops"), description="folder of all local state")
    storage_uri: str | None = Field(
        default=None, description="where tables and snapshots live; default: a folder in home"
    )
    mlflow_tracking_uri: str | None = Field(
        default=None, description="MLflow store or server; default: SQLite in home"
    )
    mlflow_artifact_uri: str | None = Field(
        default=None, description="where model files live; default: a folder in home"
    )
    prediction_log_uri: str | None = Field(
        default=None,
        description="database of the answered forecasts (SQLAlchemy address); default: SQLite in "
        "home",
    )
    host: str = Field(default="127.0.0.1", description="address the services listen on")
    dagster_port: int = Field(default=3000, ge=1, le=65535, description="Dagster's page")
    mlflow_port: int = Field(default=5000, ge=1, le=65535, description="MLflow's page")
    api_port: int = Field(default=8000, ge=1, le=65535, description="the forecast API")
    dashboard_port: int = Field(default=8501, ge=1, le=65535, description="the dashboard")
    automation_pace: str = Field(
        default="*/10 * * * *",
        description="cron expression: how often what is old, missing or failed is tried again",
    )
    naver_client_id: SecretStr | None = Field(
        default=None, description="client id of the Naver application, for search volumes"
    )
    naver_client_secret: SecretStr | None = Field(
        default=None, description="client secret of the Naver application"
    )
    youtube_api_key: SecretStr | None = Field(
        default=None, description="key of the YouTube Data API, for videos and channels"
    )
    slack_webhook_url: SecretStr | None = Field(
        default=None, description="incoming webhook of Slack, for alerts"
    )
    slack_token: SecretStr | None = Field(
        default=None, description="bot token of Slack, for alerts; goes before the webhook"
    )
    slack_channel: str | None = Field(
        default=None, description="channel that the bot posts alerts to"
    )
    slack_api_url: str = Field(
        default="https://slack.com/api/", description="Slack's API, or a stand-in for it"
    )

    @property
    def namespace(self) -> Path:
        """Folder of this data mode's state (absolute)."""
        return self.home.expanduser().resolve() / self.data

    @property
    def storage(self) -> str:
        """Root of tables and snapshots: a folder or an `s3://` address, no final slash."""
        if self.storage_uri is None:
            return str(self.namespace / "storage")
        return f"{self.storage_uri.rstrip('/')}/{self.data}"

    @property
    def tracking_uri(self) -> str:
        """MLflow's tracking and registry store."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.namespace / 'mlflow.db'}"

    @property
    def prediction_log(self) -> str:
        """The database that the service writes answered forecasts to; may hold a password."""
        return self.prediction_log_uri or f"sqlite:///{self.namespace / FILE}"

    @property
    def artifact_uri(self) -> str:
        """Root of MLflow's artifacts."""
        return self.mlflow_artifact_uri or (self.namespace / "mlflow-artifacts").as_uri()

    @property
    def mlflow_page(self) -> str:
        """Where a browser finds MLflow: the server in use, or the one that `mlops up` starts."""
        if self.tracking_uri.startswith(("http://", "https://")):
            return self.tracking_uri.rstrip("/")
        return base_url(self.host, self.mlflow_port)

    @property
    def dagster_page(self) -> str:
        """Where a browser finds the Dagster page that `mlops up` starts."""
        return base_url(self.host, self.dagster_port)

    @property
    def api_page(self) -> str:
        """Where a browser finds the forecast API that `mlops up` starts."""
        return base_url(self.host, self.api_port)

    @property
    def dashboard_page(self) -> str:
        """Where a browser finds the dashboard that `mlops up` starts."""
        return base_url(self.host, self.dashboard_port)

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance folder."""
        return self.namespace / "dagster"

    def registered_model(self, problem: str) -> str:
        """Name of a problem's registered model: the namespace is part of it."""
        return f"{self.data}.{problem}"

    def required_data_dir(self) -> Path:
        """The folder of the input files.

        Raises:
            SettingsError: MLOPS_DATA_DIR is not set or is no folder.
        """
        if self.data_dir is None:
            raise SettingsError(
                "MLOPS_DATA_DIR is not set, but MLOPS_DATA=files reads its input there; "
                "set MLOPS_DATA_DIR to the folder that holds the files of the problem's YAML"
            )
        if not self.data_dir.is_dir():
            raise SettingsError(
                f"MLOPS_DATA_DIR={self.data_dir} is not a folder; "
                "set it to the folder that holds the files of the problem's YAML"
            )
        return self.data_dir

    def required_secret(
        self, name: Literal["naver_client_id", "naver_client_secret", "youtube_api_key"]
    ) -> SecretStr:
        """A secret that a live source cannot do without.

        Raises:
            SettingsError: it is not set, or empty; the message names the variable.
        """
        secret: SecretStr | None = getattr(self, name)
        if secret is None or not secret.get_secret_value().strip():
            raise SettingsError(
                f"MLOPS_{name.upper()} is not set, and this live source asks for it with every "
                "call; set it in the environment or in `.env`"
            )
        return secret


def reachable_host(host: str) -> str:
    """The host to call for a service that listens on `host`: a wildcard is reached on loopback."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)


def base_url(host: str, port: int) -> str:
    """`http://` address of a service, with brackets around an IPv6 host."""
    called = reachable_host(host)
    return f"http://[{called}]:{port}" if ":" in called else f"http://{called}:{port}"


def load_settings() -> Settings:
    """The settings of this process.

    Raises:
        SettingsError: a variable has a value that its setting does not allow.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"MLOPS_{str(fault['loc'][0]).upper()}={fault['input']!r}: {fault['msg']}; "
            "correct it or remove it to use the default"
            for fault in error.errors()
        ]
        raise SettingsError("\n".join(lines)) from error
