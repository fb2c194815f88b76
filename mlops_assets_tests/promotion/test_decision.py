"""Each rule of the gate on a frame made for it, and its p-values by another route."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS

from mlops_assets.evaluation.leaderboard import NoBaselineError
from mlops_assets.evaluation.rows import BacktestRowsError
from mlops_assets.problem import ForecastProblem
from mlops_assets.promotion.decision import NoSaneFitError, decide, look_alpha
from mlops_assets.promotion.verdict import GateTest, Incumbent, Verdict
from mlops_assets_tests.evaluation.frames import (
    HOUR,
    START,
    backtest_frame,
    share_problem,
    small_problem,
)

N = 504
AS_OF = START + N * HOUR
RIDGE = Incumbent(candidate="ridge", recipe_id="ridge-1")
DECIDES_AT_ONE = share_problem(leads=(1, 3), promotion={"leads": [1]})


def noise(seed: int, scale: float = 1.0) -> npt.NDArray[np.float64]:
    return scale * np.random.default_rng(seed).normal(size=N)


def make_frame(shares: dict[str, float], seed: int = 0) -> pl.DataFrame:
    """Moves of sd 1 around 100; each candidate errs by its share of the move, plus own noise.

    A share of 1 is the last value's error, less is better; noise of sd 0.05 keeps all apart.
    """
    move = noise(seed)
    actual = 100 + move
    points = {
        name: actual - share * move + noise(seed + 100 + k, 0.05)
        for k, (name, share) in enumerate(shares.items())
    }
    return backtest_frame(actual, points, baselines=("last_value", "drift"))


def judge(
    frame: pl.DataFrame,
    incumbent: Incumbent | None = None,
    *,
    problem: ForecastProblem | None = None,
    look: int = 1,
    faulty_fits: Mapping[str, str] = MappingProxyType({}),
    barred: Mapping[str, str] = MappingProxyType({}),
) -> Verdict:
    return decide(
        frame,
        problem or small_problem(),
        incumbent=incumbent,
        as_of=AS_OF,
        look=look,
        faulty_fits=faulty_fits,
        barred=barred,
    )


def find(verdict: Verdict, challenger: str, against: str, purpose: str = "better") -> GateTest:
    (test,) = (
        t
        for t in verdict.tests
        if (t.challenger, t.against, t.purpose) == (challenger, against, purpose)
    )
    return test


# --- the first look -----------------------------------------------------------------------------


def test_without_incumbent_a_challenger_that_beats_the_strongest_baseline_takes_the_alias() -> None:
    verdict = judge(make_frame({"last_value": 1.0, "drift": 1.1, "ridge": 0.8, "forest": 1.0}))
    assert (verdict.decision, verdict.candidate, verdict.previous) == ("promote", "ridge", None)
    assert verdict.recipe_id == "ridge-1"
    assert verdict.strongest_baseline == "last_value"
    assert verdict.alpha == 0.05
    assert [t.challenger for t in verdict.tests] == ["ridge", "forest"]
    assert "No incumbent" in verdict.reasons[0]


def test_without_incumbent_the_baseline_is_champion_when_nobody_proves_better() -> None:
    verdict = judge(make_frame({"last_value": 1.0, "drift": 1.1, "ridge": 1.0}, seed=4))
    assert (verdict.decision, verdict.candidate) == ("promote", "last_value")
    assert "No challenger proved better" in verdict.reasons[-1]


def test_lower_loss_alone_promotes_nobody() -> None:
    verdict = judge(make_frame({"last_value": 1.0, "ridge": 0.999}, seed=1))
    assert verdict.mean_losses["ridge"] < verdict.mean_losses["last_value"]
    assert verdict.candidate == "last_value"


def test_a_constant_advantage_has_no_variance_and_proves_nothing() -> None:
    sign = np.where(np.arange(N) % 2, 1.0, -1.0)
    frame = backtest_frame(
        100 + 4 * sign, {"last_value": np.full(N, 100.0), "ridge": 100 + 1 * sign}
    )
    verdict = judge(frame)
    assert verdict.candidate == "last_value"
    assert find(verdict, "ridge", "last_value").p_value == 1


# --- later looks --------------------------------------------------------------------------------


def test_a_challenger_must_beat_the_incumbent_and_the_strongest_baseline() -> None:
    # The incumbent is worse than the baseline; the challenger lies between them.
    frame = make_frame({"last_value": 1.0, "ridge": 1.2, "forest": 1.1})
    verdict = judge(frame, RIDGE)
    assert find(verdict, "forest", "ridge").p_value < 1e-6
    assert find(verdict, "forest", "last_value").p_value > 0.5
    assert not find(verdict, "forest", "ridge").passed
    assert verdict.candidate != "forest"


def test_an_incumbent_significantly_worse_than_the_strongest_baseline_loses_the_alias_to_it() -> (
    None
):
    verdict = judge(make_frame({"last_value": 1.0, "drift": 1.1, "ridge": 1.2}), RIDGE)
    assert (verdict.decision, verdict.candidate) == ("promote", "last_value")
    assert verdict.previous == "ridge"
    assert find(verdict, "last_value", "ridge").passed
    assert "last_value proved better" in " ".join(verdict.reasons)


def test_an_incumbent_that_is_only_a_little_worse_than_the_baseline_stays() -> None:
    verdict = judge(make_frame({"last_value": 1.0, "ridge": 1.002}), RIDGE)
    assert verdict.mean_losses["last_value"] < verdict.mean_losses["ridge"]
    assert (verdict.decision, verdict.candidate) == ("refresh", "ridge")


def test_a_challenger_that_beats_both_takes_the_alias_from_the_incumbent() -> None:
    verdict = judge(make_frame({"last_value": 1.0, "ridge": 0.9, "forest": 0.7}), RIDGE)
    assert (verdict.decision, verdict.candidate, verdict.previous) == ("promote", "forest", "ridge")
    assert verdict.alpha == pytest.approx(0.05 / 52)
    assert {(t.challenger, t.against) for t in verdict.tests} == {
        ("forest", "ridge"),
        ("forest", "last_value"),
        ("last_value", "ridge"),
    }


def test_among_several_that_pass_the_lowest_loss_wins() -> None:
    shares = {"last_value": 1.0, "forest": 0.7, "boosting": 0.5, "ridge": 0.9}
    verdict = judge(make_frame(shares), RIDGE)
    passed = {t.challenger for t in verdict.tests if t.passed}
    assert passed == {"forest", "boosting"}
    assert verdict.candidate == "boosting"


def test_the_incumbent_that_nobody_beats_is_refreshed() -> None:
    verdict = judge(make_frame({"last_value": 1.0, "ridge": 0.8, "forest": 0.81}), RIDGE)
    assert (verdict.decision, verdict.candidate, verdict.previous) == ("refresh", "ridge", "ridge")


def test_a_refit_that_is_not_sane_leaves_the_version_that_holds_the_alias() -> None:
    frame = make_frame({"last_value": 1.0, "ridge": 0.8})
    verdict = judge(frame, RIDGE, faulty_fits={"ridge": "parity 3 of 1000 rows"})
    assert (verdict.decision, verdict.candidate) == ("keep", "ridge")
    assert "parity 3 of 1000 rows" in verdict.reasons[-1]


def test_a_challenger_whose_fit_is_not_sane_cannot_take_the_alias() -> None:
    frame = make_frame({"last_value": 1.0, "ridge": 0.9, "forest": 0.7, "boosting": 0.8})
    verdict = judge(frame, RIDGE, faulty_fits={"forest": "not finite"})
    assert verdict.candidate == "boosting"
    assert "not finite" in next(r for r in verdict.reasons if r.startswith("forest"))


def test_a_barred_challenger_is_tested_and_told_and_does_not_take_the_alias() -> None:
    frame = make_frame({"last_value": 1.0, "ridge": 0.9, "forest": 0.7, "boosting": 0.8})
    verdict = judge(frame, RIDGE, barred={"forest": "it was rolled back"})
    assert find(verdict, "forest", "ridge").passed
    assert verdict.candidate == "boosting"
    sentence = next(r for r in verdict.reasons if r.startswith("forest"))
    assert sentence.endswith("It cannot take the alias: it was rolled back.")


def compared_only(name: str) -> ForecastProblem:
    """The small problem with a candidate that may never serve."""
    described = small_problem().model_dump()
    compared = {"family": "ridge", "features": "volatility", "promotable": False}
    described["candidates"] |= {name: compared}
    return ForecastProblem.model_validate(described)


def test_a_candidate_for_comparison_only_is_no_challenger_and_the_verdict_says_so() -> None:
    frame = make_frame({"last_value": 1.0, "ridge": 0.9, "prophet": 0.5})

    verdict = judge(frame, problem=compared_only("prophet"))

    assert verdict.candidate == "ridge"
    assert {test.challenger for test in verdict.tests} == {"ridge"}
    assert verdict.mean_losses["prophet"] < verdict.mean_losses["ridge"]
    assert (
        verdict.reasons[1] == "For comparison only, never promoted (`promotable: false`): prophet."
    )


def test_a_candidate_for_comparison_only_takes_no_share_of_the_level() -> None:
    frame = make_frame({"last_value": 1.0, "ridge": 0.97, "prophet": 0.97}, seed=2)

    alone = judge(frame, problem=compared_only("prophet"))
    together = judge(frame)

    (own,) = (test for test in alone.tests if test.purpose == "better")
    assert own.holm_p_value == own.p_value
    assert find(together, "ridge", "last_value").p_value == own.p_value


def test_an_incumbent_that_was_made_a_comparison_gives_way() -> None:
    frame = make_frame({"last_value": 1.0, "ridge": 0.7})

    verdict = judge(frame, RIDGE, problem=compared_only("ridge"))

    assert (verdict.decision, verdict.candidate) == ("promote", "last_value")
    assert "no longer among the candidates" in verdict.reasons[0]


@pytest.mark.parametrize("frame_names", [("last_value", "forest"), ("last_value", "ridge")])
def test_an_incumbent_whose_recipe_is_gone_is_tested_as_if_there_were_none_at_a_later_level(
    frame_names: tuple[str, ...],
) -> None:
    gone = Incumbent(candidate="ridge", recipe_id="ridge-0")
    verdict = judge(make_frame(dict(zip(frame_names, (1.0, 0.7), strict=True))), gone)
    assert (verdict.decision, verdict.candidate) == ("promote", frame_names[1])
    assert verdict.previous == "ridge"
    assert verdict.alpha == pytest.approx(0.05 / 52)
    assert "no longer among the candidates" in verdict.reasons[0]
    assert "ridge-0" in verdict.reasons[0]


def test_an_incumbent_whose_recipe_is_gone_gives_way_to_the_baseline_when_nobody_is_better() -> (
    None
):
    gone = Incumbent(candidate="lstm", recipe_id="lstm-1")
    verdict = judge(make_frame({"last_value": 1.0, "ridge": 1.0}, seed=4), gone)
    assert (verdict.decision, verdict.candidate, verdict.previous) == (
        "promote",
        "last_value",
        "lstm",
    )


def test_a_baseline_that_holds_the_alias_is_refreshed_like_any_other() -> None:
    frame = make_frame({"last_value": 1.0, "drift": 1.1, "ridge": 1.0}, seed=4)
    verdict = judge(frame, Incumbent(candidate="last_value", recipe_id="last_value-1"))
    assert (verdict.decision, verdict.candidate) == ("refresh", "last_value")


# --- guards -------------------------------------------------------------------------------------


def spiky_frame() -> pl.DataFrame:
    """A challenger better by half in most hours, and far off in every twelfth."""
    move = noise(0)
    actual = 100 + move
    spike = np.where(np.arange(N) % 12 == 0, 4.0, 0.0)
    points = {"last_value": np.full(N, 100.0), "spiky": actual - 0.3 * move - spike}
    return backtest_frame(actual, points)


def test_a_challenger_significantly_worse_on_a_guard_loss_is_out() -> None:
    guarded = small_problem(evaluation={"guards": ["squared_error"]})
    free = small_problem()
    assert judge(spiky_frame(), problem=free).candidate == "spiky"
    verdict = judge(spiky_frame(), problem=guarded)
    assert verdict.candidate == "last_value"
    guard = find(verdict, "spiky", "last_value", "guard")
    assert not guard.passed
    assert (guard.loss, guard.alpha, guard.holm_p_value) == ("squared_error", 0.05, None)
    assert find(verdict, "spiky", "last_value").passed
    assert "significantly worse" in next(r for r in verdict.reasons if r.startswith("spiky"))


def test_a_guard_loss_that_is_no_worse_lets_the_challenger_pass() -> None:
    guarded = small_problem(evaluation={"guards": ["squared_error"]})
    verdict = judge(make_frame({"last_value": 1.0, "ridge": 0.8}), problem=guarded)
    assert find(verdict, "ridge", "last_value", "guard").p_value > 0.99
    assert verdict.candidate == "ridge"


# --- levels -------------------------------------------------------------------------------------


def test_looks_share_the_yearly_budget_and_one_too_many_has_none_left() -> None:
    problem = small_problem(promotion={"yearly_error_budget": 0.04, "looks_per_year": 8})
    assert look_alpha(problem, None, 1) == 0.05
    assert look_alpha(problem, RIDGE, 1) == 0.005
    assert look_alpha(problem, RIDGE, 8) == 0.005
    assert look_alpha(problem, RIDGE, 9) == 0
    frame = make_frame({"last_value": 1.0, "ridge": 0.9, "forest": 0.1})
    assert judge(frame, RIDGE, problem=problem, look=8).candidate == "forest"
    spent = judge(frame, RIDGE, problem=problem, look=9)
    assert (spent.decision, spent.candidate, spent.look) == ("refresh", "ridge", 9)
    assert "look 9 of 8" in spent.reasons[0]


def test_a_look_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="look 0"):
        look_alpha(small_problem(), RIDGE, 0)


def test_holm_makes_a_borderline_challenger_fail_in_company() -> None:
    frame = make_frame({"last_value": 1.0, "ridge": 0.995, "forest": 1.0, "boosting": 1.0}, seed=9)
    alone = judge(frame.filter(pl.col("candidate").is_in(["last_value", "ridge"])))
    together = judge(frame)
    p = find(alone, "ridge", "last_value").p_value
    assert 0.05 / 3 < p < 0.05
    assert alone.candidate == "ridge"
    assert find(together, "ridge", "last_value").holm_p_value == pytest.approx(3 * p)
    assert together.candidate == "last_value"


# --- figures and refusals -----------------------------------------------------------------------


def test_p_values_agree_with_a_regression_with_robust_errors() -> None:
    frame = make_frame({"last_value": 1.0, "ridge": 0.97, "forest": 0.95}, seed=3)
    verdict = judge(frame, RIDGE)
    losses = {
        name: (rows["point"] - rows["actual"]).abs().to_numpy()
        for (name,), rows in frame.group_by("candidate")
    }
    p_values = {}
    for against in ("ridge", "last_value"):
        d = losses["forest"] - losses[against]
        fit = OLS(d, np.ones(N)).fit(
            cov_type="HAC", cov_kwds={"maxlags": 5, "use_correction": False}
        )
        t = fit.params[0] / fit.bse[0] * math.sqrt((N - 1) / N)
        p_values[against] = stats.t(df=N - 1).cdf(t)
        test = find(verdict, "forest", against)
        assert test.p_value == pytest.approx(p_values[against], rel=1e-9)
        assert test.mean_differential == pytest.approx(d.mean())
        assert (test.bandwidth, test.n) == (5, N)
    # Two challengers: forest, and last_value against the incumbent (ridge), which is better.
    assert find(verdict, "forest", "ridge").holm_p_value == pytest.approx(
        2 * max(p_values.values())
    )


def test_the_verdict_carries_its_evidence_and_survives_json() -> None:
    verdict = judge(make_frame({"last_value": 1.0, "ridge": 0.8, "forest": 0.9}), RIDGE, look=3)
    assert (verdict.first_origin, verdict.last_origin) == (START, START + (N - 1) * HOUR)
    assert (verdict.rows, verdict.origins, verdict.look, verdict.looks_per_year) == (N, N, 3, 52)
    assert list(verdict.mean_losses) == ["ridge", "forest", "last_value"]
    assert verdict.as_of == AS_OF
    text = verdict.model_dump_json()
    assert Verdict.model_validate_json(text) == verdict
    assert json.loads(text)["tests"][0]["challenger"] == "forest"


def test_every_challenger_has_a_sentence_with_its_figures() -> None:
    verdict = judge(make_frame({"last_value": 1.0, "ridge": 0.8, "forest": 0.9}), RIDGE)
    sentence = next(r for r in verdict.reasons if r.startswith("forest"))
    assert f"{verdict.mean_losses['forest']:.6g}" in sentence
    assert f"{find(verdict, 'forest', 'ridge').p_value:.2g}" in sentence


def test_only_the_leads_of_the_problem_decide() -> None:
    good, bad = (
        make_frame({"last_value": 1.0, "ridge": 0.7}),
        make_frame({"last_value": 1.0, "ridge": 1.5}),
    )
    later = bad.with_columns(pl.lit(2, dtype=pl.Int64).alias("step"))
    both = pl.concat([good, later])
    assert judge(both).candidate == "ridge"
    at_two = share_problem(leads=(2,))
    assert judge(both, problem=at_two).candidate == "last_value"


def test_better_at_the_gates_lead_and_equal_at_another_is_enough() -> None:
    assert judge(two_leads(first=0.7, third=1.0), problem=DECIDES_AT_ONE).candidate == "ridge"


def test_what_only_shows_at_the_gates_lead_counts_there_alone() -> None:
    frame = two_leads(first=0.95, third=1.05)
    assert judge(frame, problem=DECIDES_AT_ONE).candidate == "ridge"
    assert judge(frame, problem=share_problem(leads=(1, 3))).candidate == "last_value"


def test_a_challenger_better_at_the_gates_lead_is_out_when_all_leads_together_are_worse() -> None:
    verdict = judge(two_leads(first=0.7, third=1.6), problem=DECIDES_AT_ONE)
    assert find(verdict, "ridge", "last_value").passed
    assert not find(verdict, "ridge", "last_value", "guard").passed
    assert verdict.candidate == "last_value"
    assert "Its absolute error is significantly worse" in " ".join(verdict.reasons)


def two_leads(*, first: float, third: float) -> pl.DataFrame:
    """Leads 1 and 3 of one panel's frame; `ridge` errs by these shares of the last value's."""
    near = make_frame({"last_value": 1.0, "ridge": first})
    far = make_frame({"last_value": 1.0, "ridge": third}, seed=5).with_columns(
        step=pl.lit(3, dtype=pl.Int64), valid_time=pl.col("valid_time").dt.offset_by("2h")
    )
    return pl.concat([near, far])


def test_a_baseline_without_a_sane_fit_is_passed_over_for_the_next() -> None:
    frame = make_frame({"last_value": 1.0, "drift": 1.1, "ridge": 1.0}, seed=4)
    assert judge(frame, faulty_fits={"last_value": "not finite"}).candidate == "drift"
    with pytest.raises(NoSaneFitError, match="not finite"):
        judge(frame, faulty_fits={"last_value": "not finite", "drift": "not finite"})


def test_a_backtest_that_allows_no_fair_comparison_is_refused() -> None:
    frame = make_frame({"last_value": 1.0, "ridge": 0.9})
    with pytest.raises(BacktestRowsError, match="'ridge' lacks the row"):
        judge(frame[:-1])
    with pytest.raises(NoBaselineError):
        judge(frame.filter(~pl.col("baseline")))
