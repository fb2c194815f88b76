from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from mlops_assets.ingestion import sample as generator
from mlops_assets.ingestion.quality import split
from mlops_assets.ingestion.sources import SourceError
from mlops_assets.problem import Source, load_problem
from mlops_assets.settings import Settings
from mlops_assets_tests.ingestion.market import (
    HOUR,
    MAY,
    SHIPPED,
    at,
    exogenous,
    sample,
    source,
)

YEAR = timedelta(days=365)


def fetch(
    origin: Source,
    *,
    start: datetime = MAY,
    end: datetime = MAY + YEAR,
    fetched_at: datetime = MAY + YEAR,
) -> pl.DataFrame:
    return generator.fetch(
        "btc", origin, start=start, end=end, fetched_at=fetched_at, settings=Settings()
    )


def scaled_returns(bars: pl.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Log returns over a trailing day's root mean square."""
    returns = np.diff(np.log(bars["close"].to_numpy()))
    day = np.sqrt(np.convolve(returns**2, np.ones(24) / 24, mode="valid"))
    scaled: np.ndarray[tuple[int], np.dtype[np.float64]] = returns[23:] / day
    return scaled


def test_the_same_hours_are_the_same_whenever_they_are_generated() -> None:
    origin = source(sample=sample(seed=7, reversal=0.1, market_beta=0.5))

    early = fetch(origin, fetched_at=MAY + timedelta(days=40, hours=7.5))
    late = fetch(origin)

    hours = len(early)
    assert hours == 40 * 24 + 7
    assert early.drop("fetched_at").equals(late.head(hours).drop("fetched_at"))


def test_a_part_is_the_same_as_in_the_whole() -> None:
    origin = source(sample=sample(seed=7, reversal=0.1))
    begin, stop = MAY + timedelta(days=31), MAY + timedelta(days=61)

    part = fetch(origin, start=begin, end=stop)

    whole = fetch(origin).filter(pl.col("valid_time").is_between(begin + HOUR, stop))
    assert part.equals(whole)


def test_nothing_exists_before_the_sample_begins() -> None:
    origin = source(sample=sample(), start=MAY - YEAR)

    assert fetch(origin, start=MAY - YEAR, end=MAY).is_empty()
    assert fetch(origin, start=MAY - YEAR)["valid_time"].min() == at(1)


def test_other_seeds_and_other_markets_give_other_paths() -> None:
    one = fetch(source(sample=sample(seed=1)))
    two = fetch(source(sample=sample(seed=2)))

    assert not np.isclose(one["close"], two["close"]).any()


def test_every_sampled_bar_of_the_shipped_problem_passes_the_rules() -> None:
    problem = load_problem(SHIPPED)
    now = datetime(2027, 1, 1, tzinfo=UTC)
    for name, origin in problem.sources.items():
        bars = generator.fetch(
            name, origin, start=origin.start, end=now, fetched_at=now, settings=Settings()
        )
        parts = split(bars, origin)

        assert len(parts.clean) > 1000
        assert parts.quarantined.is_empty()


def test_the_planted_reversal_is_there_and_turns_at_the_switch() -> None:
    turn = MAY + YEAR
    origin = source(sample=sample(seed=3, reversal=0.3, switch_at=turn))

    bars = fetch(origin, end=MAY + 2 * YEAR, fetched_at=MAY + 2 * YEAR)

    before = scaled_returns(bars.filter(pl.col("valid_time") <= turn))
    after = scaled_returns(bars.filter(pl.col("valid_time") > turn))
    # About 8,700 bars a side: the standard error of a correlation is 0.011.
    assert np.corrcoef(before[1:], before[:-1])[0, 1] == pytest.approx(-0.3, abs=0.045)
    assert np.corrcoef(after[1:], after[:-1])[0, 1] == pytest.approx(0.3, abs=0.045)


def test_without_a_planted_signal_returns_follow_no_pattern() -> None:
    scaled = scaled_returns(fetch(source(sample=sample(seed=4))))

    assert abs(np.corrcoef(scaled[1:], scaled[:-1])[0, 1]) < 4 / np.sqrt(len(scaled))


def test_returns_have_the_asked_volatility_and_heavy_tails() -> None:
    bars = fetch(source(sample=sample(seed=5)))
    returns = np.diff(np.log(bars["close"].to_numpy()))

    assert returns.std() == pytest.approx(0.005, rel=0.15)
    assert np.mean(returns**4) / np.mean(returns**2) ** 2 > 5


def test_volatility_persists_and_volume_follows_it() -> None:
    bars = fetch(source(sample=sample(seed=6)))
    log_range = (bars["high"] / bars["low"]).log().log().to_numpy()
    log_volume = np.log(bars["volume"].to_numpy())

    assert np.corrcoef(log_range[24:], log_range[:-24])[0, 1] > 0.2
    assert np.corrcoef(log_range, log_volume)[0, 1] > 0.4


def test_the_market_move_is_shared_by_the_share_asked_for() -> None:
    one = fetch(source(sample=sample(seed=1, market_beta=1.0)))
    opposite = fetch(source(sample=sample(seed=2, market_beta=-1.0)))
    apart = fetch(source(sample=sample(seed=3, market_beta=0.0)))

    returns = [np.diff(np.log(bars["close"].to_numpy())) for bars in (one, opposite, apart)]

    correlations = np.corrcoef(returns)
    # Shocks correlate by -1/2; volatilities of their own weaken that a little.
    assert -0.52 < correlations[0, 1] < -0.35
    assert abs(correlations[0, 2]) < 0.06


def test_an_exchange_has_bars_only_while_it_is_open() -> None:
    bars = fetch(exogenous(sample=sample(), calendar="XNYS"), end=at(0, day=10))

    opens = bars["valid_time"] - HOUR
    assert set(opens.dt.minute()) == {30}
    assert set(opens.dt.hour()) == set(range(13, 20))
    assert set(opens.dt.weekday()) == {1, 2, 3, 4, 5}
    assert len(bars) == 7 * 7  # May 1, 2, 5 to 9


def test_a_market_moves_behind_closed_doors() -> None:
    bars = fetch(exogenous(sample=sample(), calendar="XNYS"))
    jump = (bars["open"] / bars["close"].shift(1)).log().abs()
    overnight = bars["valid_time"].diff() > HOUR

    assert jump.filter(overnight).min() > 0  # type: ignore[operator]
    assert jump.filter(~overnight).max() == pytest.approx(0.0, abs=1e-12)


def test_a_bar_that_does_not_fit_the_ticks_is_refused() -> None:
    with pytest.raises(SourceError, match="multiple of 0:05:00 that divides a day"):
        fetch(source(sample=sample(), period=timedelta(minutes=7)))
