"""A problem file that cannot be used is refused with file, key, rule and remedy."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import mlops_assets
from mlops_assets.problem import (
    ForecastProblem,
    ProblemError,
    floor_to_grid,
    load_problem,
    parse_duration,
)

SHIPPED = Path(mlops_assets.__file__).parent / "defs/bitcoin_close/defs.yaml"
Attributes = dict[str, Any]
Change = Callable[[Attributes], object]


@pytest.fixture
def refused(tmp_path: Path) -> Callable[[Change], str]:
    """Load the shipped problem with one change; the message without the file's path in front."""

    def load(change: Change) -> str:
        path = tmp_path / "defs.yaml"
        document = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
        change(document["attributes"])
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
        with pytest.raises(ProblemError) as caught:
            load_problem(path)
        lines = str(caught.value).splitlines()
        assert all(line.startswith(f"{path}: ") for line in lines), lines
        return "\n".join(line.removeprefix(f"{path}: ") for line in lines)

    return load


def test_the_shipped_problem_loads_and_knows_its_parts() -> None:
    problem = load_problem(SHIPPED)

    assert problem.target_source.title == "BTC/USDT spot, Binance"
    assert list(problem.exogenous) == ["ndx", "vix", "gold"]
    assert problem.baselines == ("last_value", "drift")
    assert problem.frequency == timedelta(hours=1)
    assert problem.candidates["random_forest"].window == timedelta(days=365)


def test_a_candidate_that_is_not_enabled_is_as_if_it_were_not_in_the_file(tmp_path: Path) -> None:
    document = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    candidates = document["attributes"]["candidates"]
    for name, candidate in candidates.items():
        candidate["enabled"] = name not in {"ridge", "drift"}
    path = tmp_path / "defs.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")

    problem = load_problem(path)

    assert set(problem.candidates) == set(candidates) - {"ridge", "drift"}
    assert problem.baselines == ("last_value",)
    assert problem.compared_only == ("prophet",)


def test_a_misspelt_key_is_named_with_its_place(refused: Callable[[Change], str]) -> None:
    message = refused(lambda a: a["candidates"]["ridge"].update(target_clipp=4))

    assert message == (
        "candidates.ridge.target_clipp = 4: no such key; remove it or correct its spelling"
    )


def test_a_missing_key_is_named(refused: Callable[[Change], str]) -> None:
    assert refused(lambda a: a["band"].pop("window")) == (
        "band.window: this key is required; add it"
    )


def test_every_fault_is_told_at_once(refused: Callable[[Change], str]) -> None:
    def change(attributes: Attributes) -> None:
        del attributes["title"]
        attributes["evaluation"]["fold"] = 3

    lines = refused(change).splitlines()

    assert lines == [
        "title: this key is required; add it",
        "evaluation.fold = 3: no such key; remove it or correct its spelling",
    ]


@pytest.mark.parametrize("value", ["1 hour", "h", "-1h", "1y", "", 3600, None])
def test_a_wrong_duration_is_shown_with_the_way_to_write_it(
    value: object, refused: Callable[[Change], str]
) -> None:
    message = refused(lambda a: a.update(frequency=value))

    assert message == (
        f"frequency: {value!r} is not a duration; write a number and a unit out of s, m, h, d, w, "
        "such as 90m"
    )


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 9999), st.sampled_from("smhdw"))
def test_durations_are_numbers_of_a_unit(number: int, unit: str) -> None:
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}[unit]

    assert parse_duration(f"{number}{unit}") == timedelta(seconds=number * seconds)
    assert parse_duration(f" {number} {unit} ") == timedelta(seconds=number * seconds)


def test_durations_may_be_fractions_and_pass_through_when_they_are_durations_already() -> None:
    assert parse_duration("1.5h") == timedelta(minutes=90)
    assert parse_duration(timedelta(days=2)) == timedelta(days=2)


