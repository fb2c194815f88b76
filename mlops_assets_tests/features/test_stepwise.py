from __future__ import annotations

from mlops_assets.features.stepwise import columns_by_design_name, design_name, step_column


def test_a_step_has_two_digits_and_more_where_it_needs_them() -> None:
    assert [step_column("x", step) for step in (1, 28, 100)] == ["x@01", "x@28", "x@100"]


def test_the_design_name_is_the_column_s_without_its_step() -> None:
    assert [design_name(c) for c in ("x@01", "x@100", "x", "x_7", "x@1")] == [
        "x",
        "x",
        "x",
        "x_7",
        "x@1",
    ]


def test_columns_are_gathered_by_feature_in_their_order() -> None:
    assert columns_by_design_name(["b@01", "a", "b@02"]) == {"b": ["b@01", "b@02"], "a": ["a"]}
