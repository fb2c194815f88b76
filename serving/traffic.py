"""Who answers whom: the traffic settings of a problem, and the stable choice by caller.

Here: a pure value and its checks. Not here: where the settings are kept (a tag of the registered
model, read by `model_store`), and which deployments the aliases stand for (`variants`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

TAG: Final = "serving.traffic"
"""Tag of the registered model: `{"weights": {"champion": 0.9, "challenger": 0.1}, "shadow": []}`;
without it the champion answers everything."""

SUM_TOLERANCE: Final = 1e-9
"""Largest difference of the weights' sum from 1."""

_KEYS: Final = frozenset({"weights", "shadow"})
_DIGEST_BYTES: Final = 8


class TrafficError(ValueError):
    """Traffic settings that cannot be used."""

    def __init__(self, *, value: str, rule: str, remedy: str) -> None:
        """Name the value, the rule it breaks and the remedy."""
        self.value = value
        self.rule = rule
        self.remedy = remedy
        super().__init__(f"{value}: {rule}; {remedy}")


@dataclass(frozen=True, slots=True)
class Traffic:
    """Shares of the callers by alias, and the aliases that answer for the log alone."""

    weights: Mapping[str, float]
    """Alias -> share of the callers, in (0, 1]; they sum to 1."""
    shadow: tuple[str, ...]
    """Aliases whose answers are logged and never returned."""
    _ends: tuple[tuple[float, str], ...]
    """Upper end of each alias' part of [0, 1), ascending by alias."""

    @classmethod
    def of(cls, weights: Mapping[str, float], shadow: Sequence[str] = ()) -> Traffic:
        """Settings with checked weights.

        Raises:
            TrafficError: no weight, one that is not positive, or a sum other than 1.
        """
        for alias, weight in weights.items():
            if isinstance(weight, bool) or not isinstance(weight, int | float):
                raise _wrong(f"weight of {alias} = {weight!r}", "a weight is a number", "write 0.1")
            if not 0 < weight <= 1:
                raise _wrong(
                    f"weight of {alias} = {weight!r}"[:80],
                    "a weight is above 0 and at most 1",
                    "leave out an alias that shall not answer",
                )
        total = math.fsum(weights.values())
        if not abs(total - 1) <= SUM_TOLERANCE:
            raise _wrong(
                f"weights that sum to {total:.12g}",
                "they must sum to 1",
                "give each alias its share of the callers",
            )
        if len(set(shadow)) != len(shadow):
            raise _wrong(f"shadow = {list(shadow)}", "each alias once", "remove the repetition")
        # In the order of the names, so that the order of writing changes nobody's variant.
        ordered = sorted(weights)
        ends = [math.fsum(weights[a] for a in ordered[: n + 1]) for n in range(len(ordered))]
        # Rounding must leave no caller without a variant.
        ends[-1] = 1.0
        return cls(
            weights={alias: float(weights[alias]) for alias in ordered},
            shadow=tuple(shadow),
            _ends=tuple(zip(ends, ordered, strict=True)),
        )

    @classmethod
    def parse(cls, text: str) -> Traffic:
        """Read the tag's value.

        Raises:
            TrafficError: it is not of the form that `TAG` shows, or a weight cannot be used.
        """
        try:
            document = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _wrong(f"{text[:60]!r}", "it must be JSON", _EXAMPLE) from error
        if not isinstance(document, dict) or not document.keys() <= _KEYS:
            raise _wrong(f"{text[:60]!r}", "an object of `weights` and `shadow`", _EXAMPLE)
        weights, shadow = document.get("weights"), document.get("shadow", [])
        if not isinstance(weights, dict):
            raise _wrong(f"weights = {weights!r}"[:80], "an object of alias and weight", _EXAMPLE)
        if not isinstance(shadow, list) or not all(isinstance(alias, str) for alias in shadow):
            raise _wrong(f"shadow = {shadow!r}"[:80], "a list of aliases", _EXAMPLE)
        return cls.of(weights, shadow)

    def to_json(self) -> str:
        """The tag's value; `parse` gives the same settings back."""
        return json.dumps({"weights": dict(self.weights), "shadow": list(self.shadow)})

    @property
    def aliases(self) -> tuple[str, ...]:
        """Every alias that answers or shadows, each once."""
        return tuple(dict.fromkeys((*self.weights, *self.shadow)))

    def alias_for(self, problem: str, caller: str) -> str:
        """The alias that answers a caller: always the same one while the weights stay."""
        place = position(problem, caller)
        return next(alias for end, alias in self._ends if place < end)


def position(problem: str, caller: str) -> float:
    """A caller's place in [0, 1): evenly spread, the same in every process, apart by problem."""
    name = f"{problem}\0{caller}".encode("utf-8", "surrogatepass")
    number = int.from_bytes(blake2b(name, digest_size=_DIGEST_BYTES).digest())
    # 53 bits are what a float holds, so that no rounding reaches 1.
    return (number >> 11) / (1 << 53)


_EXAMPLE: Final = 'write {"weights": {"champion": 0.9, "challenger": 0.1}, "shadow": []}'


def _wrong(value: str, rule: str, remedy: str) -> TrafficError:
    return TrafficError(value=value, rule=rule, remedy=remedy)
