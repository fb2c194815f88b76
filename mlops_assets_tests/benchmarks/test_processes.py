from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from benchmarks.serving.peer_services import hello
from benchmarks.serving.processes import HOST, Service, ServiceEndedError, ask, free_port
from mlops_assets_tests.serving.running import until


def has_answered(service: Service) -> bool:
    return ask(service.port, "POST", "/", b"{}").status == 200


def is_dead(process: Path) -> bool:
    """Gone, or dead and not yet collected."""
    if not process.exists():
        return True
    return (process / "stat").read_text().rpartition(")")[2].split()[0] in {"X", "Z"}


def test_a_service_is_watched_while_it_runs_and_gone_after_its_block(tmp_path: Path) -> None:
    with hello().start(tmp_path) as service:
        service.until(lambda: has_answered(service), what="hello answers")
        reply = ask(service.port, "POST", "/", b"{}")
        assert reply.body == b'{"hello":"world"}'
        assert reply.headers["content-type"] == "application/json"
        assert len(service.members) == 1
        assert 5 < service.own_memory_mb < 500
        assert 5 < service.memory_mb < 500
        assert service.cpu_seconds > 0
        assert service.open_files > 3
    assert service.ended
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, service.port))


def test_children_of_a_service_are_counted_and_end_with_it(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', "
        "'import time; time.sleep(600)']); print(child.pid, flush=True); child.wait()"
    )
    command = [sys.executable, "-c", program]
    with Service(command, port=free_port(), environment={}, folder=tmp_path) as service:
        service.until(lambda: len(service.members) == 2, what="the child lives")
        child = Path("/proc", str(service.members[1]))
    until(lambda: is_dead(child), what="the child is dead")


def test_a_service_that_ends_early_is_reported_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such model')"]
    with (
        Service(command, port=free_port(), environment={}, folder=tmp_path) as service,
        pytest.raises(ServiceEndedError, match=r"it answers(.|\n)*no such model"),
    ):
        service.until(lambda: has_answered(service), what="it answers")
