from __future__ import annotations

import logging
import socket
from contextlib import closing

import pytest
from pydantic import SecretStr

from mlops_assets.ingestion.http_client import CallBudget, HttpClient, Retries
from mlops_assets.ingestion.sources import SourceError
from mlops_assets_tests.ingestion.services import QUICK, Answer, Call, running

SECRET = "s3cr3t-k3y"


def fine(_: Call) -> Answer:
    return Answer(content={"fine": True})


def client(url: str, retries: Retries = QUICK, budget: CallBudget | None = None) -> HttpClient:
    return HttpClient(
        source="shop",
        base_url=url,
        headers={"X-Key": SecretStr(SECRET)},
        retries=retries,
        budget=budget,
    )


class Pace:
    """Remembers the seconds that servers ask for, and waits none of them."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    def __call__(self, seconds: float) -> float:
        self.asked.append(seconds)
        return 0.0


@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        ({"Retry-After": "7"}, [7.0]),
        (
            {
                "Date": "Sun, 22 Nov 2026 17:00:00 GMT",
                "Retry-After": "Sun, 22 Nov 2026 17:00:42 GMT",
            },
            [42.0],
        ),
        ({"Retry-After": "soon"}, [1.0]),
        ({}, []),
    ],
)
def test_429_is_tried_again_after_the_time_that_the_server_asks_for(
    headers: dict[str, str], waited: list[float]
) -> None:
    pace = Pace()
    retries = Retries(first_pause=0, longest_pause=0, jitter=0, pace=pace)
    with running(fine, Answer(429, "slow down", headers)) as service:
        assert client(service.url, retries).get("/goods", {"page": 2}) == {"fine": True}

    assert pace.asked == waited
    assert [call.params for call in service.calls] == [{"page": "2"}] * 2


def test_a_wait_longer_than_the_whole_patience_ends_at_once() -> None:
    with (
        running(fine, Answer(429, "", {"Retry-After": "3600"})) as service,
        pytest.raises(SourceError, match=r"shop: .*/goods answered 429 and asks to wait 3600"),
    ):
        client(service.url).get("/goods", {})

    assert len(service.calls) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 408])
def test_a_server_in_trouble_is_asked_again(status: int) -> None:
    with running(fine, *[Answer(status, "oops")] * 4) as service:
        assert client(service.url).get("/goods", {}) == {"fine": True}

    assert len(service.calls) == 5


def test_an_answer_in_part_is_asked_for_again_and_told_in_the_end() -> None:
    def lack(answer: object) -> str | None:
        return None if answer == {"fine": True} else "no word; it must be fine"

    with running(fine, Answer(content={})) as service:
        assert client(service.url).post("/goods", {}, lack=lack) == {"fine": True}
        service.first = [Answer(content={})] * 5
        with pytest.raises(
            SourceError, match=r"/goods answered in part: no word; it must .* given"
        ):
            client(service.url).post("/goods", {}, lack=lack)


def test_the_number_of_attempts_is_bounded() -> None:
    with (
        running(lambda _: Answer(500, "oops")) as service,
        pytest.raises(SourceError, match=r"answered 500 \(oops\); given up after at most"),
    ):
        client(service.url).get("/goods", {})

    assert len(service.calls) == QUICK.attempts


def test_no_answer_in_time_is_tried_again_and_told() -> None:
    hurried = Retries(first_pause=0, longest_pause=0, jitter=0, attempts=2, answer_within=0.05)
    with running(fine, Answer(hang=5.0)) as service:
        assert client(service.url, hurried).get("/goods", {}) == {"fine": True}
        service.first = [Answer(hang=5.0)] * 2
        with pytest.raises(SourceError, match=r"gave no answer within 0\.05 s; given up"):
            client(service.url, hurried).get("/goods", {})


def test_a_closed_port_is_told_with_the_address() -> None:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"

    with pytest.raises(SourceError, match=rf"shop: {address}/goods cannot be reached"):
        client(address).get("/goods", {})


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (418, r"answered 418.*banned this address.*a banned caller does not ask again.*wait"),
        (401, r"answered 401.*check the keys among the settings \(MLOPS_\*\)"),
        (403, r"answered 403.*`base_url`"),
        (404, r"answered 404.*check `symbol`"),
        (400, r"answered 400.*a request that is refused is not repeated"),
        (302, r"answered 302"),
    ],
)
def test_a_refusal_ends_at_once_with_status_rule_and_remedy(status: int, message: str) -> None:
    with (
        running(lambda _: Answer(status, "no")) as service,
        pytest.raises(SourceError, match=message),
    ):
        client(service.url).get("/goods", {})

    assert len(service.calls) == 1


def test_an_answer_that_is_no_json_is_told() -> None:
    with (
        running(lambda _: Answer(200, "<html>welcome</html>")) as service,
        pytest.raises(SourceError, match=r"answered 200 without JSON \(<html>welcome"),
    ):
        client(service.url).get("/goods", {})


def test_no_secret_leaves_in_messages_or_logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    echo = Answer(500, f"your key is {SECRET}")
    with (
        running(lambda _: Answer(403, f"{SECRET} is unknown"), echo) as service,
        pytest.raises(SourceError) as refused,
    ):
        client(service.url).get("/goods", {})

    assert service.calls[0].headers["X-Key"] == SECRET
    assert "*** is unknown" in str(refused.value)
    assert "answered 500 (your key is ***); attempt 1" in caplog.text
    assert SECRET not in f"{caplog.text}{refused.value}{client(service.url)!r}"


def test_every_attempt_is_charged_and_the_budget_is_never_overdrawn() -> None:
    budget = CallBudget("shop", limit=3)
    with running(fine, Answer(500)) as service:
        asking = client(service.url, budget=budget)
        asking.get("/goods", {})
        assert (budget.spent, budget.remaining) == (2, 1)
        with pytest.raises(SourceError, match=r"costs 2 calls and 1 of the day's 3 are left"):
            asking.get("/goods", {}, cost=2)
        asking.post("/goods", {"a": 1})

    assert budget.remaining == 0
    assert service.calls[-1].body == {"a": 1}
    assert len(service.calls) == 3


def test_the_client_names_itself() -> None:
    with running(fine) as service:
        client(service.url).get("/goods", {})

    assert "mlops-assets/" in service.calls[0].headers["User-Agent"]
