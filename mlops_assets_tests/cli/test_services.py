from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from mlops_assets.cli.services import answers, dagster_services, fetch, first_services
from mlops_assets.settings import Settings


class Answer(BaseHTTPRequestHandler):
    """Answers 200 to `/well`, 503 to the rest."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/well" else 503)
        self.end_headers()
        self.wfile.write(b"body")

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


@pytest.fixture
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_only_status_200_counts_as_an_answer(address: str) -> None:
    assert fetch(f"{address}/well") == b"body"
    assert fetch(f"{address}/ill") is None


def test_loopback_is_called_past_a_configured_proxy(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert answers(f"{address}/well")


def test_everything_listens_on_the_configured_host_and_ports(
    settings: Settings, tmp_path: Path
) -> None:
    commands = {
        s.name: " ".join(s.command)
        for s in (*first_services(settings, tmp_path), *dagster_services(settings, tmp_path))
    }
    assert list(commands) == [
        *("Dagster code server", "MLflow", "API", "dashboard", "Dagster page", "Dagster daemon")
    ]
    assert f"--host 127.0.0.1 --port {settings.mlflow_port}" in commands["MLflow"]
    assert f"--host 127.0.0.1 --port {settings.dagster_port}" in commands["Dagster page"]
    assert f"--socket {tmp_path}/code.sock" in commands["Dagster code server"]
    assert "--port" not in commands["Dagster code server"]


def test_page_and_daemon_share_the_code_server(settings: Settings, tmp_path: Path) -> None:
    page, daemon = dagster_services(settings, tmp_path)
    (workspace,) = {c[c.index("--workspace") + 1] for c in (page.command, daemon.command)}
    document = yaml.safe_load(Path(workspace).read_text(encoding="utf-8"))
    assert document == {
        "load_from": [
            {
                "grpc_server": {
                    "socket": str(tmp_path / "code.sock"),
                    "location_name": "mlops_assets",
                }
            }
        ]
    }


def test_an_mlflow_server_elsewhere_is_not_started(settings: Settings, tmp_path: Path) -> None:
    remote = settings.model_copy(update={"mlflow_tracking_uri": "http://mlflow:5000"})
    assert [s.name for s in first_services(remote, tmp_path)] == [
        *("Dagster code server", "API", "dashboard")
    ]


def test_each_service_logs_to_its_own_file_of_the_namespace(
    settings: Settings, tmp_path: Path
) -> None:
    logs = [s.log for s in first_services(settings, tmp_path)]
    assert [log.name for log in logs] == [
        *("dagster-code-server.log", "mlflow.log", "api.log", "dashboard.log")
    ]
    assert {log.parent for log in logs} == {settings.namespace / "logs"}
