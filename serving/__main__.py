"""`python -m serving`: run the service with the settings of this process, or keep its API keys.

Here: the command, the server's options and its worker processes. Not here: the application (`app`)
and what `keys` does (`access.command`). With several workers this process only watches over them,
so it loads nothing of the application; each worker holds models and a prediction log of its own.

On SIGTERM or Ctrl-C the service takes no new connections, finishes the requests under way within
`STOP_SECONDS`, and then writes the waiting rows of the prediction log (`PredictionLog.close`).
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from typing import Any, Final

from serving.settings import ServingSettings, ServingSettingsError, load_serving_settings

STOP_SECONDS: Final = 10
"""Requests under way may take so long after the service was asked to stop."""
KEEP_ALIVE_SECONDS: Final = 30
"""An idle connection is closed after this time."""
_FACTORY: Final = "serving.app:app_from_environment"
_HTTP: Final = "serving.bounded_http:BoundedHttp"


def main(arguments: Sequence[str]) -> int:
    """Serve until interrupted, or do what the arguments say; returns the exit status."""
    try:
        settings = load_serving_settings()
    except ServingSettingsError as error:
        print(error, file=sys.stderr)
        return 2
    if arguments and arguments[0] == "keys":
        return _keep_keys(arguments[1:], settings)
    if arguments:
        print(
            f"{' '.join(arguments)}: the command takes no arguments, or `keys add NAME`, "
            "`keys list`, `keys revoke NAME`; settings are MLOPS_* variables",
            file=sys.stderr,
        )
        return 2
    if settings.api_workers == 1:
        _serve(settings)
    else:
        _serve_with_workers(settings)
    return 0


def _keep_keys(arguments: Sequence[str], settings: ServingSettings) -> int:
    from serving.access.command import run
    from serving.dependencies import utc_now

    return run(arguments, path=settings.keys, now=utc_now())


def _serve(settings: ServingSettings) -> None:
    import uvicorn

    uvicorn.run(_FACTORY, factory=True, **server_options(settings))


def _serve_with_workers(settings: ServingSettings) -> None:
    from serving.worker_metrics import FOLDER_VARIABLE

    # Made fresh at each start: figures of an earlier run would be added to this one's.
    with tempfile.TemporaryDirectory(prefix="serving-metrics-") as folder:
        os.environ[FOLDER_VARIABLE] = folder
        _serve(settings)


def server_options(settings: ServingSettings) -> dict[str, Any]:
    """How uvicorn runs the service."""
    from serving.structured_logs import log_configuration

    return {
        "host": settings.host,
        "port": settings.api_port,
        "workers": settings.api_workers,
        "loop": "uvloop",
        "http": _HTTP,
        "ws": "none",
        "lifespan": "on",
        "log_config": log_configuration(settings.api_log),
        "access_log": False,
        "server_header": False,
        # The peer of the socket decides who is local; a header must not.
        "proxy_headers": False,
        "timeout_keep_alive": KEEP_ALIVE_SECONDS,
        "timeout_graceful_shutdown": STOP_SECONDS,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
