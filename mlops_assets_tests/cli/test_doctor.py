from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import stamina
from rich.console import Console
from typer.testing import CliRunner

from mlops_assets.cli import doctor, problems
from mlops_assets.cli.doctor import Finding, examine, findings_table
from mlops_assets.cli.main import app
from mlops_assets.cli.stores import mlflow_schema_head
from mlops_assets.settings import DataMode, Settings
from mlops_assets_tests.ingestion.searches import (
    JANUARY,
    KEYS,
    KEYWORDS,
    DataLab,
    channel_source,
    kst,
    share_source,
    video_site,
)
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


def shares_and_channels(
    monkeypatch: pytest.MonkeyPatch,
    *,
    share: Mapping[str, object] | None = None,
    channels: Mapping[str, object] | None = None,
) -> None:
    """Replace the problems by one of a panel of shares and a source of channels."""
    sources = {
        "share": share_source(**(share or {})),
        "videos": channel_source(**(channels or {})),
    }
    monkeypatch.setattr(doctor, "problem_files", lambda: {"drinks": Path("drinks")})
    monkeypatch.setattr(doctor, "load_problem", lambda _: SimpleNamespace(sources=sources))


def drinks(settings: Settings) -> tuple[Finding, Finding]:
    share, videos, *_ = examine(settings, ["drinks"], now=kst(20, hour=10))
    return share, videos


def test_sampled_shares_and_channels_are_counted_in_their_own_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shares_and_channels(
        monkeypatch,
        share={"sample": {"start": JANUARY}},
        channels={"sample": {"start": JANUARY, "subscribers": 27_500}},
    )

    share, videos = drinks(Settings(data="sample", home=tmp_path))

    assert (share.state, videos.state) == ("fine", "fine")
    # Six whole days of 36 series in the week before 10 o'clock, seven midnights of three.
    assert share.told == "216 values of 36 series, the newest ends 2024-01-19 15:00:00+00:00"
    assert videos.told == "21 snapshots of 3 series, the newest is of 2024-01-20 00:00:00+00:00"


def test_live_shares_and_channels_are_tried_and_the_quota_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = KEYS.model_copy(update={"data": "live", "home": tmp_path})
    with running(DataLab(kst(20, hour=10))) as lab, running(video_site) as site:
        shares_and_channels(
            monkeypatch,
            share={"live": {"kind": "naver", "keyword_groups": KEYWORDS, "base_url": lab.url}},
            channels={"live": {"kind": "youtube", "queries": ["water"], "base_url": site.url}},
        )
        share, videos = drinks(settings)

    assert share.told == "216 values of 36 series, the newest ends 2024-01-19 15:00:00+00:00"
    assert videos.told == (
        "4 snapshots of 4 series, the newest is of 2024-01-20 01:00:00+00:00; "
        "videos: the snapshot cost 102 of the day's 10,000 units"
    )
    assert len(lab.calls) == 12


def test_a_live_service_without_its_key_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shares_and_channels(
        monkeypatch,
        share={"live": {"kind": "naver", "keyword_groups": KEYWORDS}},
        channels={"live": {"kind": "youtube", "queries": ["water"]}},
    )

    share, videos = drinks(Settings(data="live", home=tmp_path))

    assert (share.state, videos.state) == ("broken", "weak")
    assert "set it in the environment or in `.env`" in share.told
    assert "MLOPS_NAVER_CLIENT_ID is not set" in share.told
    assert "MLOPS_YOUTUBE_API_KEY is not set" in videos.told


@pytest.mark.parametrize("mode", ["sample", "live"])
def test_a_source_without_an_entry_for_the_data_mode_names_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: DataMode
) -> None:
    shares_and_channels(monkeypatch)

    share, videos = drinks(Settings(data=mode, home=tmp_path))

    assert (share.state, videos.state) == ("broken", "weak")
    assert f"sources.share.{mode} is missing" in share.told
    assert f"sources.videos.{mode} is missing" in videos.told


def test_files_of_shares_and_channels_are_read_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "shares.csv").write_text(
        "day,brand,gender,age_group,value\n2024-01-01,링티,male,20대,40.0\n", encoding="utf-8"
    )
    (tmp_path / "channels.csv").write_text(
        "day,channel_id,subscribers,views,videos\n20240102,c1,900,10,1\n", encoding="utf-8"
    )
    entry = {"time_column": "day", "time_zone": "Asia/Seoul"}
    shares_and_channels(
        monkeypatch,
        share={"files": [{"path": "shares.csv", **entry}]},
        channels={"files": [{"path": "channels.csv", **entry}]},
    )

    share, videos = drinks(Settings(data="files", data_dir=tmp_path, home=tmp_path))

    assert share.told == "1 value, the newest ends 2024-01-01 15:00:00+00:00"
    assert videos.told == "1 snapshot, the newest is of 2024-01-01 15:00:00+00:00"


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
