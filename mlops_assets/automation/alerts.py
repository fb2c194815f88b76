"""The sensors that tell people what happened: one for failed runs, one for checks and verdicts.

Here: the order of one look: read what is new, decide what is told, send it, keep the cursor. Not
here: the streams (`alerts_events`), the decision (`alerts_cursor`), words and delivery.

The cursor moves past an event when its message has arrived, so a message waits for Slack to come
back, and a restart repeats none. Reading comes before sending, so that a store that cannot be read
ends a look before anything was sent. A new stream begins at its newest event.
"""

# No `from __future__ import annotations`: Dagster reads the annotation of `context` as an object.

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import dagster as dg

from mlops_assets.automation.alerts_cursor import (
    OLDEST_EVENT,
    Cursor,
    Sighting,
    is_too_old,
)
from mlops_assets.automation.alerts_delivery import Channel, UndeliveredError, channel_of
from mlops_assets.automation.alerts_events import FailedRuns, Stream, stored_alarms, streams_of
from mlops_assets.automation.alerts_messages import compose
from mlops_assets.orchestration.clock import real_now
from mlops_assets.problem import ForecastProblem
from mlops_assets.settings import Settings

MESSAGES_PER_LOOK: Final = 8
"""Each may take Slack's whole time to answer, and Dagster ends a look after 60 seconds."""

_SECONDS_BETWEEN_LOOKS: Final = 30


def build_alert_sensors(
    settings: Settings,
    problems: Sequence[ForecastProblem],
    *,
    now: Callable[[], datetime] = real_now,
) -> list[dg.SensorDefinition]:
    """The two alert sensors; they run by themselves with sample and live data.

    Args:
        settings: where to send alerts, and the addresses in them.
        problems: all problems of the code location.
        now: the real time, for the limit of messages in an hour and the age of events.
    """
    alarms = stored_alarms(settings.storage)
    watched = [stream for problem in problems for stream in streams_of(problem, alarms)]
    failures = FailedRuns(tuple(problem.name for problem in problems))
    return [
        _sensor("alerts_of_failed_runs", "Tells of each failed run.", [failures], settings, now),
        _sensor(
            "alerts_of_problems",
            "Tells of dead sources, drift, lost coverage, control alarms, promotions and roll "
            "backs; and when a source or check is back.",
            watched,
            settings,
            now,
        ),
    ]


def _sensor(
    name: str,
    description: str,
    streams: Sequence[Stream],
    settings: Settings,
    now: Callable[[], datetime],
) -> dg.SensorDefinition:
    runs_by_itself = settings.data in {"sample", "live"}

    @dg.sensor(
        name=name,
        description=description,
        minimum_interval_seconds=_SECONDS_BETWEEN_LOOKS,
        default_status=(
            dg.DefaultSensorStatus.RUNNING if runs_by_itself else dg.DefaultSensorStatus.STOPPED
        ),
    )
    def tell_news(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        channel = channel_of(settings, context.log)
        cursor, news = _read(context.instance, streams, Cursor.parse(context.cursor))
        cursor, told = _tell(news, cursor, channel, settings, now=now(), log=context.log)
        context.update_cursor(cursor.model_dump_json())
        return dg.SkipReason(f"{told} messages sent, {len(news)} events read.")

    return tell_news


def _read(
    instance: dg.DagsterInstance, streams: Sequence[Stream], cursor: Cursor
) -> tuple[Cursor, list[Sighting]]:
    """What is new in the streams, oldest first; a stream that is new itself has no news."""
    news = [
        sighting
        for stream in streams
        if stream.name in cursor.positions
        for sighting in stream.after(instance, cursor.positions[stream.name])
    ]
    unseen = [stream for stream in streams if stream.name not in cursor.positions]
    cursor = cursor.starting({stream.name: stream.newest(instance) for stream in unseen})
    return cursor, sorted(news, key=lambda sighting: sighting.happened_at)


def _tell(
    news: Sequence[Sighting],
    cursor: Cursor,
    channel: Channel,
    settings: Settings,
    *,
    now: datetime,
    log: logging.Logger,
) -> tuple[Cursor, int]:
    """Send what is to be told until one message does not arrive; the cursor and the count."""
    told = 0
    for sighting in news:
        behind, event = cursor.past(sighting)
        if event is None:
            pass
        elif is_too_old(event, now):
            log.warning("Not told, older than %s: %s", OLDEST_EVENT, compose(event, settings).title)
        elif behind.is_full(event, now):
            behind = behind.holding_back(event)
        elif told == MESSAGES_PER_LOOK:
            break
        else:
            held_back = behind.count_held_back(event)
            try:
                channel.deliver(compose(event, settings, held_back=held_back))
            except UndeliveredError as error:
                log.warning("%s", error)
                break
            behind, told = behind.sending(event, now), told + 1
        cursor = behind
    return cursor, told
