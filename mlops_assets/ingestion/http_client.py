"""One careful HTTP client for every live source.

Here: what is tried again, how long, and how a refusal reads. Not here: any source's addresses or
answers (`exchange`, `yahoo`, `naver`, `youtube`).

| answer | what happens |
|---|---|
| 2xx with JSON | returned |
| 2xx with JSON that lacks a part of what was asked for | again, after a growing pause |
| 429, 408, 5xx | again, after `Retry-After` (seconds or HTTP date), else after a growing pause |
| no answer in time, no connection | again, after a growing pause |
| 418, 401, 403, any other status | ends at once |
| 2xx without JSON | ends at once |

Attempts and total time are bounded. Whatever ends does so in a `SourceError` that names source,
status, rule and remedy. Secrets travel in headers only, so no address holds one, and are blotted
out of whatever a server writes back.
"""

from __future__ import annotations

import email.utils
import importlib.metadata
import logging
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, Literal

import httpx
import stamina
from pydantic import SecretStr
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from mlops_assets.ingestion.sources import SourceError

_LOGGER: Final = logging.getLogger(__name__)
_AGENT: Final = (
    f"Mozilla/5.0 (compatible; mlops-assets/{importlib.metadata.version('mlops-assets')})"
)
"""Yahoo refuses clients that name none; the first word is what it looks for."""

_EXCERPT: Final = 200
"""Characters of a server's own words that a message repeats."""

_WITHOUT_DATE: Final = 1.0
"""Seconds to wait when `Retry-After` cannot be read."""


@dataclass(frozen=True)
class Retries:
    """How often and how long a request is tried again, in seconds.

    Attributes:
        attempts: at most so many, the first included.
        total: no attempt begins later than this after the first.
        first_pause, longest_pause: the pause doubles from the one to the other.
        jitter: at most so much is added to a pause, so that clients do not march in step.
        answer_within: an attempt without answer for so long has failed.
        pace: turns the seconds that a server asks for into the seconds that are waited.
    """

    attempts: int = 5
    total: float = 90.0
    first_pause: float = 0.5
    longest_pause: float = 20.0
    jitter: float = 0.5
    answer_within: float = 15.0
    pace: Callable[[float], float] = float


@dataclass
class CallBudget:
    """What a service allows in a day, and what this process has used of it.

    A retry is a call too: the service counts it. The budget is of one day; make a new one for
    the next.
    """

    service: str
    limit: int
    unit: Literal["calls", "units"] = "calls"
    spent: int = 0

    @property
    def remaining(self) -> int:
        """What is left of the day."""
        return self.limit - self.spent

    def spend(self, cost: int) -> None:
        """Count a call before it is made.

        Raises:
            SourceError: it does not fit into what is left.
        """
        if cost > self.remaining:
            raise SourceError(
                f"{self.service}: a call costs {cost} {self.unit} and {self.remaining} of the "
                f"day's {self.limit} are left; the budget is never overdrawn; go on tomorrow, or "
                "ask for less"
            )
        self.spent += cost


Refusal = Callable[[httpx.Response], str | None]
"""What a failed answer means at this source ("rule; remedy"): then it is final. None: as usual."""


Lack = Callable[[Any], str | None]
"""What an answer lacks ("value; rule"): then it is asked for again. None: it is whole."""


