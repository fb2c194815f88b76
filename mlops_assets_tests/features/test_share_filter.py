from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.testing as npt
import pytest

from mlops_assets.cli.problems import problem_files
from mlops_assets.features.bars import FloatArray
from mlops_assets.features.counts import recover_counts
from mlops_assets.features.share_filter import (
    START_DAYS,
    filter_shares,
    forecast_layout,
    share_filter,
)
from mlops_assets.features.share_filter_layout import (
    Days,
    ShareLayout,
    lay_out_shares,
    weekday,
    yearly_season,
)
from mlops_assets.features.share_filter_parameters import ShareFilterParameters, parameters_of
from mlops_assets.features.share_filter_shock import add_returning_surprises, pooled_surprise
from mlops_assets.features.share_filter_states import (
    StateSpace,
    predict,
    softmax,
    starting_state,
    state_space,
    update,
)
from mlops_assets.problem import ProblemError, load_problem
from mlops_assets_tests.features.panels import SERIES, panel_of, panel_problem, random_shares

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "search"
FILE = SHARED / "naver_vintage_20250217_raw.csv"

PARAMETERS = parameters_of(
    {
        "group_sd": {"age_group": 0.015, "gender": 0.005},
        "brand_scale": {"토레타": 2.2},
        "loadings": {
            "female/10대": 0.74,
            "female/20대": 0.65,
            "female/30대": 0.6,
            "female/40대": 0.77,
            "female/50대": 1.01,
            "female/60대 이상": 1.25,
            "male/10대": 1.3,
            "male/20대": 0.92,
            "male/30대": 1.02,
            "male/40대": 1.12,
            "male/50대": 1.24,
            "male/60대 이상": 1.36,
        },
    }
)
"""Found on the days before 2024-09-25."""

MONDAY = np.datetime64("2024-01-01", "D")


def days_from(first: np.datetime64, count: int) -> Days:
    return first + np.arange(count)


def space_of(segments: int = 3, brands: int = 4, **params: object) -> StateSpace:
    """A state space of segments s0, s1, .. in two groups, and brands b0, b1, .."""
    return state_space(
        parameters_of({"group_sd": {"party": 0.01}, **params}),
        segments=np.array([f"s{k}" for k in range(segments)]),
        brands=np.array([f"b{k}" for k in range(brands)]),
        labels={"party": np.array([f"p{k % 2}" for k in range(segments)])},
    )


def drawn(shares: FloatArray, *, count: int, seed: int = 0) -> FloatArray:
    """Fractions of multinomial draws with these expectations."""
    parts = np.random.default_rng(seed).multinomial(count, shares)
    return np.asarray(parts / count)


def test_constant_shares_are_forecast_to_stay() -> None:
    shares = np.tile([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1], [0.25] * 4], (120, 1, 1))
    counts = np.full((120, 3), 200.0)

    ahead = filter_shares(shares, counts, days_from(MONDAY, 120), space_of(), horizon=28)

    # The start adds half an observation to each brand of seven days' 200.
    known = ahead[START_DAYS - 1 :]
    npt.assert_allclose(known, np.broadcast_to(shares[0], known.shape), atol=1e-3)


def test_forecasts_of_a_segment_add_up_to_a_hundred() -> None:
    columns = share_filter(panel_of(random_shares(40)), "tea", group_sd={"party": 0.01})
    for values in columns.values():
        known = values[START_DAYS - 1 :]
        npt.assert_allclose(known[:, 0] + known[:, 2], 100, atol=1e-9)
        npt.assert_allclose(known[:, 1] + known[:, 3], 100, atol=1e-9)


def test_there_is_a_column_a_step_and_no_forecast_before_the_seventh_day() -> None:
    panel = panel_of(random_shares(20))

    columns = share_filter(panel, "tea")

    assert list(columns) == [f"share_filter@{step:02d}" for step in range(1, panel.horizon + 1)]
    for values in columns.values():
        assert values.shape == (20, 4)
        assert np.isnan(values[:6]).all()
        assert not np.isnan(values[6:]).any()


def test_a_panel_of_fewer_than_seven_days_has_no_forecast() -> None:
    columns = share_filter(panel_of(random_shares(2)), "tea")
    assert all(np.isnan(values).all() for values in columns.values())


