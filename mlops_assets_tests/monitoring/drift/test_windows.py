from __future__ import annotations

import numpy as np

from mlops_assets.monitoring.drift.windows import MOST_ROWS, Span, newest_pair, past_pairs
from mlops_assets_tests.monitoring.drift.histories import DAY, START, WEEK, history, pair_at

MOMENT = np.timedelta64(1, "us").item()


def test_a_champion_refitted_on_the_newest_stretch_has_a_reference_that_ends_before_it() -> None:
    newest = START + 100 * DAY

    pair = newest_pair(newest, length=WEEK, training_start=START, refit_at=newest)

    assert pair.reference == Span(START, newest + MOMENT - WEEK)
    assert pair.current == Span(newest + MOMENT - WEEK, newest + MOMENT)


def test_an_older_champion_has_its_training_window_as_reference() -> None:
    refit_at = START + 60 * DAY

    pair = newest_pair(START + 100 * DAY, length=WEEK, training_start=START, refit_at=refit_at)

    assert pair.reference == Span(START, refit_at)


def test_past_stretches_end_before_the_newest_begins() -> None:
    today = pair_at(100)

    pairs = past_pairs(today, START)

    assert all(pair.current.end <= today.current.start for pair in pairs)
    assert all(pair.reference.end <= pair.current.start for pair in pairs)
    assert pairs[0].current.end == today.current.start


def test_a_past_reference_is_at_least_a_third_of_todays() -> None:
    today = pair_at(100)

    shortest = min(pair.reference.length for pair in past_pairs(today, START))

    assert today.reference.length / 3 <= shortest < today.reference.length / 3 + WEEK / 2


def test_a_history_too_short_for_any_past_reference_has_no_past_pairs() -> None:
    assert past_pairs(pair_at(30), START) == []


def test_a_span_holds_its_start_and_not_its_end() -> None:
    values = history(np.arange(8.0))  # four a day

    assert values.within(Span(START, START + DAY)).tolist() == [0, 1, 2, 3]


def test_a_long_stretch_is_sampled_the_same_way_every_time() -> None:
    values = history(np.arange(MOST_ROWS + 5000.0))
    everything = Span(START, START + 100_000 * DAY)

    first, second = values.within(everything), values.within(everything)

    assert len(first) == MOST_ROWS
    assert (first == second).all()
