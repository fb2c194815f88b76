from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import stamina
from rich.console import Console
from typer.testing import CliRunner

from mlops_assets.cli import doctor, problems
from mlops_assets.cli.doctor import Finding, examine, findings_table
from mlops_assets.cli.main import app
from mlops_assets.cli.stores import mlflow_schema_head
from mlops_assets.settings import Settings
from mlops_assets_tests.ingestion.services import Answer, Chart, Exchange, Service, running

runner = CliRunner()
NOW = datetime(2025, 5, 9, 12, 30, tzinfo=UTC)


def found(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.what.removeprefix("bitcoin_close: "): finding for finding in findings}


def test_a_fresh_home_on_sample_data_is_fine_and_stays_empty(settings: Settings) -> None:
    shown = runner.invoke(app, ["doctor"])

    assert shown.exit_code == 0, shown.output
    for text in ("bitcoin_close: btc", "fine", "bars, the newest", "MLflow", "the first run"):
        assert text in shown.stdout
    assert not settings.home.exists()


def test_a_missing_data_folder_is_broken_and_names_the_setting(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_DATA", "files")

    shown = runner.invoke(app, ["doctor"])

    assert settings.data == "sample"
    assert shown.exit_code == 1
    assert "broken" in shown.stdout
    assert "MLOPS_DATA_DIR" in shown.stdout


@pytest.fixture
def live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> Iterator[tuple[Settings, Service, Service]]:
    """The shipped problem, its live services replaced by local ones."""
    assert settings.data == "sample"
    with (
        stamina.set_testing(True, attempts=2, cap=True),
        running(Exchange(NOW)) as exchange,
        running(Chart(NOW)) as chart,
    ):
        text = (problems.DEFS / "bitcoin_close" / "defs.yaml").read_text(encoding="utf-8")
        text = text.replace("kind: binance,", f'kind: binance, base_url: "{exchange.url}",')
        text = text.replace("kind: yahoo,", f'kind: yahoo, base_url: "{chart.url}",')
        path = tmp_path / "defs.yaml"
        path.write_text(text, encoding="utf-8")
        monkeypatch.setattr(doctor, "problem_files", lambda: {"bitcoin_close": path})
        yield Settings(data="live", home=tmp_path / "home"), exchange, chart


def test_live_services_that_answer_are_fine(live: tuple[Settings, Service, Service]) -> None:
    settings, exchange, chart = live

    findings = found(examine(settings, ["bitcoin_close"], now=NOW))

    assert {finding.state for finding in findings.values()} == {"fine"}
    assert findings["btc"].told == "167 bars, the newest closes 2025-05-09 12:00:00+00:00"
    assert len(exchange.calls) == 1
    assert {call.path.rpartition("/")[2] for call in chart.calls} == {"QQQ", "^VIX", "GC=F"}


def test_a_dead_target_is_broken_and_a_dead_exogenous_source_is_weak(
    live: tuple[Settings, Service, Service],
) -> None:
    settings, exchange, chart = live
    exchange.usual = lambda _: Answer(418, "banned")
    chart.usual = lambda _: Answer(500, "oops")

    findings = found(examine(settings, ["bitcoin_close"], now=NOW))

    assert (findings["btc"].state, findings["vix"].state) == ("broken", "weak")
    assert "banned this address" in findings["btc"].told


def test_a_source_that_delivers_nothing_is_told(live: tuple[Settings, Service, Service]) -> None:
    settings, _, _ = live

    findings = found(examine(settings, ["bitcoin_close"], now=NOW + timedelta(days=60)))

    assert findings["btc"].state == "broken"
    assert "no bar opens from 2025-07-01 on" in findings["btc"].told


def test_a_store_that_cannot_be_written_is_broken_and_names_the_setting(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder", encoding="utf-8")
    settings = Settings(data="sample", home=tmp_path / "home", storage_uri=str(blocked))

    finding = found(examine(settings, [], now=NOW))["tables and snapshots"]

    assert finding.state == "broken"
    assert "set MLOPS_STORAGE_URI" in finding.told


def test_a_store_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    settings = Settings(data="sample", home=tmp_path / "home")
    Path(settings.storage).mkdir(parents=True)

    finding = found(examine(settings, [], now=NOW))["tables and snapshots"]

    assert finding.told.endswith(": writable")
    assert list(Path(settings.storage).iterdir()) == []


def test_mlflow_stores_are_reached_or_told(tmp_path: Path) -> None:
    home = tmp_path / "home"
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.execute("INSERT INTO alembic_version VALUES (?)", [mlflow_schema_head()])
        database.commit()
    ready = Settings(data="sample", home=home, mlflow_tracking_uri=store)
    (tmp_path / "rubbish.db").write_text("no database at all, and long enough" * 50)
    rubbish = ready.model_copy(
        update={"mlflow_tracking_uri": f"sqlite:///{tmp_path / 'rubbish.db'}"}
    )

    assert found(examine(ready, [], now=NOW))["MLflow"].told.endswith(": reachable")
    finding = found(examine(rubbish, [], now=NOW))["MLflow"]
    assert finding.state == "broken"
    assert "correct MLOPS_MLFLOW_TRACKING_URI" in finding.told


def test_an_mlflow_server_is_asked_for_its_health(tmp_path: Path) -> None:
    def told(url: str) -> Finding:
        settings = Settings(data="sample", home=tmp_path, mlflow_tracking_uri=url)
        return found(examine(settings, [], now=NOW))["MLflow"]

    with running(lambda _: Answer(content="OK")) as service:
        healthy = told(service.url)
        assert [call.path for call in service.calls] == ["/health"]
    gone = told(service.url.replace("://", "://user:pass@"))

    assert (healthy.state, gone.state) == ("fine", "broken")
    assert "does not answer (ConnectError)" in gone.told
    assert "pass" not in gone.told


def test_brackets_in_a_message_are_shown_as_they_are() -> None:
    console = Console(width=100, record=True)
    console.print(findings_table([Finding("btc", "broken", "answered [500]; try [bold] later")]))

    assert "answered [500]; try [bold] later" in console.export_text()
