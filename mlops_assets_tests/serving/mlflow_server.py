"""Runs a real MLflow server in tests, with its own database and artifact store."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from mlops_assets_tests.serving.published import register_version
from mlops_assets_tests.serving.running import until
from serving.model_files import ModelFiles


@dataclass
class MlflowServer:
    """A server on loopback; its clients see `mlflow-artifacts:` addresses only."""

    address: str
    folder: Path
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """End the server and its worker at once, as a crash does."""
        if self.process.poll() is None:
            # It leads a session of its own, so that its worker ends with it and nobody else does.
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def register(self, files: ModelFiles, name: str) -> str:
        """Log two files through the server and register them as a version; returns its number."""
        from mlflow import MlflowClient

        client = MlflowClient(self.address, registry_uri=self.address)
        return register_version(client, files, name=name, folder=self.folder / "to-log")


@contextmanager
def mlflow_server(folder: Path, database: Path) -> Iterator[MlflowServer]:
    """A server over an MLflow database, with artifacts below a folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{database}", "--workers", "1"]
    command += ["--serve-artifacts", "--artifacts-destination", str(folder / "artifacts")]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=os.environ | quiet,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = MlflowServer(f"http://127.0.0.1:{port}", folder, process)

    def healthy() -> bool:
        assert process.poll() is None, log.read_text(encoding="utf-8")
        try:
            return httpx.get(f"{server.address}/health").status_code == 200
        except httpx.TransportError:
            return False

    try:
        until(healthy, what="the MLflow server answers")
        yield server
    finally:
        server.kill()
