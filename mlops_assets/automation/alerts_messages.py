"""What an alert says: one event in, one short text with links out.

Here: the kinds of events that people are told about, their words, and the removal of secrets and
folders. Not here: where events come from (`alerts_events`), whether one is told at all
(`alerts_cursor`), and how it travels (`alerts_delivery`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from pydantic import SecretStr

from mlops_assets.settings import Settings

LONGEST_MESSAGE: Final = 3_000
"""Characters of a message as Slack receives it; a section of Slack's holds no more."""

HIDDEN: Final = "***"

_CREDENTIALS: Final = re.compile(r"(?<=://)[^\s/@]+@")
_KEY_IN_ADDRESS: Final = re.compile(
    r"(?i)\b([\w-]*(?:key|token|secret|password|signature|credential)[\w-]*)=[^\s&'\"]+"
)
_FOLDERS: Final = re.compile(
    r"(?:(?:file://|sqlite:///)|(?<![\w:/.~]))/(?:[^\s/'\"<>]+/)+(?=[^\s/'\"<>])"
)
_HALF_ENTITY: Final = re.compile(r"&\w*$")


class Kind(StrEnum):
    """What people are told about."""

    RUN_FAILED = "run failure"
    DEAD_SOURCE = "dead source"
    DRIFT = "drift"
    CONTROL = "control"
    COVERAGE = "coverage"
    PROMOTION = "promotion"
    ROLL_BACK = "roll back"


@dataclass(frozen=True)
class Event:
    """Something that happened to a problem.

    `subject` is what it happened to: a source, the version that holds the alias now, or where a run
    failed (`in step x`).
    `asset` is the path of the asset that shows it. `over` marks the end of a condition.
    """

    kind: Kind
    problem: str
    happened_at: datetime
    subject: str
    text: str
    run_id: str | None = None
    asset: str | None = None
    mlflow_run_id: str | None = None
    over: bool = False


@dataclass(frozen=True)
class Link:
    """An address with the words that stand for it."""

    title: str
    address: str


@dataclass(frozen=True)
class Message:
    """A text that is ready to be sent: no secret, no folder of this machine."""

    title: str
    text: str
    links: tuple[Link, ...]

    def as_slack(self) -> str:
        """Slack's markup, at most `LONGEST_MESSAGE` characters; the links are never cut."""
        head = f"*{_escaped(self.title)}*\n"
        tail = " | ".join(f"<{link.address}|{_escaped(link.title)}>" for link in self.links)
        room = LONGEST_MESSAGE - len(head) - len(tail) - 1
        return f"{head}{_cut(_escaped(self.text), room)}\n{tail}"

    def as_plain(self) -> str:
        """For a log: the same, with whole addresses."""
        tail = "\n".join(f"{link.title}: {link.address}" for link in self.links)
        room = LONGEST_MESSAGE - len(self.title) - len(tail) - 2
        return f"{self.title}\n{_cut(self.text, room)}\n{tail}"


def compose(event: Event, settings: Settings, *, held_back: int = 0) -> Message:
    """The message for an event.

    Args:
        event: what happened.
        settings: addresses of the pages, and the secrets that must not appear.
        held_back: messages of this problem and kind that were not sent since the last one.
    """
    mark = " (synthetic data)" if settings.data == "sample" else ""
    parts = [event.text, f"{event.happened_at:%Y-%m-%d %H:%M:%S} UTC."]
    if held_back:
        parts.append(f"{held_back} more of this kind ({event.kind}) were held back before this.")
    return Message(
        title=redact(f"{event.problem}{mark}: {_title(event)}", settings),
        text=redact("\n".join(part for part in parts if part), settings),
        links=tuple(
            Link(link.title, _CREDENTIALS.sub("", link.address)) for link in _links(event, settings)
        ),
    )


def redact(text: str, settings: Settings) -> str:
    """The text without secrets of the settings, credentials in addresses, and folders."""
    for name in type(settings).model_fields:
        secret = getattr(settings, name)
        if isinstance(secret, SecretStr) and secret.get_secret_value().strip():
            text = text.replace(secret.get_secret_value(), HIDDEN)
    text = _KEY_IN_ADDRESS.sub(rf"\1={HIDDEN}", _CREDENTIALS.sub(f"{HIDDEN}@", text))
    return _FOLDERS.sub(".../", text)


def _title(event: Event) -> str:
    begins, ends = {
        Kind.RUN_FAILED: (f"a run failed {event.subject}", ""),
        Kind.DEAD_SOURCE: (f"source {event.subject} is dead", f"source {event.subject} is back"),
        Kind.DRIFT: ("what arrives has drifted", "what arrives is back to what it was"),
        Kind.CONTROL: (
            "the champion is worse than what it must beat",
            "control is back: no proof against the champion stands",
        ),
        Kind.COVERAGE: (
            "coverage lost: the champion's bands hold too few values",
            "coverage is back: no proof against the champion's bands stands",
        ),
        Kind.PROMOTION: (f"promoted {event.subject}", ""),
        Kind.ROLL_BACK: (f"rolled back to {event.subject}", ""),
    }[event.kind]
    return ends if event.over else begins


def _links(event: Event, settings: Settings) -> list[Link]:
    dagster, model = settings.dagster_page, settings.registered_model(event.problem)
    links = []
    if event.run_id:
        links.append(Link("Dagster run", f"{dagster}/runs/{event.run_id}"))
    if event.asset:
        links.append(Link("asset", f"{dagster}/assets/{event.asset}"))
    if event.mlflow_run_id:
        page = f"{settings.mlflow_page}/#/runs/{event.mlflow_run_id}"
        links.append(Link("MLflow run", page))
    elif event.kind in {Kind.CONTROL, Kind.COVERAGE, Kind.DRIFT}:
        links.append(Link("MLflow model", f"{settings.mlflow_page}/#/models/{model}"))
    links.append(Link("served model", f"{settings.api_page}/models/{event.problem}"))
    return links


def _escaped(text: str) -> str:
    """Text that Slack takes literally: `<!channel>` in an error calls nobody."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, room: int) -> str:
    if len(text) <= room:
        return text
    return _HALF_ENTITY.sub("", text[: room - 4]) + " ..."