CONTRADICTIONS: dict[str, tuple[Change, str]] = {
    "frequency and bar": (
        lambda a: a.update(frequency="2h"),
        "(the whole file): frequency 2:00:00 differs from the period 1:00:00 of source 'btc'; "
        "make them equal",
    ),
    "unknown target": (
        lambda a: a["target"].update(source="eth"),
        "(the whole file): target.source 'eth' is not in sources; use one of btc, gold, ndx, vix",
    ),
    "a second target": (
        lambda a: a["sources"]["vix"].update(role="target", max_age=None),
        "(the whole file): sources with role target are ['btc', 'vix'], target.source is 'btc'; "
        "exactly that one must have role target",
    ),
    "age of the target": (
        lambda a: a["sources"]["btc"].update(max_age="6h"),
        "sources.btc: `max_age` is for exogenous sources; remove it from the target",
    ),
    "no age": (
        lambda a: a["sources"]["vix"].pop("max_age"),
        "sources.vix: an exogenous source needs `max_age`: how old its value may be",
    ),
    "range upside down": (
        lambda a: a["sources"]["vix"].update(plausible=[200, 1]),
        "sources.vix: `plausible` (200.0, 1.0) must be [low, high] with low < high",
    ),
    "feature of no source": (
        lambda a: a["features"].append({"kind": "as_of_age", "source": "oil"}),
        "(the whole file): features: as_of_age names source 'oil'; "
        "use one of btc, gold, ndx, vix, calendar, events",
    ),
    "unknown scale set": (
        lambda a: a["scale"].update(features="volatilty"),
        "(the whole file): scale.features 'volatilty' is no feature set; "
        "use one of price_and_time, reversal, sequence, volatility, wide",
    ),
    "unknown feature set": (
        lambda a: a["candidates"]["ridge"].update(features="narrow"),
        "(the whole file): candidates.ridge.features 'narrow' is no feature set; "
        "use one of price_and_time, reversal, sequence, volatility, wide",
    ),
    "lead past the horizon": (
        lambda a: a["evaluation"].update(leads=[1, 2]),
        "(the whole file): evaluation.leads (1, 2) must lie between 1 and horizon 1; "
        "raise horizon or drop the lead",
    ),
    "no baseline": (
        lambda a: [c.pop("baseline", None) for c in a["candidates"].values()],
        "(the whole file): candidates: none is a baseline; set `baseline: true` on at least one, "
        "since every promotion is measured against the strongest baseline",
    ),
    "a baseline that may not serve": (
        lambda a: a["candidates"]["drift"].update(promotable=False),
        "(the whole file): candidates.drift is a baseline with `promotable: false`; a baseline "
        "must be able to serve when nothing proves better; drop one of the two keys",
    ),
    "freshness upside down": (
        lambda a: a["freshness"]["raw"].update(warn_after="5h"),
        "freshness.raw: `warn_after` must be shorter than `fail_after`",
    ),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_keys_that_contradict_each_other_are_refused_with_rule_and_remedy(
    name: str, refused: Callable[[Change], str]
) -> None:
    change, message = CONTRADICTIONS[name]

    assert refused(change) == message


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda a: a.update(horizon=0), "horizon = 0: "),
        (lambda a: a["band"].update(coverage=1), "band.coverage = 1: "),
        (lambda a: a["evaluation"].update(loss="rmse"), "evaluation.loss = 'rmse': "),
        (lambda a: a["sources"]["btc"].update(start="2023-01-01"), "sources.btc.start = "),
        (lambda a: a["candidates"].update({"Ridge 2": {"family": "ridge"}}), "candidates.Ridge 2"),
    ],
)
def test_a_value_out_of_range_is_shown_beside_its_key(
    change: Change, key: str, refused: Callable[[Change], str]
) -> None:
    assert refused(change).startswith(key)


@pytest.mark.parametrize("text", ["", "- a list", "type: only", "attributes: [1]"])
def test_a_file_without_attributes_is_refused_with_what_to_write(text: str, tmp_path: Path) -> None:
    path = tmp_path / "defs.yaml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ProblemError) as caught:
        load_problem(path)

    assert str(caught.value) == (
        f"{path}: has no mapping `attributes`; write `type:` and `attributes:` as in "
        "`mlops new NAME` prints"
    )


def test_feature_sets_take_columns_by_pattern_in_the_order_of_the_table() -> None:
    problem = with_sets(some=["b_*", "a_1"], none=["a_*", "c_?"])
    columns = ["a_1", "b_2", "x", "b_1", "a_2"]

    assert problem.feature_columns("some", columns) == ["a_1", "b_2", "b_1"]


def test_a_pattern_that_matches_no_feature_is_named_with_its_set() -> None:
    problem = with_sets(some=["b_*", "c_?"])

    with pytest.raises(ProblemError) as caught:
        problem.feature_columns("some", ["a_1", "b_2"])

    assert str(caught.value) == (
        "bitcoin_close: feature_sets.some names 'c_?', which matches no feature; "
        "have a_1, b_2 ...; correct the pattern"
    )


def with_sets(**sets: list[str]) -> ForecastProblem:
    return load_problem(SHIPPED).model_copy(update={"feature_sets": sets})


@settings(max_examples=60, deadline=None)
@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2050, 1, 1)),  # noqa: DTZ001 made aware below
    st.sampled_from([timedelta(days=7), timedelta(hours=1), timedelta(minutes=17)]),
)
def test_the_grid_instant_before_is_on_the_grid_and_less_than_a_stride_away(
    naive: datetime, every: timedelta
) -> None:
    instant, anchor = naive.replace(tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)

    floor = floor_to_grid(instant, anchor=anchor, every=every)

    assert (floor - anchor) % every == timedelta(0)
    assert timedelta(0) <= instant - floor < every
