from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from serving.access.keys import KeyFollower, Role, add_key
from serving.access.policy import Access, is_administration
from serving.access.rates import TokenBuckets
from serving.domain_errors import KeyNeededError, NotAllowedError, RateExceededError

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HERE = ("127.0.0.1", 50_000)
ELSEWHERE = ("192.0.2.77", 50_000)
LATEST = "/forecasts/bitcoin_close/latest"


class Guarded:
    """The rules over a file with one key of each role."""

    def __init__(self, folder: Path, *, host: str = "127.0.0.1") -> None:
        path = folder / "keys.json"
        self.predict = add_key(path, "caller", Role.PREDICT, now=NOW).encode()
        self.admin = add_key(path, "operator", Role.ADMIN, now=NOW, rate_per_second=2).encode()
        self.watch = 0.0
        self.access = Access(
            KeyFollower(path, complain=lambda _: False),
            host=host,
            rate_per_second=3,
            clock=lambda: NOW,
            buckets=TokenBuckets(lambda: self.watch),
        )

    def admit(
        self,
        *,
        client: tuple[str, int] | None = HERE,
        path: str = LATEST,
        method: str = "GET",
        **headers: bytes,
    ) -> str:
        """Who is admitted; headers by name, underscores for hyphens."""
        scope: dict[str, Any] = {"client": client, "path": path, "method": method}
        sent = {name.replace("_", "-").encode(): value for name, value in headers.items()}
        return self.access.admit(scope, {b"host": b"127.0.0.1:8000", **sent})


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    return Guarded(tmp_path)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_programs_on_this_machine_need_no_key(guarded: Guarded, address: str) -> None:
    assert guarded.admit(client=(address, 1)) == ""


@pytest.mark.parametrize("address", ["192.0.2.77", "10.0.0.1", "::2", "::ffff:10.0.0.1", "nobody"])
def test_other_machines_need_a_key(guarded: Guarded, address: str) -> None:
    with pytest.raises(KeyNeededError, match="comes from another machine") as refused:
        guarded.admit(client=(address, 1))
    assert "python -m serving keys add" in refused.value.remedy
    assert guarded.admit(client=(address, 1), x_api_key=guarded.predict) == "caller"


def test_a_peer_without_an_address_is_not_local(guarded: Guarded) -> None:
    with pytest.raises(KeyNeededError):
        guarded.admit(client=None)


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_anybody_may_ask_whether_the_service_lives_and_is_ready(
    guarded: Guarded, path: str
) -> None:
    assert guarded.admit(client=ELSEWHERE, path=path) == ""


@pytest.mark.parametrize("path", ["/health", "/metrics", "/docs", "/openapi.json", "/none"])
def test_every_other_path_needs_a_key_from_elsewhere(guarded: Guarded, path: str) -> None:
    with pytest.raises(KeyNeededError):
        guarded.admit(client=ELSEWHERE, path=path)


@pytest.mark.parametrize("header", ["x_forwarded_for", "forwarded", "x_real_ip", "via"])
def test_a_header_never_makes_a_client_local_and_a_forwarded_request_is_not(
    guarded: Guarded, header: str
) -> None:
    sent: dict[str, Any] = {header: b"127.0.0.1"}
    with pytest.raises(KeyNeededError, match="another machine"):
        guarded.admit(**sent, client=ELSEWHERE)
    with pytest.raises(KeyNeededError, match="forwarded by a proxy"):
        guarded.admit(**sent, client=HERE)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": b"https://evil.example"},
        {"origin": b"null"},
        {"origin": b"http://127.0.0.1:3000"},
        {"sec_fetch_site": b"cross-site"},
    ],
)
def test_a_page_of_another_site_in_the_operators_browser_needs_a_key(
    guarded: Guarded, headers: dict[str, Any]
) -> None:
    with pytest.raises(KeyNeededError, match="page of another site"):
        guarded.admit(**headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": b"http://127.0.0.1:8000", "sec_fetch_site": b"same-origin"},
        {"sec_fetch_site": b"none"},
    ],
)
def test_the_services_own_page_needs_none(guarded: Guarded, headers: dict[str, Any]) -> None:
    assert guarded.admit(**headers) == ""


