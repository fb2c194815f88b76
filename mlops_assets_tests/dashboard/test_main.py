from __future__ import annotations

from pathlib import Path

import pytest

from dashboard.__main__ import command
from dashboard.settings import (
    DashboardSettings,
    DashboardSettingsError,
    load_dashboard_settings,
)


def test_the_pages_listen_where_the_settings_say_and_report_to_nobody() -> None:
    called = command(DashboardSettings(host="127.0.0.1", dashboard_port=8511))

    assert Path(called[4]).name == "app.py"
    assert {
        "--server.address=127.0.0.1",
        "--server.port=8511",
        "--browser.gatherUsageStats=false",
    } <= set(called)


def test_a_wildcard_host_is_called_on_loopback() -> None:
    settings = DashboardSettings(host="0.0.0.0", api_port=8001, mlflow_tracking_uri="sqlite://")

    assert settings.api_page == "http://127.0.0.1:8001"
    assert settings.mlflow_page == "http://127.0.0.1:5000"


def test_an_mlflow_server_elsewhere_is_linked_to() -> None:
    settings = DashboardSettings(mlflow_tracking_uri="http://mlflow:5000/")

    assert settings.mlflow_page == "http://mlflow:5000"


def test_a_setting_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_DASHBOARD_TIMEOUT_SECONDS", "-1")

    with pytest.raises(DashboardSettingsError, match="MLOPS_DASHBOARD_TIMEOUT_SECONDS='-1'"):
        load_dashboard_settings()
