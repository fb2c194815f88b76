"""A message says what happened with links, and nothing that should stay on the machine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mlops_assets.automation.alerts_messages import (
    LONGEST_MESSAGE,
    Event,
    Kind,
    compose,
    redact,
)
from mlops_assets.settings import Settings

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def settings(**changes: Any) -> Settings:  # noqa: ANN401 - any setting
    return Settings(**{"_env_file": None, "data": "live", **changes})


def event(kind: Kind = Kind.PROMOTION, **changes: Any) -> Event:  # noqa: ANN401 - any field
    return Event(
        **{
            "kind": kind,
            "problem": "tides",
            "happened_at": NOON,
            "subject": "ridge, version 7",
            "text": "It passed.",
            **changes,
        }
    )


def test_a_promotion_links_run_asset_model_and_api() -> None:
    told = event(run_id="r1", asset="tides/champion", mlflow_run_id="m1")
    assert compose(told, settings()).as_slack() == (
        "*tides: promoted ridge, version 7*\n"
        "It passed.\n"
        "2026-01-05 12:00:00 UTC.\n"
        "<http://127.0.0.1:3000/runs/r1|Dagster run> | "
        "<http://127.0.0.1:3000/assets/tides/champion|asset> | "
        "<http://127.0.0.1:5000/#/runs/m1|MLflow run> | "
        "<http://127.0.0.1:8000/models/tides|served model>"
    )


def test_a_log_holds_whole_addresses() -> None:
    assert compose(event(), settings()).as_plain() == (
        "tides: promoted ridge, version 7\n"
        "It passed.\n"
        "2026-01-05 12:00:00 UTC.\n"
        "served model: http://127.0.0.1:8000/models/tides"
    )


def test_synthetic_data_are_called_so() -> None:
    title = compose(event(), settings(data="sample")).title
    assert title == "tides (synthetic data): promoted ridge, version 7"


@pytest.mark.parametrize("kind", [Kind.DEAD_SOURCE, Kind.DRIFT, Kind.CONTROL, Kind.COVERAGE])
def test_the_end_of_a_condition_says_that_it_is_back(kind: Kind) -> None:
    assert " back" in compose(event(kind, over=True), settings()).title
    assert " back" not in compose(event(kind), settings()).title


@pytest.mark.parametrize("text", ["x" * 10_000, "<&>" * 4_000, "포카리스웨트 " * 2_000])
def test_a_message_is_never_too_long_and_keeps_its_links(text: str) -> None:
    message = compose(event(text=text, run_id="r1"), settings())
    for shown in (message.as_slack(), message.as_plain()):
        assert len(shown) <= LONGEST_MESSAGE
        assert "/runs/r1" in shown
        assert " ...\n" in shown


def test_a_cut_leaves_no_half_of_an_escaped_character() -> None:
    for length in range(2_700, 2_720):
        shown = compose(event(text="x" * length + "&" * 200), settings()).as_slack()
        assert shown.split(" ...\n")[0].rsplit("x", 1)[1].replace("&amp;", "") == ""


def test_what_was_held_back_is_counted() -> None:
    text = compose(event(Kind.DRIFT), settings(), held_back=3).text
    assert text.endswith("3 more of this kind (drift) were held back before this.")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("key hunter2 refused", "key *** refused"),
        ("postgresql://me:pass@db:5432/x is down", "postgresql://***@db:5432/x is down"),
        (
            "GET https://a.example/v3/x?key=abc&part=id",
            "GET https://a.example/v3/x?key=***&part=id",
        ),
        ("No such file: '/srv/me/state/live/x.parquet'", "No such file: '.../x.parquet'"),
        ("sqlite:////srv/state/mlflow.db is locked", ".../mlflow.db is locked"),
        ("see http://127.0.0.1:3000/runs/1/2", "see http://127.0.0.1:3000/runs/1/2"),
        ("bitcoin_close/raw_btc and 1/2", "bitcoin_close/raw_btc and 1/2"),
    ],
)
def test_secrets_credentials_and_folders_are_taken_out(text: str, shown: str) -> None:
    assert redact(text, settings(naver_client_secret="hunter2")) == shown


def test_a_link_holds_no_credentials() -> None:
    told = event(mlflow_run_id="m1")
    shown = compose(told, settings(mlflow_tracking_uri="https://me:pass@mlflow.example")).as_slack()
    assert "<https://mlflow.example/#/runs/m1|MLflow run>" in shown