@dataclass(frozen=True)
class HttpClient:
    """Asks one service for JSON.

    Attributes:
        source: its name in messages.
        base_url: where its paths begin.
        headers: sent with every request; secrets are `SecretStr`.
        retries: how patient it is.
        refusal: what the service means by some of its failed answers.
        budget: charged before every attempt.
    """

    source: str
    base_url: str
    headers: Mapping[str, str | SecretStr] = field(default_factory=dict)
    retries: Retries = field(default_factory=Retries)
    refusal: Refusal = lambda _response: None
    budget: CallBudget | None = None
    now: Callable[[], datetime] | None = None

    def get(self, path: str, params: Mapping[str, str | int], *, cost: int = 1) -> Any:  # noqa: ANN401
        """The JSON that `path` answers.

        Raises:
            SourceError: it does not answer as it should; see the table of this module.
        """
        return self._ask("GET", path, cost=cost, params=dict(params))

    def post(
        self,
        path: str,
        body: Mapping[str, object],
        *,
        cost: int = 1,
        lack: Lack = lambda _answer: None,
    ) -> Any:  # noqa: ANN401
        """The JSON that `path` answers to a JSON body; raises as `get`."""
        return self._ask("POST", path, cost=cost, lack=lack, json=dict(body))

    def _ask(
        self,
        method: str,
        path: str,
        *,
        cost: int,
        lack: Lack = lambda _answer: None,
        **content: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        patience = _Patience(self.retries, began=time.monotonic())
        attempts = stamina.retry_context(
            on=patience,
            attempts=self.retries.attempts,
            timeout=self.retries.total,
            wait_initial=self.retries.first_pause,
            wait_max=self.retries.longest_pause,
            wait_jitter=self.retries.jitter,
        )
        with self._opened() as client:
            try:
                for attempt in attempts:
                    with attempt:
                        answer = self._once(client, method, path, cost, content)
                        return self._whole(answer, lack, path)
            except _TemporaryError as error:
                raise SourceError(patience.given_up(error)) from error.__cause__
        raise AssertionError("a retry ends in an answer or in an error")

    def _once(
        self, client: httpx.Client, method: str, path: str, cost: int, content: dict[str, Any]
    ) -> object:
        if self.budget is not None:
            self.budget.spend(cost)
        place = self._place(path)
        try:
            response = client.request(method, path, **content)
        except httpx.TimeoutException as error:
            told = f"{place} gave no answer within {self.retries.answer_within:g} s"
            raise _TemporaryError(told) from error
        except httpx.HTTPError as error:
            told = f"{place} cannot be reached ({self._blotted(str(error))})"
            raise _TemporaryError(told) from error
        if response.is_success:
            return self._json(response, place)
        raise self._failure(response, place)

    def _place(self, path: str) -> str:
        return f"{self.source}: {self.base_url.rstrip('/')}{path}"

    def _whole(self, answer: object, lack: Lack, path: str) -> object:
        lacking = lack(answer)
        if lacking is not None:
            raise _TemporaryError(f"{self._place(path)} answered in part: {lacking}")
        return answer

    def _failure(self, response: httpx.Response, place: str) -> Exception:
        told = f"{place} answered {response.status_code}{self._words(response)}"
        meaning = self.refusal(response)
        if meaning is not None:
            return SourceError(f"{told}; {meaning}")
        status = response.status_code
        if status in {408, 429} or status >= 500:
            return _TemporaryError(told, retry_after=_retry_after(response))
        return SourceError(f"{told}; {_MEANING.get(status, _UNEXPECTED)}")

    def _json(self, response: httpx.Response, place: str) -> object:
        try:
            return response.json()
        except ValueError as error:
            raise SourceError(
                f"{place} answered {response.status_code} without JSON{self._words(response)}; "
                "this service answers in JSON; check the base address (`base_url`) and whether a "
                "proxy answers in its place"
            ) from error

    def _words(self, response: httpx.Response) -> str:
        """The beginning of what the server wrote, in brackets."""
        text = " ".join(self._blotted(response.text).split())
        return f" ({text[:_EXCERPT]})" if text else ""

    def _blotted(self, text: str) -> str:
        for value in self.headers.values():
            if isinstance(value, SecretStr) and value.get_secret_value():
                text = text.replace(value.get_secret_value(), "***")
        return text

    @contextmanager
    def _opened(self) -> Iterator[httpx.Client]:
        shown = {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value
            for name, value in self.headers.items()
        }
        with httpx.Client(
            base_url=self.base_url,
            headers={"User-Agent": _AGENT, "Accept": "application/json", **shown},
            timeout=self.retries.answer_within,
            verify=_certificates(),
        ) as client:
            yield client


@cache
def _certificates() -> ssl.SSLContext:
    """The trusted certificates; reading them takes 0.1 s, so they are read once."""
    return httpx.create_ssl_context()


class _TemporaryError(Exception):
    """An answer, or the lack of one, that may be different next time."""

    def __init__(self, told: str, *, retry_after: float | None = None) -> None:
        super().__init__(told)
        self.retry_after = retry_after


@dataclass
class _Patience:
    """Stamina's back-off hook: whether to try again, and after how long."""

    retries: Retries
    began: float
    asked_too_much: float | None = None

    def __call__(self, error: Exception) -> bool | float:
        if not isinstance(error, _TemporaryError):
            return False
        if error.retry_after is None:
            return True
        left = self.retries.total - (time.monotonic() - self.began)
        if error.retry_after > left:
            self.asked_too_much = error.retry_after
            return False
        return self.retries.pace(error.retry_after)

    def given_up(self, error: _TemporaryError) -> str:
        """What to tell when it was the last attempt."""
        if self.asked_too_much is not None:
            return (
                f"{error} and asks to wait {self.asked_too_much:.0f} s; a fetch waits at most "
                f"{self.retries.total:g} s in all; run again later, or ask it less often"
            )
        return (
            f"{error}; given up after at most {self.retries.attempts} attempts in "
            f"{self.retries.total:g} s; check the network and the service, then run again"
        )


_MEANING: Final[dict[int, str]] = {
    401: "it does not accept this caller; check the keys among the settings (MLOPS_*)",
    403: "it refuses this caller; check the keys among the settings (MLOPS_*), or whether the "
    "service may be used from here, and set `base_url` under `live` to an address that may",
    404: "there is no such thing; check `symbol` and `base_url` under `live` in the problem's YAML",
    418: "it has banned this address for asking on after 429; a banned caller does not ask again; "
    "wait until the ban ends (minutes to days), and run less often or set another `base_url`",
}
_UNEXPECTED: Final = (
    "a request that is refused is not repeated; check the source's `live` entry in the problem's "
    "YAML (`symbol`, `base_url`)"
)


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds that the server asks to wait; None when it does not say.

    An HTTP date is counted from the server's own `Date`, so its clock may be wrong.
    """
    text = response.headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.replace(".", "", 1).isdecimal():
        return float(text)
    until, sent = _http_date(text), _http_date(response.headers.get("Date", ""))
    if until is None or sent is None:
        return _WITHOUT_DATE
    return max(0.0, (until - sent).total_seconds())


def _http_date(text: str) -> datetime | None:
    try:
        return email.utils.parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        return None


def _log_retry(details: RetryDetails) -> None:
    _LOGGER.warning(
        "%s; attempt %d, again in %.1f s", details.caused_by, details.retry_num, details.wait_for
    )


# Stamina's own hooks would print the arguments of a call through structlog.
set_on_retry_hooks([_log_retry])
