from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path

import pytest

from mlops_assets_tests.serving.published import (
    AS_OF,
    BAND,
    ORIGINS,
    RECIPE,
    calibration_rows,
    input_rows,
    parquet,
)
from serving.domain_errors import SnapshotRefusedError
from serving.snapshot_content import parse_calibration, parse_inputs, parse_manifest, parse_verdict


def test_rows_are_found_by_series_and_origin_whatever_their_order_in_the_file(
    tmp_path: Path,
) -> None:
    rows = [*reversed(input_rows("btc")), *input_rows("alt", scale=0.5)]
    inputs = parse_inputs(parquet(rows, tmp_path))
    assert list(inputs.rows) == ["alt", "btc"]
    assert list(inputs.rows["btc"]) == list(ORIGINS)
    found = inputs.rows["btc"][AS_OF]
    assert inputs.last_value[found].tolist() == [60000.0]
    assert inputs.values[found][:, inputs.features["vol"]].tolist() == [0.005]


def test_steps_of_an_origin_stay_together_in_order(tmp_path: Path) -> None:
    rows = [{**input_rows()[0], "step": step, "vol": step / 10} for step in (3, 1, 2)]
    inputs = parse_inputs(parquet(rows, tmp_path))
    found = inputs.rows["btc"][ORIGINS[0]]
    assert inputs.step[found] == (1, 2, 3)
    assert inputs.values[found][:, inputs.features["vol"]].tolist() == [0.1, 0.2, 0.3]


def test_a_null_feature_becomes_nan(tmp_path: Path) -> None:
    inputs = parse_inputs(parquet(input_rows(), tmp_path))
    (value,) = inputs.values[inputs.rows["btc"][ORIGINS[1]], inputs.features["ret"]].tolist()
    assert math.isnan(value)


def test_a_key_that_occurs_twice_is_refused_and_named(tmp_path: Path) -> None:
    rows = [*input_rows(), input_rows()[0]]
    with pytest.raises(SnapshotRefusedError, match=r"\(btc, 2026-03-02T09:00:00\+00:00, 1\) twice"):
        parse_inputs(parquet(rows, tmp_path))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"last_value": None}, "no last_value in row 0"),
        ({"last_value": "many"}, "column last_value is .*must be a number"),
        ({"origin": datetime(2026, 3, 2)}, "column origin is .*instants with a zone"),  # noqa: DTZ001
        ({"valid_time": None}, "column valid_time"),
    ],
)
def test_values_that_no_forecast_can_rest_on_are_refused(
    changes: dict[str, object], words: str, tmp_path: Path
) -> None:
    with pytest.raises(SnapshotRefusedError, match=words):
        parse_inputs(parquet([{**input_rows()[0], **changes}], tmp_path))


def test_a_missing_column_is_refused_and_named(tmp_path: Path) -> None:
    rows = [{k: v for k, v in row.items() if k != "step"} for row in input_rows()]
    with pytest.raises(SnapshotRefusedError, match="has no column step"):
        parse_inputs(parquet(rows, tmp_path))


def test_a_file_that_is_no_parquet_is_refused() -> None:
    with pytest.raises(SnapshotRefusedError, match="not readable as Parquet"):
        parse_inputs(b"PAR1 but no more")


def test_calibration_of_each_recipe_lies_beside_the_inputs_rows(tmp_path: Path) -> None:
    inputs = parse_inputs(parquet([*input_rows("btc"), *input_rows("alt")], tmp_path))
    rows = [*reversed(calibration_rows("btc")), *calibration_rows("alt", recipe_id="r2")[:1]]
    calibration = parse_calibration(parquet(rows, tmp_path), inputs)
    # The inputs are sorted: four origins of `alt`, then four of `btc`.
    nothing = [math.nan] * 4
    found = {recipe: values["band_quantile"].tolist() for recipe, values in calibration.items()}
    assert found == {
        RECIPE: pytest.approx([*nothing, *BAND], nan_ok=True),
        "r2": pytest.approx([BAND[0], *nothing[1:], *nothing], nan_ok=True),
    }


def test_calibration_of_rows_that_are_not_published_is_left_out(tmp_path: Path) -> None:
    inputs = parse_inputs(parquet(input_rows()[-1:], tmp_path))
    calibration = parse_calibration(parquet(calibration_rows(), tmp_path), inputs)
    assert calibration[RECIPE]["band_quantile"].tolist() == [BAND[-1]]


def test_calibration_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    inputs = parse_inputs(parquet(input_rows(), tmp_path))
    with pytest.raises(SnapshotRefusedError, match="of recipe r1 twice"):
        parse_calibration(parquet(calibration_rows() * 2, tmp_path), inputs)


def test_rows_of_one_segment_origin_and_step_are_one_whole(tmp_path: Path) -> None:
    named = {"a": "s", "b": "t", "c": "s"}
    rows = [{**row, "segment": named[n]} for n in named for row in input_rows(n)[:2]]
    segments = parse_inputs(parquet(rows, tmp_path)).segments
    # Rows: a at two origins, b at two, c at two.
    assert segments.code.tolist() == [0, 1, 2, 3, 0, 1]
    assert segments.complete.all()
    assert segments.siblings == {"a": ("a", "c"), "b": ("b",), "c": ("a", "c")}


def test_a_whole_without_one_of_its_series_is_incomplete_at_that_origin_only(
    tmp_path: Path,
) -> None:
    rows = [{**row, "segment": "s"} for row in [*input_rows("a")[:2], *input_rows("b")[:1]]]
    segments = parse_inputs(parquet(rows, tmp_path)).segments
    assert segments.complete.tolist() == [True, False, True]


def test_a_series_without_a_segment_is_a_whole_of_its_own(tmp_path: Path) -> None:
    rows = [{**row, "segment": None} for n in ("a", "b") for row in input_rows(n)[:1]]
    segments = parse_inputs(parquet(rows, tmp_path)).segments
    assert segments.siblings == {"a": ("a",), "b": ("b",)}
    assert segments.complete.all()


def test_a_series_of_two_segments_is_refused(tmp_path: Path) -> None:
    rows = [{**row, "segment": row["origin"].isoformat()} for row in input_rows()]
    with pytest.raises(SnapshotRefusedError, match="series btc in segments"):
        parse_inputs(parquet(rows, tmp_path))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{}", "not readable as contract version 2"),
        (b"[", "not readable"),
        (b'{"contract_version": 1}', "contract version 1, this service reads 2"),
    ],
)
def test_a_manifest_of_another_form_or_version_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(SnapshotRefusedError, match=words):
        parse_manifest(content, problem="bitcoin_close")


def test_a_verdict_is_an_object_or_nothing_but_never_broken_json() -> None:
    assert parse_verdict(b'{"decision": "keep"}') == {"decision": "keep"}
    assert parse_verdict(b"null") is None
    with pytest.raises(SnapshotRefusedError, match="not readable as JSON"):
        parse_verdict(b"{")
