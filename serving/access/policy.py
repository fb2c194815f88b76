"""The rules of access: which request needs a key, and of which role.

Here: the paths that are open, those of administration, and the decision for a request. Not here:
the keys (`keys`), the answer to a refusal (`errors`), and who asks this (`edge`).

1. `/health/live` and `/health/ready` answer anybody: they tell load balancers yes or no.
2. Administration needs a key with the role `admin`, from everywhere.
3. A client on this machine may call everything else without a key. What counts is the peer of the
   socket; a header never makes a client local. A request that says it came through a proxy is not
   local either, whatever the peer.
4. A browser on this machine is a local client, too, and runs the pages of strangers. So a request
   that a browser makes for another site (an `Origin` that is not this address, or `Sec-Fetch-Site:
   cross-site`) needs a key, and so does one whose `Host` is neither loopback nor the configured
   host: that is what a page sees that lets its own name point to this machine (DNS rebinding). The
   documentation page, which tells nothing of the data, is exempt, so that links to it work.
5. Everybody else needs a key. A key that is sent must be good, even where none is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

from serving.access.keys import ApiKey, KeyFollower, Role
from serving.access.rates import TokenBuckets
from serving.domain_errors import KeyNeededError, NotAllowedError, RateExceededError

OPEN_PATHS: Final = frozenset({"/health/live", "/health/ready"})
PAGE_PATHS: Final = frozenset({"/", "/docs", "/docs/page.css", "/docs/page.js"})

ADMINISTRATION: Final[tuple[tuple[str, frozenset[str] | None], ...]] = (
    ("/v1/admin", None),
    ("/v1/traffic", frozenset({"PUT", "POST", "PATCH", "DELETE"})),
    ("/v1/rollback", None),
    ("/reload", None),
)
"""Beginning of a path -> the methods that are administration; None is all of them."""

_BEGINNINGS: Final = tuple(beginning for beginning, _ in ADMINISTRATION)
_FORWARDED: Final = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via"})
_SEND: Final = "send it as `X-Api-Key: KEY` or `Authorization: Bearer KEY`"

Headers = Mapping[bytes, bytes]
"""Name in lower case -> value."""


class Access:
    """Decides whether a request may go on, and in whose name."""

    def __init__(
        self,
        keys: KeyFollower,
        *,
        host: str,
        rate_per_second: float,
        clock: Callable[[], datetime],
        buckets: TokenBuckets | None = None,
    ) -> None:
        """Decide by `keys`.

        Args:
            keys: the keys in force.
            host: the configured address of the service, which requests may name as `Host`.
            rate_per_second: requests that a key without a rate of its own may send a worker.
            clock: the present instant, for keys that expire.
            buckets: counts the requests of each key.
        """
        self._keys = keys
        self._host = host
        self._rate = rate_per_second
        self._clock = clock
        self._buckets = TokenBuckets() if buckets is None else buckets

    def admit(self, scope: Mapping[str, Any], headers: Headers) -> str:
        """The name of the request's key, or "" where none was sent and none is needed.

        Raises:
            KeyNeededError: a key is needed, or the one that was sent is not in force.
            NotAllowedError: the key does not allow the operation.
            RateExceededError: the key was used too often.
        """
        presented = headers.get(b"x-api-key") or _bearer(headers.get(b"authorization"))
        if presented is not None:
            return self._admit_key(presented, scope)
        path: str = scope["path"]
        if path in OPEN_PATHS:
            return ""
        if is_administration(scope["method"], path):
            raise KeyNeededError(
                value=f"{scope['method']} {path}",
                rule="administration needs a key with the role admin, from this machine too",
                remedy=f"make one with `python -m serving keys add NAME --role admin` and {_SEND}",
            )
        if reason := self._stranger(scope.get("client"), headers, path):
            raise KeyNeededError(
                rule=f"{reason}, and only programs on this machine need no key",
                remedy=f"ask an operator for a key (`python -m serving keys add NAME`) and {_SEND}",
            )
        return ""

    def _admit_key(self, presented: bytes, scope: Mapping[str, Any]) -> str:
        key = self._keys.ring.find(presented, self._clock())
        if key is None:
            raise KeyNeededError(
                rule="the key that was sent is unknown, revoked or expired",
                remedy="ask an operator for another one; `python -m serving keys list` shows "
                "which are in force",
            )
        if is_administration(scope["method"], scope["path"]) and key.role is not Role.ADMIN:
            raise NotAllowedError(
                value=f"key {key.name}",
                rule=f"its role is {key.role}, and administration needs admin",
                remedy="use a key made with `python -m serving keys add NAME --role admin`",
            )
        self._spend(key)
        return key.name

    def _spend(self, key: ApiKey) -> None:
        rate = key.rate_per_second or self._rate
        if wait := self._buckets.take(key.name, rate):
            raise RateExceededError(
                value=f"key {key.name}",
                rule=f"it may send {rate:g} requests per second",
                remedy=f"wait {wait:.3g} s, ask for more in one request, or have its rate raised",
                wait_seconds=wait,
            )

    def _stranger(self, client: tuple[str, int] | None, headers: Headers, path: str) -> str | None:
        """Why a request without a key is not from this machine's own programs; None if it is."""
        if client is None or not _is_loopback(client[0]):
            return "the request comes from another machine"
        if not _FORWARDED.isdisjoint(headers):
            return "the request was forwarded by a proxy"
        if path in PAGE_PATHS:
            return None
        host = headers.get(b"host")
        if host is not None and not _is_local_name(host, self._host):
            return "the request names a host that is not this machine"
        origin = headers.get(b"origin")
        foreign = origin is not None and origin.partition(b"://")[2] != host
        if foreign or headers.get(b"sec-fetch-site") == b"cross-site":
            return "a page of another site sent the request"
        return None


def is_administration(method: str, path: str) -> bool:
    """Whether an operation changes what is served."""
    if not path.startswith(_BEGINNINGS):
        return False
    return any(
        path.startswith(beginning) and (methods is None or method in methods)
        for beginning, methods in ADMINISTRATION
    )


def _bearer(value: bytes | None) -> bytes | None:
    if value is None or value[:7].lower() != b"bearer ":
        return None
    return value[7:].strip()


# Callers repeat themselves: a dictionary answers for all but the first request of each.
@lru_cache(1024)
def _is_loopback(address: str) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return parsed.is_loopback


@lru_cache(1024)
def _is_local_name(host: bytes, configured: str) -> bool:
    """Whether a `Host` header names this machine: loopback, or the configured address."""
    text = host.decode("latin-1").lower()
    name = text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]
    if name == "localhost" or _is_loopback(name):
        return True
    # Listening on every address (0.0.0.0) gives no name that a page could not use.
    return name == configured.lower() and configured not in {"0.0.0.0", "::", ""}