@pytest.mark.parametrize(
    ("host", "local"),
    [
        (b"localhost:8000", True),
        (b"LOCALHOST", True),
        (b"127.0.0.1", True),
        (b"[::1]:8000", True),
        (b"forecasts.internal:8000", True),
        (b"evil.example", False),
        (b"127.0.0.1.evil.example", False),
        (b"localhost.evil.example:8000", False),
        (b"", False),
        (b"\xff", False),
    ],
)
def test_a_host_that_is_not_this_machine_needs_a_key(
    tmp_path: Path, host: bytes, local: bool
) -> None:
    guarded = Guarded(tmp_path, host="forecasts.internal")
    if local:
        assert guarded.admit(host=host) == ""
    else:
        with pytest.raises(KeyNeededError, match="names a host that is not this machine"):
            guarded.admit(host=host)


def test_listening_on_every_address_makes_no_name_local(tmp_path: Path) -> None:
    with pytest.raises(KeyNeededError):
        Guarded(tmp_path, host="0.0.0.0").admit(host=b"0.0.0.0:8000")


def test_a_link_to_the_documentation_page_works_from_any_site(guarded: Guarded) -> None:
    assert guarded.admit(path="/docs", sec_fetch_site=b"cross-site") == ""


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/reload"),
        ("POST", "/v1/admin/reload"),
        ("GET", "/v1/admin/anything"),
        ("PUT", "/v1/traffic/bitcoin_close"),
        ("DELETE", "/v1/traffic/bitcoin_close"),
        ("POST", "/v1/rollback/bitcoin_close"),
    ],
)
def test_administration_needs_an_admin_key_from_everywhere(
    guarded: Guarded, method: str, path: str
) -> None:
    for client in (HERE, ELSEWHERE):
        with pytest.raises(KeyNeededError, match="needs a key with the role admin"):
            guarded.admit(client=client, method=method, path=path)
    with pytest.raises(NotAllowedError, match="key caller: its role is predict"):
        guarded.admit(method=method, path=path, x_api_key=guarded.predict)
    assert guarded.admit(method=method, path=path, x_api_key=guarded.admin) == "operator"


def test_looking_at_the_traffic_settings_is_no_administration() -> None:
    assert not is_administration("GET", "/v1/traffic/bitcoin_close")
    assert not is_administration("GET", "/v1/models")


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER  "])
def test_a_key_may_be_sent_as_a_bearer_token(guarded: Guarded, scheme: bytes) -> None:
    assert guarded.admit(client=ELSEWHERE, authorization=scheme + guarded.predict) == "caller"


def test_an_admin_key_may_also_predict(guarded: Guarded) -> None:
    assert guarded.admit(client=ELSEWHERE, x_api_key=guarded.admin) == "operator"


def test_a_wrong_key_is_refused_even_where_none_is_needed(guarded: Guarded) -> None:
    with pytest.raises(KeyNeededError, match="unknown, revoked or expired"):
        guarded.admit(x_api_key=guarded.predict + b"x")


def test_a_key_is_used_up_by_its_rate_and_good_again_after_the_named_time(
    guarded: Guarded,
) -> None:
    for _ in range(3):
        guarded.admit(x_api_key=guarded.predict)
    with pytest.raises(RateExceededError, match="key caller: it may send 3 requests") as refused:
        guarded.admit(x_api_key=guarded.predict)
    assert refused.value.wait_seconds == pytest.approx(1 / 3)
    guarded.watch += refused.value.wait_seconds
    assert guarded.admit(x_api_key=guarded.predict) == "caller"


def test_a_key_may_have_a_rate_of_its_own(guarded: Guarded) -> None:
    for _ in range(2):
        guarded.admit(x_api_key=guarded.admin)
    with pytest.raises(RateExceededError, match="it may send 2 requests per second"):
        guarded.admit(x_api_key=guarded.admin)


def test_programs_on_this_machine_without_a_key_have_no_rate(guarded: Guarded) -> None:
    assert [guarded.admit() for _ in range(100)] == [""] * 100
