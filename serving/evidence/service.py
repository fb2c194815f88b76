"""Evidence of a snapshot; pure functions of what it holds. Not here: HTTP (`router`)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from serving.contract.snapshot import (
    ANSWERS,
    DRIFT,
    LEADERBOARD,
    LIVE_SCORES,
    REPLAYS,
    VERDICTS,
)
from serving.domain_errors import UnknownNameError
from serving.evidence.schemas import LiveScoreQuery
from serving.paging import decode, encode, page_of
from serving.published_evidence import LIVE_SCORE
from serving.published_reading import need
from serving.snapshot_content import Snapshot
from serving.sorted_table import SortedTable

_SHOWN: Final = 10


def leaderboard(snapshot: Snapshot) -> dict[str, Any]:
    """`rows`: the backtest's table, best first.

    Raises:
        UnknownNameError: it is not published.
    """
    held = snapshot.evidence.leaderboard
    return {"rows": msgspec.Raw(need(held, snapshot, LEADERBOARD, assets="`evaluation_report`"))}


def verdicts(snapshot: Snapshot, *, after: str | None, size: int) -> dict[str, Any]:
    """`rows` and `next` of a page of verdicts, the newest first.

    Raises:
        UnknownNameError: none are published.
        UnusableInputError: the cursor is of no page of verdicts.
    """
    newest_first = need(snapshot.evidence.verdicts, snapshot, VERDICTS, assets="`champion`")[::-1]
    if after is not None:
        last = decode(after, (int, int))
        newest_first = tuple(v for v in newest_first if (v.ticks, v.number) < last)
    page = newest_first[:size]
    follows = len(newest_first) > size
    return {
        "rows": [msgspec.Raw(verdict.json) for verdict in page],
        "next": encode((page[-1].ticks, page[-1].number)) if follows else None,
    }


def live_scores(snapshot: Snapshot, query: LiveScoreQuery, *, size: int) -> dict[str, Any]:
    """`rows` and `next` of a page of live scores, ascending by (day, version, role, step).

    Raises:
        UnknownNameError: there are none, or none of the version or candidate.
        UnusableInputError: the cursor or the interval cannot be used.
    """
    table = need(snapshot.evidence.live_scores, snapshot, LIVE_SCORES, assets="`live_scores`")
    given = {"version": query.version, "candidate": query.candidate}
    wanted = {column: word for column, word in given.items() if word is not None}
    for column, word in wanted.items():
        _check_word(table, column, word)
    page = page_of(table, query, equal=wanted, instant="day", size=size)
    return {"rows": table.records(page.rows, tuple(LIVE_SCORE)), "next": page.next}


def drift(snapshot: Snapshot) -> dict[str, Any]:
    """`newest` and `history` of the drift reports.

    Raises:
        UnknownNameError: none are published.
    """
    held = need(snapshot.evidence.drift, snapshot, DRIFT, assets="`drift_report`")
    return held.model_dump()


def replays(snapshot: Snapshot) -> dict[str, Any]:
    """`rows`: what each replay covers, by id.

    Raises:
        UnknownNameError: replays are not published.
    """
    held = need(snapshot.evidence.replays, snapshot, REPLAYS, assets="`champion`")
    return {"rows": [replay.summary.model_dump() for replay in held.values()]}


def replay(snapshot: Snapshot, replay_id: str) -> dict[str, Any]:
    """`replay`: one ledger with its steps.

    Raises:
        UnknownNameError: it is not published.
    """
    held = need(snapshot.evidence.replays, snapshot, REPLAYS, assets="`champion`")
    if replay_id not in held:
        raise UnknownNameError(
            value=f"replay {replay_id}",
            rule=f"it must be one of the {len(held)} published replays of "
            f"{snapshot.manifest.problem}",
            remedy="use a known replay; one appears after its first finished step, when "
            "`published` is materialised",
            known=list(held)[:_SHOWN],
        )
    return {"replay": msgspec.Raw(held[replay_id].json)}


def answers(snapshot: Snapshot) -> dict[str, Any]:
    """`rows`: answers of the service against what came true, by variant.

    Raises:
        UnknownNameError: they are not published.
    """
    held = snapshot.evidence.answers
    return {"rows": msgspec.Raw(need(held, snapshot, ANSWERS, assets="`prediction_log`"))}


def _check_word(table: SortedTable, column: str, word: str) -> None:
    words = table.columns[column].words
    if word not in words:
        raise UnknownNameError(
            value=f"{column} {word}",
            rule=f"it must have forecasts that came true, as {len(words)} have",
            remedy=f"use a known {column}, or leave it out for all",
            known=words[-_SHOWN:],
        )