@pytest.mark.parametrize("cut", [START_DAYS, 25, 33])
def test_forecasts_do_not_change_in_any_bit_when_the_future_is_cut_off(cut: int) -> None:
    values = random_shares(40)
    values[20, :] = np.nan

    whole, part = (share_filter(panel_of(v), "tea") for v in (values, values[:cut]))

    for name in whole:
        npt.assert_array_equal(whole[name][:cut], part[name])


def test_a_season_is_carried_on_better_than_by_the_last_value() -> None:
    days = days_from(MONDAY, 500)
    amplitude = np.array([0.8, 0.0, -0.8, 0.0])
    logits = np.log([0.3, 0.3, 0.2, 0.2]) + yearly_season(days)[:, None, None] * amplitude
    planted = softmax(np.broadcast_to(logits, (500, 3, 4)))
    shares, counts = drawn(planted, count=400), np.full((500, 3), 400.0)

    ahead = filter_shares(shares, counts, days, space_of(season_sd=0.5), horizon=28)

    origins = np.arange(200, 472)
    error = np.abs(ahead[origins, 27] - planted[origins + 28]).mean()
    last = np.abs(shares[origins] - planted[origins + 28]).mean()
    assert error < 0.4 * last


def test_a_day_of_the_week_is_learnt() -> None:
    days = days_from(MONDAY, 200)
    sunday = (weekday(days) == 6)[:, None, None] * np.array([0.3, 0.0, 0.0, -0.3])
    planted = softmax(np.broadcast_to(np.zeros(4) + sunday, (200, 3, 4)))
    shares, counts = drawn(planted, count=1000), np.full((200, 3), 1000.0)

    ahead = filter_shares(shares, counts, days, space_of(weekday_sd=0.2), horizon=7)

    sundays = np.flatnonzero(weekday(days) == 6)[-4:]
    npt.assert_allclose(ahead[sundays - 2, 1], planted[sundays], atol=0.015)


def test_a_segment_without_values_takes_part_in_what_all_share() -> None:
    """Its own day is skipped; a shock of the brands in the others moves its forecast too."""
    shares = np.full((30, 3, 4), 0.25)
    shares[20:, :2] = [0.45, 0.25, 0.15, 0.15]
    shares[20:, 2] = np.nan

    ahead = filter_shares(
        shares, np.full((30, 3), 300.0), days_from(MONDAY, 30), space_of(), horizon=1
    )

    assert ahead[19, 0, 2, 0] == pytest.approx(0.25, abs=0.002)
    assert 0.27 < ahead[29, 0, 2, 0] < ahead[29, 0, 1, 0]


def test_a_day_without_any_value_lets_levels_fade_and_nothing_else() -> None:
    space = space_of()
    state = starting_state(space, np.full((7, 3, 4), 0.25), np.full((7, 3), 100.0))
    unknown = np.full((3, 4), np.nan)
    assert update(space, state, unknown, np.full(3, 100.0), season=0.0, weekday=0) is state


def test_levels_and_shocks_fade_and_the_rest_stays() -> None:
    space = space_of(level_persistence=0.9, shock_persistence=0.5)
    state = starting_state(space, np.full((7, 3, 4), 0.25), np.full((7, 3), 100.0))
    state.mean = np.ones_like(state.mean)

    moved = predict(space, state).mean

    # 12 of M, 12 of A, 4 of B, 4 of S, 28 of D.
    npt.assert_array_equal(moved, np.repeat([1.0, 0.9, 0.5, 1.0, 1.0], [12, 12, 4, 4, 28]))


def test_levels_and_shocks_are_stationary_at_the_start() -> None:
    space = space_of()
    state = starting_state(space, np.full((7, 3, 4), 0.25), np.full((7, 3), 100.0))
    first, later = state.covariance, predict(space, state).covariance
    npt.assert_allclose(later[12:28, 12:28], first[12:28, 12:28], rtol=1e-12)


