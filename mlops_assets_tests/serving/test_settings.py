from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.settings import Settings
from serving.settings import ServingSettings, ServingSettingsError, load_serving_settings


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"MLOPS_DATA": "files", "MLOPS_HOME": "~/elsewhere"},
        {"MLOPS_DATA": "live", "MLOPS_STORAGE_URI": "s3://bucket/folder/"},
        {
            "MLOPS_MLFLOW_TRACKING_URI": "http://127.0.0.1:5000",
            "MLOPS_HOST": "0.0.0.0",
            "MLOPS_API_PORT": "8123",
            "MLOPS_PREDICTION_LOG_URI": "postgresql+psycopg2://127.0.0.1/log",
        },
    ],
)
def test_service_and_pipeline_derive_the_same_addresses_from_the_same_variables(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ours, theirs = ServingSettings(), Settings()
    shared = ("data", "namespace", "storage", "tracking_uri", "prediction_log", "host", "api_port")
    for name in shared:
        assert getattr(ours, name) == getattr(theirs, name), name


def test_a_variable_that_cannot_be_used_is_named_with_its_value_and_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLOPS_API_POLL_SECONDS", "often")
    with pytest.raises(ServingSettingsError, match=r"MLOPS_API_POLL_SECONDS='often'.*correct it"):
        load_serving_settings()
