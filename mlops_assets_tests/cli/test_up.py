from __future__ import annotations

import io
import json
import os
import signal
from pathlib import Path

import pytest
from rich.console import Console

from mlops_assets.cli import services, stores, up
from mlops_assets.cli.summary import RunFailed
from mlops_assets.cli.supervisor import Service, ServiceFailed
from mlops_assets.settings import Settings
from mlops_assets_tests.cli.conftest import FakeRun
from mlops_assets_tests.cli.processes import eventually, script, web_server

FORECAST = {
    "problem": "bitcoin_close",
    "series": "btc",
    "origin": "2025-06-19T00:00:00Z",
    "last_observed": "2025-06-19T00:00:00Z",
    "valid_time": "2025-06-19T01:00:00Z",
    "step": 1,
    "point": 104500.25,
    "lower": 103900.0,
    "upper": 105100.5,
    "nominal_coverage": 0.9,
    "unit": "USDT",
}


class Watcher(io.StringIO):
    """A terminal that sends Ctrl-C as soon as a text appears on it."""

    def __init__(self, text: str = "Ctrl-C stops everything") -> None:
        super().__init__()
        self.text = text

    def write(self, shown: str) -> int:
        if self.text in shown:
            os.kill(os.getpid(), signal.SIGINT)
        return super().write(shown)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """What the stand-in for the API answers: readiness and a forecast, as files."""
    folder = tmp_path / "site"
    (folder / "health").mkdir(parents=True)
    (folder / "health" / "ready").write_text("{}", encoding="utf-8")
    (folder / "forecasts" / "bitcoin_close").mkdir(parents=True)
    answer = json.dumps({"forecasts": [FORECAST]})
    (folder / "forecasts" / "bitcoin_close" / "latest").write_text(answer, encoding="utf-8")
    return folder


