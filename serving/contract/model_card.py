"""The model card: everything needed to use a model file and to trace it to its data."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from serving.contract.steps import Step

CONTRACT_VERSION = 2
"""Version of card, snapshot and tensors; a server refuses any other."""

CARD_FILE = "model_card.json"
MODEL_FILE = "model.onnx"
QUANTILES: tuple[str, str, str] = ("p05", "p50", "p95")

TAG_MODEL_SHA256 = "model_sha256"
TAG_CARD_SHA256 = "card_sha256"
"""Tags of the registered version that pin the two files' content."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Feature(_Part):
    """One column of the model's input."""

    name: str
    unit: str = ""
    source: Literal["observed", "known_in_advance", "calibration"] = Field(
        description="observed: from the origin's row; known_in_advance: from the valid time's "
        "calendar; calibration: moves with every origin and step, read from the published snapshot"
    )


class Example(_Part):
    """An input with the output it must give; serving checks it before a model takes traffic."""

    features: list[list[float | None]] = Field(description="(rows, features); None is missing")
    last_value: list[float] = Field(description="(rows,), target units")
    expected: list[list[float]] = Field(description="(rows, 3) in target units")
    segment: list[int] = Field(
        default_factory=list,
        description="(rows,), one code for the rows that add up to a whole, complete segments "
        "only; empty unless the steps need it",
    )


class ModelCard(_Part):
    """Stored as `model_card.json` beside `model.onnx`."""

    contract_version: Literal[2] = 2
    problem: str
    candidate: str = Field(description="name of the recipe in the problem's YAML")
    recipe_id: str = Field(description="hash of candidate, parameters, features and code version")
    baseline: bool
    unit: str = Field(description="unit of the target")
    frequency: timedelta
    horizon: int = Field(ge=1, description="largest step")
    nominal_coverage: float = Field(gt=0, lt=1)
    input_name: str = "features"
    output_name: str = "quantiles"
    input_type: Literal["float32", "float64"] = "float64"
    features: tuple[Feature, ...]
    steps: tuple[Step, ...] = Field(
        description="from the graph's output, (rows, 3) lower, middle and upper on the model's "
        "scale, to quantiles in target units; see `serving.contract.steps`"
    )
    refit_at: AwareDatetime
    as_of: AwareDatetime
    training_start: AwareDatetime
    training_end: AwareDatetime
    training_rows: int
    synthetic: bool
    data_versions: dict[str, str] = Field(description="asset -> version of the data it held")
    code_version: str
    git_revision: str
    dagster_run_id: str
    mlflow_run_id: str
    model_sha256: str
    example: Example
