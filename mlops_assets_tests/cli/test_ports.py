from __future__ import annotations

import socket
from contextlib import closing

import pytest

from mlops_assets.cli.ports import PortsTaken, answering, ensure_free, service_ports
from mlops_assets.settings import Settings, base_url


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_taken_port_is_named_with_the_setting_that_changes_it(
    settings: Settings, index: int
) -> None:
    port = service_ports(settings)[index]
    with closing(socket.create_server((settings.host, port.number))):
        with pytest.raises(PortsTaken) as caught:
            ensure_free(settings)
        assert answering(settings) == (port,)
    message = str(caught.value)
    assert f"{port.service} cannot use port {port.number}" in message
    assert f"set {port.variable} to a free port" in message
    assert message.count("\n") == 0


def test_free_ports_pass(settings: Settings) -> None:
    ensure_free(settings)
    assert answering(settings) == ()


def test_every_taken_port_is_named_at_once(settings: Settings) -> None:
    dagster, _, api, _ = service_ports(settings)
    with (
        closing(socket.create_server((settings.host, dagster.number))),
        closing(socket.create_server((settings.host, api.number))),
        pytest.raises(PortsTaken, match=r"(?s)MLOPS_DAGSTER_PORT.*MLOPS_API_PORT"),
    ):
        ensure_free(settings)


def test_one_port_for_two_services_is_refused(settings: Settings) -> None:
    same = settings.model_copy(update={"api_port": settings.mlflow_port})
    with pytest.raises(PortsTaken, match="is also MLOPS_MLFLOW_PORT"):
        ensure_free(same)


def test_an_address_of_another_machine_is_refused_by_name(settings: Settings) -> None:
    # 203.0.113.0/24 is reserved for documentation: no machine has it.
    elsewhere = settings.model_copy(update={"host": "203.0.113.7"})
    with pytest.raises(PortsTaken, match="correct MLOPS_HOST"):
        ensure_free(elsewhere)


def test_a_running_mlflow_server_elsewhere_needs_no_port_here(settings: Settings) -> None:
    remote = settings.model_copy(update={"mlflow_tracking_uri": "http://mlflow:5000"})
    assert [port.service for port in service_ports(remote)] == [
        "Dagster",
        "the API",
        "the dashboard",
    ]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("box.local", "http://box.local:80"),
    ],
)
def test_a_service_is_called_at_an_address_that_reaches_it(host: str, address: str) -> None:
    assert base_url(host, 80) == address