@pytest.fixture
def small_services(settings: Settings, site: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """File servers in place of the real services; the stores are left unprepared."""
    started: list[str] = []

    def first(given: Settings, scratch: Path) -> list[Service]:
        assert scratch.is_dir()
        started.append("first")
        return [
            script(services.CODE_SERVER, "import time; time.sleep(600)", site, lambda: True),
            web_server("MLflow", given.mlflow_port, site),
            web_server("API", given.api_port, site),
        ]

    def then(given: Settings, _scratch: Path) -> list[Service]:
        started.append("then")
        return [web_server("Dagster page", given.dagster_port, site)]

    monkeypatch.setattr(services, "first_services", first)
    monkeypatch.setattr(services, "dagster_services", then)
    monkeypatch.setattr(stores, "prepare", lambda _settings, _progress: started.append("stores"))
    assert settings.data == "sample"
    return started


def bring_up(settings: Settings, terminal: io.StringIO) -> str:
    up.bring_up(settings, ["bitcoin_close"], Console(file=terminal, width=100))
    return terminal.getvalue()


def test_the_first_start_runs_the_loop_then_serves_until_ctrl_c(
    settings: Settings, fake_run: FakeRun, small_services: list[str]
) -> None:
    shown = bring_up(settings, Watcher())
    assert small_services == ["stores", "first", "then"]
    assert fake_run.calls == [("bitcoin_close", None, None)]
    order = [
        "bitcoin_close has no champion yet",
        "materialising raw_btc",
        "Dagster code server answers after",
        "Dagster page answers after",
        "276.67",
        "verdict: promote",
        f"http://127.0.0.1:{settings.dagster_port}",
        f"http://127.0.0.1:{settings.mlflow_port}",
        f"http://127.0.0.1:{settings.api_port}/docs",
        f"http://127.0.0.1:{settings.dashboard_port}",
        "104,500.25 USDT (band 103,900.00 to 105,100.50)",
        f"curl http://127.0.0.1:{settings.api_port}/forecasts/bitcoin_close/latest",
        "Stopped.",
    ]
    places = [shown.find(text) for text in order]
    assert -1 not in places, dict(zip(order, places, strict=True))
    assert places == sorted(places)


def test_a_start_with_a_champion_runs_nothing(
    settings: Settings, fake_run: FakeRun, small_services: list[str]
) -> None:
    fake_run.published = fake_run.outcome
    shown = bring_up(settings, Watcher())
    assert fake_run.calls == []
    assert small_services == ["stores", "first", "then"]
    assert "verdict: promote" in shown


def test_after_ctrl_c_nothing_answers_any_more(
    settings: Settings, fake_run: FakeRun, small_services: list[str]
) -> None:
    bring_up(settings, Watcher())
    ports = (settings.dagster_port, settings.mlflow_port, settings.api_port)
    assert not [p for p in ports if services.answers(f"http://127.0.0.1:{p}/")]
    assert (len(fake_run.calls), len(small_services)) == (1, 3)


def test_ctrl_c_while_services_start_stops_them(
    settings: Settings, fake_run: FakeRun, small_services: list[str]
) -> None:
    shown = bring_up(settings, Watcher("Starting"))
    assert "Stopped." in shown
    assert "curl" not in shown
    assert len(fake_run.calls) == 1
    assert "first" in small_services


def test_an_api_without_forecast_is_shown_with_where_to_look(
    settings: Settings,
    fake_run: FakeRun,
    small_services: list[str],
    site: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(up, "READY_SECONDS", 0.0)
    (site / "health" / "ready").unlink()
    (site / "forecasts" / "bitcoin_close" / "latest").unlink()
    shown = bring_up(settings, Watcher())
    assert f"no forecast yet; http://127.0.0.1:{settings.api_port}/health tells why" in shown
    assert (len(fake_run.calls), len(small_services)) == (1, 3)


def test_a_failed_loop_starts_no_service(
    settings: Settings, fake_run: FakeRun, small_services: list[str]
) -> None:
    fake_run.error = RunFailed("check btc_recency failed")
    with pytest.raises(RunFailed, match="btc_recency"):
        bring_up(settings, Watcher())
    assert small_services == ["stores"]


def test_a_service_that_dies_stops_the_others(
    settings: Settings,
    fake_run: FakeRun,
    small_services: list[str],
    site: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def dying(_settings: Settings, _scratch: Path) -> list[Service]:
        code = "print('cannot open the instance'); raise SystemExit(2)"
        return [script("Dagster daemon", code, site, lambda: False)]

    monkeypatch.setattr(services, "dagster_services", dying)
    with pytest.raises(ServiceFailed, match=r"(?s)Dagster daemon ended.*cannot open the instance"):
        bring_up(settings, Watcher())
    api = f"http://127.0.0.1:{settings.api_port}/"
    assert eventually(lambda: not services.answers(api))
    assert (len(fake_run.calls), small_services) == (1, ["stores", "first"])


def bring_up_two(settings: Settings, terminal: io.StringIO, *, data: str = "files") -> str:
    given = settings.model_copy(update={"data": data})
    up.bring_up(given, ["bitcoin_close", "second"], Console(file=terminal, width=100))
    return terminal.getvalue()


@pytest.fixture
def second_run(
    fake_run: FakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, int]:
    """The run of a second problem in its own process: its exit code is to be set."""
    outcome = {"code": 0}
    log = tmp_path / "second"

    def task(_settings: Settings, problem: str) -> Service:
        code = f"import pathlib; pathlib.Path({str(log)!r}).touch(); raise SystemExit"
        return script(f"first run of {problem}", f"{code}({outcome['code']})", tmp_path, bool)

    def read(given: Settings, problem: str) -> object:
        if problem == "second":
            renamed = fake_run.outcome.model_copy(update={"problem": "second"})
            return renamed if log.exists() else None
        return FakeRun.read_summary(fake_run, given, problem)

    monkeypatch.setattr(services, "first_run", task)
    monkeypatch.setattr(fake_run, "read_summary", read)
    return outcome


def test_a_second_problem_gets_its_champion_beside_the_services(
    settings: Settings, fake_run: FakeRun, small_services: list[str], second_run: dict[str, int]
) -> None:
    shown = bring_up_two(settings, Watcher("forecasts/second/latest"))

    order = [
        "Dagster page answers after",
        "curl http://127.0.0.1",
        "second has no champion yet: running its whole loop, progress in",
        "second: leaderboard",
        "Stopped.",
    ]
    places = [shown.find(text) for text in order]
    assert -1 not in places, shown
    assert places == sorted(places)
    assert [name for name, *_ in fake_run.calls] == ["bitcoin_close"]


def test_a_second_problem_that_fails_leaves_the_first_served(
    settings: Settings, fake_run: FakeRun, small_services: list[str], second_run: dict[str, int]
) -> None:
    second_run["code"] = 2

    shown = bring_up_two(settings, Watcher("its first run failed (exit code 2"))

    assert "why is told at the end of" in shown
    assert "Stopped." in shown
    assert len(fake_run.calls) == 1


def test_a_second_problem_of_a_mode_with_automation_is_waited_for(
    settings: Settings,
    fake_run: FakeRun,
    small_services: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[str] = []

    def read(given: Settings, problem: str) -> object:
        if problem != "second":
            return FakeRun.read_summary(fake_run, given, problem)
        looks.append(problem)  # automation is done at the fourth look
        renamed = fake_run.outcome.model_copy(update={"problem": "second"})
        return renamed if len(looks) > 3 else None

    monkeypatch.setattr(fake_run, "read_summary", read)

    shown = bring_up_two(settings, Watcher("forecasts/second/latest"), data="sample")

    assert "second has no champion yet: automation runs its loop" in shown
    assert "second: leaderboard" in shown
    assert [name for name, *_ in fake_run.calls] == ["bitcoin_close"]
