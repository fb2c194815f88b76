from __future__ import annotations

import json
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mlops_assets.cli import problems, stores
from mlops_assets.cli.main import app
from mlops_assets.cli.ports import service_ports
from mlops_assets.cli.summary import RunFailed
from mlops_assets.settings import Settings
from mlops_assets_tests.cli.conftest import FakeRun

runner = CliRunner()


@pytest.fixture
def prepared(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The stores' preparation, replaced: it has its own tests and costs seconds."""
    calls: list[Settings] = []
    monkeypatch.setattr(stores, "prepare", lambda given, _progress: calls.append(given))
    assert settings.data == "sample"
    return calls


def test_help_names_the_commands_without_importing_anything_heavy() -> None:
    code = (
        "import sys; from mlops_assets.cli.main import app; "
        "heavy = {'dagster', 'mlflow', 'polars', 'sklearn', 'matplotlib', 'pyarrow'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    shown = runner.invoke(app, ["--help"])
    assert shown.exit_code == 0
    for command in ("up", "run", "status", "doctor", "new", "reset"):
        assert f" {command} " in shown.stdout


def test_run_prints_leaderboard_verdict_and_forecast(
    fake_run: FakeRun, prepared: list[Settings]
) -> None:
    shown = runner.invoke(app, ["run", "bitcoin_close"])
    assert shown.exit_code == 0
    assert len(prepared) == 1
    assert fake_run.calls == [("bitcoin_close", None, None)]
    for text in ("ridge *", "276.67", "12,096", "verdict: promote", "[p = 0.0004]", "104,500.25"):
        assert text in shown.stdout
    assert "materialising raw_btc" in shown.stderr


def test_run_prints_how_the_champions_band_fared_and_no_p_value_of_zero(
    fake_run: FakeRun, prepared: list[Settings]
) -> None:
    shown = runner.invoke(app, ["run", "bitcoin_close"])
    assert "champion's band: coverage 90.1%, worst week 83.9%." in shown.stdout
    assert "<0.0001" in shown.stdout
    assert len(prepared) == 1


def test_run_json_puts_json_and_nothing_else_on_standard_output(
    fake_run: FakeRun, prepared: list[Settings]
) -> None:
    shown = runner.invoke(
        app,
        [
            *("run", "bitcoin_close", "--json"),
            *("--as-of", "2025-06-19T00:00Z", "--evaluate-from", "2024-02-01"),
        ],
    )
    assert shown.exit_code == 0
    assert fake_run.calls == [("bitcoin_close", "2025-06-19T00:00Z", "2024-02-01")]
    document = json.loads(shown.stdout)
    assert list(document) == [
        *("problem", "as_of", "leaderboard", "verdict", "champion", "forecast")
    ]
    assert document["as_of"] == "2025-06-19T00:00:00Z"
    assert document["leaderboard"][1] == {
        "candidate": "last_value",
        "mae": 276.67,
        "rmse": 428.49,
        "n": 12096,
        "skill": None,
        "p_value": None,
        "coverage": None,
        "worst_week_coverage": None,
        "winkler": None,
        "winkler_unit": "bp",
        "by_lead": {
            "1": {"mae": 276.67, "rmse": 428.49, "n": 12096, "coverage": None, "winkler": None}
        },
    }
    assert document["verdict"]["decision"] == "promote"
    assert document["champion"] == {
        "candidate": "ridge",
        "version": "3",
        "run_id": "abc",
        "data_version": "d1",
    }
    assert "a library that prints" in shown.stderr
    assert len(prepared) == 1


def test_json_leaves_a_missing_forecast_out(fake_run: FakeRun, prepared: list[Settings]) -> None:
    fake_run.outcome = fake_run.outcome.model_copy(update={"forecast": None})
    shown = runner.invoke(app, ["run", "bitcoin_close", "--json"])
    assert "forecast" not in json.loads(shown.stdout)
    assert len(prepared) == 1


def test_a_failed_run_exits_1_with_its_message(fake_run: FakeRun, prepared: list[Settings]) -> None:
    fake_run.error = RunFailed("check btc_duplicates failed: 1 row twice; correct the file")
    shown = runner.invoke(app, ["run", "bitcoin_close"])
    assert shown.exit_code == 1
    assert "1 row twice" in shown.stderr
    assert "Traceback" not in shown.stderr
    assert len(prepared) == 1


def test_an_unknown_problem_exits_2_and_prepares_nothing(
    fake_run: FakeRun, prepared: list[Settings]
) -> None:
    shown = runner.invoke(app, ["run", "bitcoin_clsoe"])
    assert shown.exit_code == 2
    assert "there is no problem 'bitcoin_clsoe'" in shown.stderr
    assert (prepared, fake_run.calls) == ([], [])


def test_an_instant_without_zone_exits_2(fake_run: FakeRun, prepared: list[Settings]) -> None:
    shown = runner.invoke(app, ["run", "bitcoin_close", "--as-of", "2025-06-19T00:00"])
    assert shown.exit_code == 2
    assert "has no time zone" in shown.stderr
    assert (prepared, fake_run.calls) == ([], [])


def test_a_setting_that_cannot_be_used_exits_2(
    fake_run: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_DATA", "lvie")
    shown = runner.invoke(app, ["run", "bitcoin_close"])
    assert shown.exit_code == 2
    assert "MLOPS_DATA='lvie'" in shown.stderr
    assert fake_run.calls == []


def test_up_names_a_taken_port_before_it_does_anything(
    fake_run: FakeRun, prepared: list[Settings], settings: Settings
) -> None:
    api = service_ports(settings)[2]
    with closing(socket.create_server((settings.host, api.number))):
        shown = runner.invoke(app, ["up"])
    assert shown.exit_code == 2
    assert f"set {api.variable} to a free port" in shown.stderr
    assert (prepared, fake_run.calls) == ([], [])


def test_status_of_an_empty_home_says_so(fake_run: FakeRun, settings: Settings) -> None:
    shown = runner.invoke(app, ["status"])
    assert shown.exit_code == 0
    assert "none yet" in shown.stdout
    assert str(settings.api_port) in shown.stdout
    assert "MLOPS_API_PORT" in shown.stdout
    assert fake_run.calls == []


def test_new_prints_or_writes_and_refuses_the_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops_assets.cli.new.write_problem.__defaults__", (tmp_path,))
    printed = runner.invoke(app, ["new", "ether_close", "--print"])
    assert printed.stdout.startswith("# ether_close")
    assert list(tmp_path.iterdir()) == []
    assert runner.invoke(app, ["new", "ether_close"]).exit_code == 0
    assert "ether_close" in problems.problem_files(tmp_path)
    again = runner.invoke(app, ["new", "ether_close"])
    assert again.exit_code == 2
    assert "never overwrites" in again.stderr


@pytest.fixture
def filled(settings: Settings) -> Settings:
    """A namespace with a file in it, beside another data mode's."""
    for mode in (settings.namespace, settings.namespace.with_name("live")):
        (mode / "storage").mkdir(parents=True)
        (mode / "storage" / "table.parquet").write_bytes(b"x" * 2_000_000)
    return settings


def test_reset_names_what_goes_and_keeps_it_without_a_yes(filled: Settings) -> None:
    shown = runner.invoke(app, ["reset"], input="n\n")
    assert shown.exit_code == 1
    assert "storage" in shown.stdout
    assert "2.0 MB" in shown.stdout
    assert (filled.namespace / "storage" / "table.parquet").exists()


@pytest.mark.parametrize(("arguments", "answer"), [(["reset"], "y\n"), (["reset", "--yes"], "")])
def test_reset_deletes_only_the_namespace_of_the_data_mode(
    filled: Settings, arguments: list[str], answer: str
) -> None:
    shown = runner.invoke(app, arguments, input=answer)
    assert shown.exit_code == 0
    assert not filled.namespace.exists()
    assert (filled.namespace.with_name("live") / "storage" / "table.parquet").exists()


def test_reset_refuses_while_a_service_answers(filled: Settings) -> None:
    port = service_ports(filled)[0]
    with closing(socket.create_server((filled.host, port.number))):
        shown = runner.invoke(app, ["reset", "--yes"])
    assert shown.exit_code == 2
    assert f"Dagster on port {port.number} answers" in shown.stderr
    assert filled.namespace.exists()


def test_reset_of_nothing_says_so(settings: Settings) -> None:
    shown = runner.invoke(app, ["reset", "--yes"])
    assert shown.exit_code == 0
    assert f"{settings.namespace} holds nothing" in shown.stdout.replace("\n", "")
