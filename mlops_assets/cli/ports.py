"""Ports of the services: which setting moves each, whether it is free, whether it answers.

Here: sockets only. Not here: the processes behind the ports (`cli.services`).
"""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

from mlops_assets.settings import Settings, reachable_host


class PortsTaken(RuntimeError):  # noqa: N818 - it reads as what happened
    """A service cannot listen; the message names port, service, setting and remedy."""


@dataclass(frozen=True)
class Port:
    """One port with the service that listens there and the variable that moves it."""

    service: str
    number: int
    variable: str


def service_ports(settings: Settings) -> tuple[Port, ...]:
    """The ports that `mlops up` listens on; an MLflow server elsewhere needs none here."""
    ports = [
        Port("Dagster", settings.dagster_port, "MLOPS_DAGSTER_PORT"),
        Port("MLflow", settings.mlflow_port, "MLOPS_MLFLOW_PORT"),
        Port("the API", settings.api_port, "MLOPS_API_PORT"),
        Port("the dashboard", settings.dashboard_port, "MLOPS_DASHBOARD_PORT"),
    ]
    if mlflow_is_elsewhere(settings):
        del ports[1]
    return tuple(ports)


def mlflow_is_elsewhere(settings: Settings) -> bool:
    """Whether the tracking address is a running server's, not a store's."""
    return settings.tracking_uri.startswith(("http://", "https://"))


def ensure_free(settings: Settings) -> None:
    """Check that every port can be listened on.

    Raises:
        PortsTaken: a port is in use, named twice, or not allowed; one line each.
    """
    faults = []
    seen: dict[int, Port] = {}
    for port in service_ports(settings):
        if port.number in seen:
            faults.append(
                f"{port.variable}={port.number} is also {seen[port.number].variable}; "
                "each service needs a port of its own: change one of them"
            )
        elif problem := _why_not(settings.host, port.number):
            faults.append(
                f"{port.service} cannot use port {port.number}: {problem}, "
                f"or set {port.variable} to a free port"
            )
        seen[port.number] = port
    if faults:
        raise PortsTaken("\n".join(faults))


def answering(settings: Settings) -> tuple[Port, ...]:
    """The ports on which something accepts connections now."""
    found = []
    for port in service_ports(settings):
        try:
            with socket.create_connection((reachable_host(settings.host), port.number), timeout=1):
                found.append(port)
        except OSError:
            continue
    return tuple(found)


def _why_not(host: str, number: int) -> str | None:
    """Why `host:number` cannot be listened on, and half of the remedy; None if it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the servers do: a port whose last connections are only winding down is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return f"something listens on {host}:{number} already; stop it"
            if error.errno == errno.EACCES:
                return "this user may not listen there; run as one who may"
            return f"{host} is no address of this machine ({error}); correct MLOPS_HOST"
    return None
