from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from mlops_assets_tests.serving.bad_input import NOTHING, PROTOCOL, SERVER, BadInput
from mlops_assets_tests.serving.bad_input_page import PAGE, TABLE, page
from mlops_assets_tests.serving.published import NOW, World
from mlops_assets_tests.serving.running import started
from mlops_assets_tests.serving.whole_world import add_admin, whole_service, whole_world
from mlops_assets_tests.serving.wire import ADMIN, PREDICT, Answer, ask, exchange, get, read_answer
from serving.access.keys import Role, add_key
from serving.settings import ServingSettings

LATEST = "/v1/forecasts/bitcoin_close/latest"


@dataclass
class Services:
    """A service that has everything and one that has nothing, and keys of the first."""

    whole: httpx.Client
    empty: httpx.Client
    secrets: tuple[str, ...]
    keys: dict[bytes, bytes]

    def filled(self, request: bytes) -> bytes:
        """A request with keys in the place of their names."""
        for name, key in self.keys.items():
            request = request.replace(name, key)
        return request

    def ask(self, row: BadInput) -> Answer:
        """The answer to one kind of bad input."""
        client = self.whole if row.service == "whole" else self.empty
        return ask(port_of(client), self.filled(row.request))


def port_of(client: httpx.Client) -> int:
    """The port of a client's service."""
    port = client.base_url.port
    assert port is not None
    return port


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Iterator[Services]:
    """Both services, for all rows of the table."""
    folder = tmp_path_factory.mktemp("bad")
    world = whole_world(folder / "whole", empty_registry)
    keys = {
        ADMIN: add_admin(world).encode(),
        PREDICT: add_key(world.settings.keys, "reader", Role.PREDICT, now=NOW).encode(),
    }
    bare = World.create(folder / "empty" / "home", empty_registry)
    hasty = ServingSettings(home=bare.home, api_poll_seconds=0.03, api_timeout_seconds=0.5)
    with whole_service(world) as whole, started(bare, settings=hasty) as empty:
        secrets = ("Traceback", str(folder), str(Path(__file__).parents[2]))
        yield Services(whole, empty, secrets, keys)


def kind_of(answer: Answer) -> str:
    """A problem's code, or one of the other forms of an error."""
    match answer.headers.get("content-type", ""):
        case _ if not answer.body:
            return NOTHING
        case "application/problem+json":
            return str(answer.json()["type"]).removeprefix("/docs#")
        case "application/json":
            assert set(answer.json()) == {"error"}
            return PROTOCOL
        case _:
            return SERVER


def words_of(answer: Answer) -> str:
    """What an answer says to people."""
    if kind_of(answer) in {SERVER, NOTHING}:
        return answer.text
    document = answer.json()
    return str(document.get("detail") or document.get("error"))


@pytest.mark.parametrize("row", TABLE, ids=[row.what for row in TABLE])
def test_bad_input_gets_its_answer_and_the_service_goes_on(
    services: Services, row: BadInput
) -> None:
    answer = services.ask(row)
    assert (answer.status, kind_of(answer)) == (row.status, row.kind), answer.text
    assert row.says in words_of(answer)
    assert len(answer.body) < 5000
    shown = f"{answer.headers}{answer.text}"
    assert [secret for secret in services.secrets if secret in shown] == []
    assert services.whole.get(LATEST).status_code == 200


def test_the_table_has_every_kind_once_and_no_fault_of_the_service() -> None:
    assert len({row.what for row in TABLE}) == len({row.request for row in TABLE}) == len(TABLE)
    assert len(TABLE) >= 150
    assert {row.status for row in TABLE if row.status >= 500} == {503}
    assert [row.kind for row in TABLE if row.status >= 500] == ["not-ready"]


def test_requests_that_do_not_wait_for_answers_are_answered_in_their_order(
    services: Services,
) -> None:
    first = get("/health/live", Connection="keep-alive")
    received = exchange(port_of(services.whole), first + get("/v1/nope"))
    assert [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]] == [b"200", b"404"]


def test_rubbish_behind_a_request_ends_its_connection_and_no_other(services: Services) -> None:
    received = exchange(
        port_of(services.whole), get(LATEST, Connection="keep-alive") + b"x\r\n\r\n"
    )
    assert read_answer(received).status == 400
    assert services.whole.get(LATEST).status_code == 200


def test_a_preflight_of_another_site_is_given_no_leave(services: Services) -> None:
    sent = get(LATEST, Origin="https://forecasts.example", Access_Control_Request_Method="GET")
    answer = ask(port_of(services.whole), sent.replace(b"GET", b"OPTIONS", 1))
    assert answer.status == 401
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_the_page_is_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "write it: .venv/bin/python -m mlops_assets_tests.serving.bad_input_page"
    )
