"""The processes of `mlops up`: their commands, logs and health.

Dagster runs as three: the code server loads the definitions once, for the page and the daemon
alike. `dagster dev` adds two more processes for reloading code and takes half as long again to
start (measured: 8.6 s against 5.2 s, 622 MB against 402 MB); a restart of `mlops up` reloads too.
Not here: how processes are started and ended (`cli.supervisor`).
"""

from __future__ import annotations

import json
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final

import yaml

from mlops_assets.cli.ports import mlflow_is_elsewhere
from mlops_assets.cli.stores import tool_environment
from mlops_assets.cli.supervisor import Service
from mlops_assets.settings import Settings, base_url

CODE_SERVER: Final = "Dagster code server"
LOCATION: Final = "mlops_assets"
"""Name of the code location: as in `workspace.yaml` and `pyproject.toml`."""

_CALL_SECONDS: Final = 5.0
_DAEMONS: Final = """{ instance { daemonHealth { allDaemonStatuses { required healthy } } } }"""
# Loopback is never reached through a proxy, whatever the environment says.
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def first_services(settings: Settings, scratch: Path) -> list[Service]:
    """What starts at once: code server, MLflow (unless elsewhere), API and dashboard."""
    services = [_code_server(settings, scratch), _api(settings), _dashboard(settings)]
    if not mlflow_is_elsewhere(settings):
        services.insert(1, _mlflow(settings))
    return services


def dagster_services(settings: Settings, scratch: Path) -> list[Service]:
    """What starts once the code server answers: Dagster's page and its daemon."""
    workspace = scratch / "workspace.yaml"
    target = {"socket": str(_socket(scratch)), "location_name": LOCATION}
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": target}]}), encoding="utf-8")
    url = base_url(settings.host, settings.dagster_port)
    page = _python(
        *("dagster_webserver", "--workspace", str(workspace)),
        *("--host", settings.host, "--port", str(settings.dagster_port)),
    )
    daemon = _python("dagster._daemon", "run", "--workspace", str(workspace))
    return [
        _service(settings, "Dagster page", page, lambda: answers(f"{url}/server_info")),
        _service(settings, "Dagster daemon", daemon, lambda: _daemons_are_healthy(url)),
    ]


def first_run(settings: Settings, problem: str) -> Service:
    """A run of a problem's whole loop in a process of its own, which ends by itself."""
    command = _python("mlops_assets.cli.main", "run", problem)
    return _service(settings, f"first run of {problem}", command, lambda: True)


def answers(url: str) -> bool:
    """Whether a GET of `url` gives status 200 now."""
    return fetch(url) is not None


def fetch(url: str, body: bytes | None = None) -> bytes | None:
    """The answer's body to a GET, or a POST of JSON; None for any status but 200, or no answer."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with _DIRECT.open(request, timeout=_CALL_SECONDS) as response:
            return bytes(response.read()) if response.status == 200 else None
    except (urllib.error.URLError, OSError):
        return None


def _code_server(settings: Settings, scratch: Path) -> Service:
    # A socket in a private folder: the code server runs whatever it is asked to, so no port.
    path = _socket(scratch)
    command = _python(
        *("dagster", "api", "grpc", "--socket", str(path)),
        *("--module-name", f"{LOCATION}.definitions", "--location-name", LOCATION),
    )
    return _service(settings, CODE_SERVER, command, lambda: _accepts(path))


def _mlflow(settings: Settings) -> Service:
    command = _python(
        *("mlflow", "server", "--workers", "1"),
        *("--backend-store-uri", settings.tracking_uri),
        *("--default-artifact-root", settings.artifact_uri, "--no-serve-artifacts"),
        *("--host", settings.host, "--port", str(settings.mlflow_port)),
    )
    url = base_url(settings.host, settings.mlflow_port)
    # The job runner would add eight helper processes that nothing here uses.
    extra = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return _service(settings, "MLflow", command, lambda: answers(f"{url}/health"), extra)


def _api(settings: Settings) -> Service:
    # Alive is enough: a model that cannot be loaded must not keep Dagster's page from opening.
    url = f"{settings.api_page}/health/live"
    return _service(settings, "API", _python("serving"), lambda: answers(url))


def _dashboard(settings: Settings) -> Service:
    # Alive is enough: its pages say themselves what to do while the API does not answer.
    url = f"{settings.dashboard_page}/_stcore/health"
    return _service(settings, "dashboard", _python("dashboard"), lambda: answers(url))


def _service(
    settings: Settings,
    name: str,
    command: tuple[str, ...],
    is_healthy: Callable[[], bool],
    extra: dict[str, str] | None = None,
) -> Service:
    log = settings.namespace / "logs" / f"{name.lower().replace(' ', '-')}.log"
    environment = {**tool_environment(settings), "PYTHONUNBUFFERED": "1", **(extra or {})}
    return Service(name, command, log, is_healthy, environment)


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)


def _socket(scratch: Path) -> Path:
    return scratch / "code.sock"


def _accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _daemons_are_healthy(url: str) -> bool:
    answer = fetch(f"{url}/graphql", json.dumps({"query": _DAEMONS}).encode())
    if answer is None:
        return False
    statuses = json.loads(answer)["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
    return all(status["healthy"] for status in statuses if status["required"])
