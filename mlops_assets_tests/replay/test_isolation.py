from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from mlops_assets.replay.isolation import (
    ReplayError,
    ReplayPlatform,
    raw_commits,
    replay_folder,
    replay_settings,
)
from mlops_assets.settings import Settings, SettingsError
from mlops_assets_tests.end_to_end.planted import problem


@pytest.fixture
def production(tmp_path: Path) -> Settings:
    return Settings(
        data="live",
        home=tmp_path,
        storage_uri="s3://bucket",
        mlflow_tracking_uri="http://mlflow:5000",
        mlflow_artifact_uri="s3://models",
        naver_client_secret=SecretStr("hidden"),
    )


def test_everything_of_a_replay_lies_below_its_folder(production: Settings, tmp_path: Path) -> None:
    own, folder = replay_settings(production, "weekly-1"), tmp_path / "live/replays/weekly-1"

    assert replay_folder(production, "weekly-1") == folder
    assert own.data == "live"
    assert own.namespace.is_relative_to(folder)
    assert Path(own.storage).is_relative_to(folder)
    assert own.tracking_uri.startswith(f"sqlite:///{folder}")
    assert own.artifact_uri.startswith(folder.as_uri())
    assert own.dagster_home.is_relative_to(folder)


def test_a_replay_knows_no_address_and_no_secret_of_production(production: Settings) -> None:
    own = replay_settings(production, "weekly")

    assert "hidden" not in repr(own.model_dump())
    assert {own.storage_uri, own.mlflow_tracking_uri, own.mlflow_artifact_uri} == {None}
    with pytest.raises(SettingsError, match="MLOPS_NAVER_CLIENT_SECRET"):
        own.required_secret("naver_client_secret")


def test_assets_of_a_replay_get_its_settings_whatever_the_environment_says(
    production: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = replay_settings(production, "weekly")
    platform = ReplayPlatform(given=own.model_dump_json())
    for name, value in {"DATA": "sample", "HOME": "/elsewhere", "STORAGE_URI": "s3://b"}.items():
        monkeypatch.setenv(f"MLOPS_{name}", value)

    assert platform.settings() == own


@pytest.mark.parametrize("name", ["", "../other", "a/b", ".hidden"])
def test_an_id_that_is_no_plain_name_is_refused(production: Settings, name: str) -> None:
    with pytest.raises(ReplayError, match="letters, digits"):
        replay_folder(production, name)


def test_a_target_that_was_never_fetched_cannot_be_replayed(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match=r"raw_coin is not in .*mlops run"):
        raw_commits(Settings(home=tmp_path), problem())
