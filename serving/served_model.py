"""A model that takes traffic: an ONNX session with its card and its place in the registry.

Here: features in, quantiles in target units out. Not here: how its files were checked
(`model_files`), where they came from (`model_store`) or where its inputs come from (`deployments`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from serving.contract.model_card import ModelCard
from serving.contract.steps import FloatArray, IntArray, to_target_units

_CHARS: Final = {"float32": "f", "float64": "d"}
"""Type of a model's input -> numpy's letter for it, the cheapest to compare."""


class Session(Protocol):
    """The part of an onnxruntime session that is used; safe to call from several threads."""

    def run(self, output_names: list[str], input_feed: dict[str, Any]) -> list[Any]:
        """Outputs by name, for inputs by name."""


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """A version of a registered model, as the registry describes it."""

    name: str
    version: str
    source: str
    model_sha256: str | None
    card_sha256: str | None


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A verified model."""

    registered: RegisteredVersion
    card: ModelCard
    session: Session

    def quantiles(
        self, features: FloatArray, last_value: FloatArray, segment: IntArray | None = None
    ) -> FloatArray:
        """Forecast.

        Args:
            features: shape (rows, features) in the order of the card; NaN is missing.
            last_value: shape (rows,), target units.
            segment: shape (rows,), one code for the rows that add up to a whole; for shares only.

        Returns:
            Shape (rows, 3): p05, p50, p95 in target units.

        Raises:
            ValueError: a quantile is not finite, or the card's steps cannot be applied.
        """
        card = self.card
        if features.dtype.char == _CHARS[card.input_type]:
            tensor: npt.NDArray[np.floating] = features
        else:
            # A number too large for the model's float becomes infinite, and so does its forecast,
            # which is refused; numpy's warning would add nothing.
            with np.errstate(over="ignore"):
                tensor = features.astype(card.input_type)
        (output,) = self.session.run([card.output_name], {card.input_name: tensor})
        return to_target_units(card.steps, output, last_value, segment)
