"""A published problem of shares: two segments of three brands, two steps, worked by hand.

The model gives `level` as the share before normalisation, and its calibration inputs `band_lower`
and `band_upper` as the band's offsets to the angle of the share.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mlops_assets_tests.serving.published import (
    AS_OF,
    RECIPE,
    Row,
    World,
    card,
    files_of,
)
from serving.contract.model_card import Example, Feature
from serving.contract.snapshot import BAND_LOWER, BAND_UPPER
from serving.contract.steps import Step
from serving.model_files import ModelFiles

SHARES = "drink_share"
SHARES_MODEL_NAME = f"sample.{SHARES}"
DAY = timedelta(days=1)
SHARE_ORIGINS: tuple[datetime, ...] = (AS_OF - DAY, AS_OF)

LEVEL: dict[str, tuple[float, float]] = {
    "게토레이/female/20대": (30.0, 10.0),
    "토레타/female/20대": (50.0, 20.0),
    "포카리스웨트/female/20대": (40.0, 20.0),
    "게토레이/male/20대": (1.0, 0.0),
    "토레타/male/20대": (1.0, 3.0),
    "포카리스웨트/male/20대": (2.0, 1.0),
}
"""Series -> share before normalisation at steps 1 and 2 of the newest origin."""

POINT: dict[str, tuple[float, float]] = {
    "게토레이/female/20대": (25.0, 20.0),
    "토레타/female/20대": (125 / 3, 40.0),
    "포카리스웨트/female/20대": (100 / 3, 40.0),
    "게토레이/male/20대": (25.0, 0.0),
    "토레타/male/20대": (25.0, 75.0),
    "포카리스웨트/male/20대": (50.0, 25.0),
}
"""The same as shares of 120 and 50 (female), 4 and 4 (male), in percent."""

OFFSETS: tuple[tuple[float, float], ...] = ((-0.1, 0.2), (-0.2, 0.3))
"""Lower and upper offset at steps 1 and 2, radians."""


def segment_of(series: str) -> str:
    """The labels after the brand."""
    return series.partition("/")[2]


def bound(share: float, offset: float) -> float:
    """End of a band around a share in percent, by the formula and without numpy."""
    angle = math.asin(math.sqrt(share / 100)) + offset
    return 100 * math.sin(min(max(angle, 0.0), math.pi / 2)) ** 2


def share_graph() -> onnx.ModelProto:
    """`level, band_lower, band_upper` -> `band_lower, level, band_upper`, shape (rows, 3)."""
    kind = TensorProto.DOUBLE
    graph = helper.make_graph(
        [helper.make_node("Gather", ["features", "order"], ["quantiles"], axis=1)],
        "shares",
        [helper.make_tensor_value_info("features", kind, [None, 3])],
        [helper.make_tensor_value_info("quantiles", kind, [None, 3])],
        initializer=[numpy_helper.from_array(np.array([1, 0, 2], dtype=np.int64), "order")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def share_example(**changes: object) -> Example:
    """Shares 1 and 3 of one segment, and the only one of another, which is all of it."""
    points = (25.0, 75.0, 100.0)
    fields: dict[str, Any] = {
        "features": [[1.0, -0.1, 0.2], [3.0, -0.1, 0.2], [7.0, -0.1, 0.2]],
        "last_value": [20.0, 80.0, 100.0],
        "segment": [4, 4, 9],
        "expected": [[bound(p, -0.1), p, bound(p, 0.2)] for p in points],
    }
    return Example.model_validate(fields | changes)


def share_files(**changes: object) -> ModelFiles:
    """The two files of the model of shares, with fields of its card changed."""
    content = share_graph().SerializeToString()
    fields: dict[str, object] = {
        "problem": SHARES,
        "unit": "percent",
        "frequency": DAY,
        "horizon": 2,
        "features": (
            Feature(name="level", unit="percent", source="observed"),
            Feature(name=BAND_LOWER, unit="rad", source="calibration"),
            Feature(name=BAND_UPPER, unit="rad", source="calibration"),
        ),
        "steps": (Step.SHARE_OF_SEGMENT, Step.ANGULAR_BAND),
        "refit_at": SHARE_ORIGINS[0],
        "example": share_example(),
    }
    return files_of(content, card(content, slope=0.0, **(fields | changes)))


def share_rows() -> list[Row]:
    """Rows of `inputs.parquet`; at the older origin every series has the same level."""
    return [
        {
            "series": series,
            "segment": segment_of(series),
            "origin": origin,
            "last_observed": origin,
            "valid_time": origin + step * DAY,
            "step": step,
            "last_value": 100 / 3,
            "level": levels[step - 1] if origin == AS_OF else 5.0,
        }
        for series, levels in LEVEL.items()
        for origin in SHARE_ORIGINS
        for step in (1, 2)
    ]


def share_calibration() -> list[Row]:
    """Rows of `calibration.parquet`, beside another recipe's, which has a quantile instead."""
    keys = [{k: row[k] for k in ("series", "origin", "step")} for row in share_rows()]
    ours = [
        {"recipe_id": RECIPE, **key, BAND_LOWER: lower, BAND_UPPER: upper, "band_quantile": None}
        for key in keys
        for lower, upper in [OFFSETS[key["step"] - 1]]
    ]
    return ours + [{"recipe_id": "r2", **key, "band_quantile": 1.5} for key in keys]


def publish_shares(
    world: World,
    inputs: list[Row] | None = None,
    calibration: list[Row] | None = None,
    *,
    files: Mapping[str, bytes] | None = None,
) -> str:
    """Publish a snapshot of the problem of shares; returns its id."""
    return world.publish(
        inputs or share_rows(),
        calibration or share_calibration(),
        files=files,
        folder_of=SHARES,
        problem=SHARES,
        title="Shares of drinks",
        unit="percent",
        series_keys=("brand", "gender", "age_group"),
        frequency_seconds=DAY.total_seconds(),
        horizon=2,
        stale_after_seconds=2 * DAY.total_seconds(),
        registered_model=SHARES_MODEL_NAME,
    )
