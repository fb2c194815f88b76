"""Settings of the dashboard, read from `MLOPS_*` variables and an optional `.env`.

Here: where the API and the tools' pages are, and how long an answer may take. Not here: settings of
the pipeline and of the service, which share the names of hosts and ports.
"""

from __future__ import annotations

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class DashboardSettingsError(ValueError):
    """A setting of the dashboard cannot be used; the message names it and the remedy."""


class DashboardSettings(BaseSettings):
    """What can be set from outside."""

    model_config = SettingsConfigDict(env_prefix="MLOPS_", env_file=".env", extra="ignore")

    host: str = Field(default="127.0.0.1", description="address the services listen on")
    api_port: int = Field(default=8000, ge=1, le=65535, description="the forecast API")
    dagster_port: int = Field(default=3000, ge=1, le=65535, description="Dagster's page")
    mlflow_port: int = Field(default=5000, ge=1, le=65535, description="MLflow's page")
    mlflow_tracking_uri: str | None = Field(
        default=None, description="MLflow store or server; a server's page is linked to"
    )
    dashboard_port: int = Field(default=8501, ge=1, le=65535, description="the dashboard")
    dashboard_timeout_seconds: float = Field(
        default=10.0, gt=0, description="an answer of the API that takes longer is given up"
    )
    dashboard_refresh_seconds: float = Field(
        default=10.0, gt=0, description="seconds between two looks at the newest forecast"
    )
    dashboard_api_key: SecretStr | None = Field(
        default=None, description="key that is sent to the API; on loopback none is needed"
    )

    @property
    def api_page(self) -> str:
        """Where the forecast API answers."""
        return _page(self.host, self.api_port)

    @property
    def dagster_page(self) -> str:
        """Where a browser finds Dagster."""
        return _page(self.host, self.dagster_port)

    @property
    def mlflow_page(self) -> str:
        """Where a browser finds MLflow: the server in use, or the one of `mlops up`."""
        address = self.mlflow_tracking_uri or ""
        if address.startswith(("http://", "https://")):
            return address.rstrip("/")
        return _page(self.host, self.mlflow_port)


def load_dashboard_settings() -> DashboardSettings:
    """The settings of this process.

    Raises:
        DashboardSettingsError: a variable has a value that its setting does not allow.
    """
    try:
        return DashboardSettings()
    except ValidationError as error:
        lines = [
            f"MLOPS_{str(fault['loc'][0]).upper()}={fault['input']!r}: {fault['msg']}; "
            "correct it or remove it to use the default"
            for fault in error.errors()
        ]
        raise DashboardSettingsError("\n".join(lines)) from error


def _page(host: str, port: int) -> str:
    """`http://` address of a service that listens on a host; a wildcard is called on loopback."""
    called = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    return f"http://[{called}]:{port}" if ":" in called else f"http://{called}:{port}"
