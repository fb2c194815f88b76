"""What the endpoints that read a snapshot share: which snapshot, parameters, headers, the answer.

Here: the newest verified snapshot of a problem, a file that it does not have, query parameters and
bodies that are encoded once. Not here: pages (`paging`) and what is asked of whom (`problems`,
`observations`, `evidence`).

Such an answer is of the newest verified snapshot, also while no model is served with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import quote

import msgspec
from fastapi import Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from serving.deployments import Deployments
from serving.domain_errors import NotReadyError, UnknownNameError
from serving.snapshot_content import Snapshot

_SHOWN: Final = 10
_LONGEST_CURSOR: Final = 1000


def _aware(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError(
            "an instant needs a zone; write it like 2026-03-02T12:00:00Z (a `+` in an address is "
            "%2B)"
        )
    return instant


Instant = Annotated[datetime, AfterValidator(_aware)]

Held = TypeVar("Held")


class PageQuery(BaseModel):
    """Parameters of an endpoint that answers in pages."""

    model_config = ConfigDict(extra="forbid")

    limit: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="rows of a page; default: 1000; at most MLOPS_API_MAX_ROWS",
    )
    after: str | None = Field(
        default=None, max_length=_LONGEST_CURSOR, description="`next` of the page before"
    )


class IntervalQuery(PageQuery):
    """Parameters of an endpoint that answers in pages for an interval [from, to)."""

    since: Instant | None = Field(
        default=None,
        alias="from",
        description="first instant, with zone; default: the first published",
    )
    before: Instant | None = Field(
        default=None,
        alias="to",
        description="the instant to stop before, with zone; default: after the last published",
    )


class PublishedSource(BaseModel):
    """What an answer about the past rests on."""

    problem: str = Field(examples=["bitcoin_close"])
    unit: str = Field(description="target unit", examples=["USDT"])
    snapshot_id: str = Field(examples=["20260302T120000Z-00000001"])
    as_of: AwareDatetime = Field(description="what the snapshot knows ends here")
    data_version: str = Field(description="version of the published data", examples=["8c1f7a20"])
    synthetic: bool = Field(description="whether the data is generated, not observed")
    stale: bool = Field(description="whether the newest data is older than the problem allows")


class PublishedPage(PublishedSource):
    """One page of rows."""

    next: str | None = Field(
        description="give it as `after` to read on; null where nothing follows",
        examples=["WyJidGMiLDE3NzI0NTI4MDAwMDAwMDBd"],
    )


def newest_snapshot(deployments: Deployments, problem: str) -> Snapshot:
    """The newest verified snapshot of a problem.

    Raises:
        UnknownNameError: nothing was published under that name, but under others.
        NotReadyError: nothing is published at all, or what is published was refused.
    """
    if (snapshot := deployments.newest_snapshot(problem)) is not None:
        return snapshot
    known = deployments.problems
    if known and problem not in known:
        raise UnknownNameError(
            value=f"problem {problem}",
            rule="it must be published",
            remedy="use one of the known problems, or materialise its assets",
            known=known,
        )
    reasons = deployments.complaints(problem) or ("none is published",)
    raise NotReadyError(
        value=f"problem {problem}",
        rule=f"a published snapshot is needed: {reasons[0]}",
        remedy=f"materialise its assets, for example with `mlops run {problem}`",
    )


def need(held: Held | None, snapshot: Snapshot, file: str, *, assets: str) -> Held:
    """What the snapshot holds of a file.

    Args:
        held: None where the snapshot does not have it.
        snapshot: names itself in the error.
        file: its name.
        assets: what must be materialised before it is there.

    Raises:
        UnknownNameError: the snapshot does not have the file.
    """
    if held is None:
        raise UnknownNameError(
            value=f"{file} of problem {snapshot.manifest.problem}",
            rule=f"snapshot {snapshot.manifest.snapshot_id} does not hold it in the present form",
            remedy=f"materialise {assets} and then `published`, or read something else",
            known=sorted(snapshot.manifest.files),
        )
    return held


def check_series(snapshot: Snapshot, series: str | None) -> None:
    """Pass for no series, and for a published one.

    Raises:
        UnknownNameError: it is not published.
    """
    published = snapshot.series
    if series is not None and series not in published:
        raise UnknownNameError(
            value=f"series {series}",
            rule=f"it must be one of the {len(published)} published series of "
            f"{snapshot.manifest.problem}",
            remedy="use a known series, or leave it out for all",
            known=published[:_SHOWN],
        )


def source_of(snapshot: Snapshot, now: datetime) -> dict[str, Any]:
    """The fields of `PublishedSource`."""
    manifest = snapshot.manifest
    return {
        "problem": manifest.problem,
        "unit": manifest.unit,
        "snapshot_id": manifest.snapshot_id,
        "as_of": manifest.as_of,
        "data_version": manifest.data_version,
        "synthetic": manifest.synthetic,
        "stale": snapshot.is_stale(now),
    }


def answer(snapshot: Snapshot, now: datetime, **content: object) -> Response:
    """The fields of `PublishedSource` with more, and their headers; NaN becomes null."""
    body = msgspec.json.encode({**source_of(snapshot, now), **content})
    return Response(body, media_type="application/json", headers=headers_of(snapshot))


def headers_of(snapshot: Snapshot) -> Mapping[str, str]:
    """What the answer rests on, as headers."""
    manifest = snapshot.manifest
    # Headers are Latin-1; a name that is not would fail the answer.
    return {
        "X-Data-Version": quote(manifest.data_version, safe=" /:;,.=+@"),
        "X-Snapshot-Id": quote(manifest.snapshot_id, safe=" /:;,.=+@"),
    }
