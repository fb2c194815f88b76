from __future__ import annotations

import polars as pl
import pytest

from mlops_assets.replay.isolation import ReplayError
from mlops_assets.replay.rules import (
    Reign,
    by_candidate,
    compare_rules,
    live_error,
    main_candidate,
    ratios,
    reigns,
    rows_of,
)
from mlops_assets_tests.end_to_end.planted import HOUR, candidates, problem
from mlops_assets_tests.replay.played import (
    CLOSING,
    ERRORS,
    FIRST,
    LOSSES,
    SECOND,
    VERSIONS,
    live_scores,
    step,
    steps,
)

PROBLEM = problem()


def test_the_gate_is_what_the_replay_did() -> None:
    assert reigns("gate", steps(), LOSSES, PROBLEM) == [
        Reign(FIRST, "ridge", "2"),
        Reign(SECOND, "ridge", "5"),
    ]


def test_the_lower_backtest_loss_takes_over_at_each_training() -> None:
    assert reigns("lower", steps(), LOSSES, PROBLEM) == [
        Reign(FIRST, "ridge", "2"),
        Reign(SECOND, "boosting", "6"),
    ]


def test_a_candidate_that_is_compared_only_never_takes_over() -> None:
    chosen = candidates("last_value", "ridge", "boosting")
    chosen["boosting"]["promotable"] = False

    held = reigns("lower", steps(), LOSSES, problem(candidates=chosen))

    assert held[1] == Reign(SECOND, "ridge", "5")


def test_a_candidate_whose_fit_was_not_registered_cannot_take_over() -> None:
    faulty = [steps()[0], step(SECOND, "ridge", "5", {"last_value": "4", "ridge": "5"}, "refresh")]

    assert reigns("lower", faulty, LOSSES, PROBLEM)[1] == Reign(SECOND, "ridge", "5")


def test_the_newest_fit_of_the_main_recipe_takes_over_whatever_it_scores() -> None:
    assert main_candidate(PROBLEM) == "ridge"
    held = reigns("newest", steps(), LOSSES, PROBLEM, newest_of="boosting")
    assert [reign.version for reign in held] == ["3", "6"]


def test_a_step_without_training_changes_no_holder() -> None:
    quiet = [steps()[0], step(SECOND, "ridge", "2", {}, None)]

    for rule in ("lower", "newest"):
        assert reigns(rule, quiet, LOSSES, PROBLEM)[1] == Reign(SECOND, "ridge", "2")


def test_a_problem_of_baselines_alone_has_no_main_recipe() -> None:
    with pytest.raises(ReplayError, match=r"add a candidate to its defs\.yaml"):
        main_candidate(problem(candidates=candidates("last_value")))


def test_each_holder_is_scored_from_its_origin_to_the_next() -> None:
    held = [Reign(FIRST, "ridge", "2"), Reign(SECOND, "boosting", "6")]

    rows = rows_of(live_scores(), held, PROBLEM, until=SECOND + 13 * HOUR)

    assert rows["version"].to_list() == ["2", "2", "6"]  # the last one starts at the end
    assert rows["step_origin"].to_list() == [FIRST, FIRST, SECOND]


def test_errors_stand_beside_the_last_values_on_the_same_rows() -> None:
    held = [Reign(FIRST, "ridge", "2"), Reign(SECOND, "boosting", "6")]

    error = live_error(rows_of(live_scores(), held, PROBLEM, until=CLOSING))

    # Absolute errors 1, 1, 5, 5; squares 1, 1, 25, 25; the last value errs by 4 throughout.
    assert error is not None
    assert (error.n, error.mae, error.mae_last_value) == (4, 3.0, 4.0)
    assert error.rmse == pytest.approx(13**0.5)
    assert error.rmse_last_value == 4.0
    assert error.coverage == 0.5
    assert ratios(error) == {
        "mae_ratio_to_last_value": 0.75,
        "rmse_ratio_to_last_value": pytest.approx(13**0.5 / 4),
    }


def test_nothing_that_came_true_has_no_error() -> None:
    assert live_error(live_scores().clear()) is None


def test_a_last_value_that_never_erred_has_no_ratio() -> None:
    still = live_scores().with_columns(last_value=pl.col("actual"))
    error = live_error(still)
    assert error is not None
    assert ratios(error) == {"mae_ratio_to_last_value": None, "rmse_ratio_to_last_value": None}


def test_the_rules_are_compared_on_one_replay() -> None:
    compared = compare_rules(live_scores(), steps(), LOSSES, PROBLEM, until=CLOSING)

    gate, lower, newest = compared
    assert [found.rule for found in compared] == ["gate", "lower", "newest"]
    assert (gate.promotions, gate.churn, gate.versions, gate.missing) == (1, 0, 1, 0)
    assert (lower.promotions, lower.churn, lower.versions, lower.missing) == (2, 1, 1, 0)
    assert newest == gate.model_copy(update={"rule": "newest"})
    # gate: 1, 1, 2, 2; lower: 1, 1, 5, 5.
    assert gate.live is not None
    assert lower.live is not None
    assert (gate.live.mae, lower.live.mae) == (1.5, 3.0)


def test_each_candidate_has_errors_of_its_own_fits() -> None:
    found = by_candidate(live_scores(), steps(), PROBLEM, until=CLOSING)

    # boosting errs by 3 on the first day and by 5 on the second.
    assert {name: error and error.mae for name, error in found.items()} == {
        "last_value": 4.0,
        "ridge": 1.5,
        "boosting": 4.0,
    }


def test_forecasts_that_a_rule_would_have_needed_and_nobody_made_are_counted() -> None:
    without = {version: error for version, error in ERRORS.items() if version != "6"}

    _, lower, _ = compare_rules(live_scores(without), steps(), LOSSES, PROBLEM, until=CLOSING)

    assert lower.missing == 2
    assert lower.live is not None
    assert lower.live.n == 2
    assert VERSIONS[1]["boosting"] == "6"
