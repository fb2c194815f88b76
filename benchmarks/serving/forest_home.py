"""A home in which the forest is the published champion: registry, artifacts and a snapshot.

Here: what `python -m serving` needs to answer with the forest. Not here: the forest (`forest`), and
how a world is written (the tests' own, which writes what the pipeline writes).
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from benchmarks.serving.forest import HALF_WIDTH, INPUTS, LAST_VALUE, Forest
from mlops_assets_tests.serving.published import (
    MODEL_NAME,
    PROBLEM,
    Row,
    World,
    card,
    files_of,
    input_rows,
)
from serving.contract.model_card import Example, Feature
from serving.contract.steps import Step
from serving.model_files import ModelFiles

__all__ = ["MODEL_NAME", "PROBLEM", "World", "forest_files", "write_home"]


def write_home(folder: Path, forest: Forest, *, half_widths: tuple[float, ...]) -> World:
    """A home with one registered version for each width of the band, the first one promoted.

    Args:
        folder: made here; must not exist.
        forest: the model.
        half_widths: of the bands, in target units; they tell the versions apart.
    """
    world = World.create(folder, _empty_registry(folder.parent))
    for position, half_width in enumerate(half_widths):
        world.register(forest_files(forest, half_width), promote=position == 0)
    world.publish(inputs=_inputs(forest))
    return world


def forest_files(forest: Forest, half_width: float = HALF_WIDTH) -> ModelFiles:
    """Graph and card of the forest: its output is the change from the last value."""
    model = forest.onnx(half_width)
    point = LAST_VALUE + float(forest.changes[0])
    example = Example(
        features=[[float(value) for value in forest.rows[0]]],
        last_value=[LAST_VALUE],
        expected=[[point - half_width, point, point + half_width]],
    )
    return files_of(
        model,
        card(
            model,
            slope=0.0,
            candidate="forest",
            features=tuple(Feature(name=name, source="observed") for name in INPUTS),
            steps=(Step.INVERSE_DIFFERENCE,),
            input_type="float32",
            example=example,
        ),
    )


def _inputs(forest: Forest) -> list[Row]:
    """The snapshot's rows: keys of the tests' world, features of the forest."""
    rows = []
    for row, values in zip(input_rows(), forest.rows.astype(np.float64), strict=False):
        keys = {name: value for name, value in row.items() if name not in {"ret", "vol"}}
        features = dict(zip(INPUTS, values.tolist(), strict=True))
        rows.append({**keys, "last_value": LAST_VALUE, **features})
    return rows


def _empty_registry(folder: Path) -> Path:
    """An MLflow database without models; made once a folder, since its migrations take seconds."""
    from mlflow import MlflowClient

    path = folder / "empty-registry.db"
    if not path.exists():
        making = folder / "empty-registry.making.db"
        MlflowClient(f"sqlite:///{making}").search_registered_models()
        shutil.move(making, path)
    return path