def test_an_update_is_the_kalman_update_in_a_case_of_one_segment_and_two_brands() -> None:
    """Logit x = eta_1 - eta_2 with prior variance 2 v of the two means, p = 1/2, slope 1/4."""
    space = state_space(
        parameters_of(
            {
                **dict.fromkeys(("common_sd", "shock_sd", "season_sd", "weekday_sd"), 0.0),
                "mean_sd": 0.3,
                "own_sd": 1e-9,
                "extra_sd": 0.0,
                "overdispersion": 1.0,
            }
        ),
        segments=np.array(["s"]),
        brands=np.array(["b0", "b1"]),
        labels={},
    )
    state = starting_state(space, np.full((7, 1, 2), 0.5), np.full((7, 1), 100.0))

    after = update(space, state, np.array([[0.55, 0.45]]), np.array([100.0]), season=0.5, weekday=3)

    # Slope of p_1 on x is p (1 - p) = 1/4, noise p (1 - p) / N = 1/400, variance of x 0.18.
    gain = 0.18 * 0.25 / (0.18 * 0.25**2 + 1 / 400)
    assert after.mean[0] - after.mean[1] == pytest.approx(gain * 0.05, rel=1e-6)
    left = np.array([1.0, -1.0]) @ after.covariance[:2, :2] @ np.array([1.0, -1.0])
    assert left == pytest.approx(0.18 * (1 - gain * 0.25), rel=1e-6)


def test_a_surprise_counts_as_no_more_than_the_clip() -> None:
    space = space_of(clip_sd=2.0)
    state = starting_state(space, np.full((7, 3, 4), 0.25), np.full((7, 3), 100.0))
    counts, usual = np.full(3, 100.0), [0.25] * 4

    def moved(first: float) -> FloatArray:
        shares = np.array([[first, *[(1 - first) / 3] * 3], usual, usual])
        after = update(space, state, shares, counts, season=0.0, weekday=0)
        return np.asarray(after.mean - state.mean)

    npt.assert_allclose(moved(0.99), moved(0.9), atol=1e-12)
    assert np.abs(moved(0.9)).max() > 1.5 * np.abs(moved(0.3)).max()


def test_the_pooled_surprise_is_the_weighted_mean_of_relative_errors() -> None:
    shares = np.array([[0.3, 0.7], [0.5, 0.5], [np.nan, 0.5]])
    forecast = np.array([[0.2, 0.8], [0.5, 0.5], [0.5, 0.5]])
    # Brand 0: (100 x 0.1 + 2 x 50 x 0) / (100 x 0.2 + 4 x 50 x 0.5) = 10 / 120.
    found = pooled_surprise(
        shares, forecast, np.array([100.0, 50.0, 50.0]), np.array([1.0, 2.0, 1.0])
    )
    npt.assert_allclose(found, [10 / 120, -10 / (80 + 100)])


def test_a_surprise_that_comes_again_is_foreseen_up_to_its_lag_and_not_beyond() -> None:
    rng = np.random.default_rng(3)
    base = rng.normal(0, 0.15, (14, 4))
    planted = softmax(np.log(0.25) + np.tile(base, (20, 1))[:, None, :].repeat(3, 1))
    flat = np.full((280, 28, 3, 4), 0.25)
    args = (planted, np.full((280, 3), 300.0), np.ones(3), ShareFilterParameters())

    raised = add_returning_surprises(flat, *args)

    for step in (1, 14):
        origins = np.arange(200, 280 - step)
        error = np.abs(raised[origins, step - 1] - planted[origins + step]).mean()
        assert error < 0.25 * np.abs(planted - 0.25).mean()
    npt.assert_array_equal(raised[:, 14:], flat[:, 14:])


def test_series_are_put_back_where_the_panel_has_them() -> None:
    layout = lay_out_shares(panel_of([[20.0, 30.0, 80.0, 70.0]]))
    assert layout.segments.tolist() == ["여", "남"]
    assert layout.brands.tolist() == ["가", "나"]
    assert layout.labels["party"].tolist() == ["여", "남"]
    npt.assert_array_equal(layout.values, [[[20, 80], [30, 70]]])
    npt.assert_array_equal(layout.to_series(layout.values), [[20, 30, 80, 70]])
    assert len(SERIES) == 4


def test_a_day_is_the_one_that_ends_at_the_valid_time_in_the_sources_zone() -> None:
    # The first valid time is 2024-01-01T15:00Z, the end of Monday 2024-01-01 in Seoul.
    layout = lay_out_shares(panel_of(random_shares(3)))
    assert layout.days.astype(str).tolist() == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert weekday(layout.days).tolist() == [0, 1, 2]


