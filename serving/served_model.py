"""A model that takes traffic: an ONNX session with its card and its place in the registry.

Here: features in, quantiles in target units out. Not here: how its files were checked
(`model_files`), where they came from (`model_store`) or where its inputs come from (`deployments`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from serving.contract.model_card import ModelCard
from serving.contract.steps import FloatArray, IntArray, to_target_units


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
        # A number too large for the model's float or for exp() becomes infinite, and
        # to_target_units refuses it; numpy's warning would add nothing.
        with np.errstate(over="ignore", invalid="ignore"):
            tensor = features.astype(self.card.input_type)
            (output,) = self.session.run([self.card.output_name], {self.card.input_name: tensor})
            return to_target_units(self.card.steps, output, last_value, segment)