def test_the_season_is_lowest_at_the_end_of_january_and_highest_half_a_year_later() -> None:
    year = days_from(MONDAY, 366)
    season = yearly_season(year)
    assert str(year[season.argmin()]) == "2024-01-30"
    assert str(year[season.argmax()]) in {"2024-07-30", "2024-07-31"}
    assert (season.min(), season.max()) == pytest.approx((-1, 1), abs=1e-3)


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"own_sdd": 0.1}, "own_sdd"),
        ({"own_sd": 0.0}, "own_sd"),
        ({"loadings": {"여자": 1.0}}, "여자"),
        ({"brand_scale": {"다": 1.0}}, "다"),
        ({"group_sd": {"age": 0.1}}, "age"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(params: dict[str, object], told: str) -> None:
    with pytest.raises(ProblemError, match=told):
        share_filter(panel_of(random_shares(10)), "tea", **params)


def test_a_panel_that_is_not_daily_is_refused() -> None:
    panel = panel_of(random_shares(10))
    with pytest.raises(ProblemError, match="daily"):
        lay_out_shares(replace(panel, frequency=panel.frequency * 7))


def test_segments_without_brands_are_refused() -> None:
    panel = panel_of(random_shares(10), panel_problem(transform="difference"))
    with pytest.raises(ProblemError, match="brand"):
        lay_out_shares(panel)


needs_real_data = pytest.mark.skipif(
    not FILE.is_file(), reason="the shared evaluation data is not beside the project"
)


@pytest.fixture(scope="module")
def real() -> ShareLayout:
    """The shares of 2024, from the shared file."""
    with FILE.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    source = load_problem(problem_files()["sports_drink_share"]).target_source
    assert source.kind == "values"
    keys = source.keys
    days = sorted({row["period"] for row in rows})
    values = np.full((len(days), 2, 6, 5), np.nan)
    for row in rows:
        place = (keys[key].index(row[key]) for key in ("gender", "age_group", "brand"))
        values[(days.index(row["period"]), *place)] = float(row["ratio"])
    pairs = [(gender, age) for gender in keys["gender"] for age in keys["age_group"]]
    return ShareLayout(
        values=values.reshape(len(days), 12, 5),
        days=np.array(days, dtype="datetime64[D]"),
        segments=np.array(["/".join(pair) for pair in pairs]),
        brands=np.array(keys["brand"]),
        labels={
            "gender": np.array([gender for gender, _ in pairs]),
            "age_group": np.array([age for _, age in pairs]),
        },
        series=np.arange(60),
    )


@pytest.fixture(scope="module")
def counts(real: ShareLayout) -> FloatArray:
    return recover_counts(real.values)


@pytest.fixture(scope="module")
def errors(real: ShareLayout, counts: FloatArray) -> dict[int, float]:
    """Mean absolute error by lead on the days 2024-09-25 .. 2024-12-23, percentage points."""
    ahead = forecast_layout(real, counts, PARAMETERS, horizon=28)
    first = int(np.searchsorted(real.days, np.datetime64("2024-09-25")))
    scored = np.arange(first, len(real.days))
    assert len(scored) == 90
    return {
        lead: float(np.abs(100 * ahead[scored - lead, lead - 1] - real.values[scored]).mean())
        for lead in (1, 7, 28)
    }


@needs_real_data
@pytest.mark.parametrize(("lead", "mae"), [(1, 3.029), (7, 3.169), (28, 3.483)])
def test_the_shares_of_autumn_2024_are_forecast_as_well_as_measured(
    errors: dict[int, float], lead: int, mae: float
) -> None:
    assert errors[lead] == pytest.approx(mae, abs=0.01)


@needs_real_data
def test_counts_of_the_real_segments_are_recovered_every_day(counts: FloatArray) -> None:
    assert not np.isnan(counts).any()
    # Men of 10 are the smallest segment, women of 40 the largest.
    assert np.median(counts, axis=0).round().tolist()[6] == pytest.approx(68, abs=1)
    assert np.median(counts, axis=0).round().tolist()[3] == pytest.approx(737, abs=1)
