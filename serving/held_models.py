"""Verified models that are held ready, least recently used first to go.

Here: the account of their memory, what is pinned, and the pairs of a held model with a snapshot.
Not here: where models come from (`model_store`) and who asks for which (`variants`).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from serving.deployments import Deployment
from serving.served_model import ServedModel

MEMORY_PER_FILE_BYTE: Final = 6
"""Bytes of memory charged for each byte of a model file. A forest of 200 trees of depth 10 over 17
inputs has a file of 4.6 MB and costs 24.4 MB of proportional memory for each further session,
5.4 times its file (onnxruntime 1.31)."""

MEMORY_PER_SESSION: Final = 200_000
"""Bytes charged for any session: a ridge of 310 bytes costs 110 kB, card and names come on top."""


def charge(file_bytes: int) -> int:
    """Bytes of memory that a model is charged, for the size of its ONNX file in bytes."""
    return MEMORY_PER_SESSION + MEMORY_PER_FILE_BYTE * file_bytes


class ModelKey(NamedTuple):
    """Names a version of a registered model."""

    name: str
    version: str


@dataclass(slots=True)
class _Held:
    model: ServedModel
    memory_bytes: int
    pairs: dict[str | None, Deployment] = field(default_factory=dict)
    """Alias -> the model paired with a snapshot under that alias; they go with the model."""


class HeldModels:
    """Models by version within a memory; pinned ones stay, whatever they cost."""

    def __init__(self, memory_bytes: int) -> None:
        """Hold up to `memory_bytes`, as `charge` counts them."""
        self._capacity = memory_bytes
        self._lock = threading.Lock()
        self._held: OrderedDict[ModelKey, _Held] = OrderedDict()
        self._pinned: dict[str, frozenset[ModelKey]] = {}

    def get(self, key: ModelKey) -> ServedModel | None:
        """A held model, which counts as used now; None when it is not held."""
        with self._lock:
            held = self._held.get(key)
            if held is None:
                return None
            self._held.move_to_end(key)
            return held.model

    def put(self, key: ModelKey, model: ServedModel, *, memory_bytes: int) -> None:
        """Hold a model, in place of any earlier one of its key; others make room for it.

        A model that is larger than all the memory is not kept: whoever loaded it still uses it.
        """
        with self._lock:
            self._held.pop(key, None)
            if memory_bytes > self._capacity and key not in self._all_pinned():
                return
            self._held[key] = _Held(model, memory_bytes)
            self._make_room()

    def pin(self, problem: str, keys: Iterable[ModelKey]) -> None:
        """Keep these models of a problem, and let its others go when room is needed."""
        with self._lock:
            self._pinned[problem] = frozenset(keys)
            self._make_room()

    def pair(self, key: ModelKey, alias: str | None) -> Deployment | None:
        """The pair that was noted for a held model under an alias."""
        with self._lock:
            held = self._held.get(key)
            if held is None:
                return None
            self._held.move_to_end(key)
            return held.pairs.get(alias)

    def note_pair(self, key: ModelKey, deployment: Deployment) -> None:
        """Remember a pair as long as its model is held."""
        with self._lock:
            held = self._held.get(key)
            if held is not None and held.model is deployment.model:
                # One snapshot at a time: pairs with an earlier one would keep it in memory.
                held.pairs = {
                    alias: pair
                    for alias, pair in held.pairs.items()
                    if pair.snapshot is deployment.snapshot
                }
                held.pairs[deployment.alias] = deployment

    @property
    def keys(self) -> tuple[ModelKey, ...]:
        """What is held, the least recently used first."""
        with self._lock:
            return tuple(self._held)

    @property
    def memory_bytes(self) -> int:
        """What the held models are charged."""
        with self._lock:
            return self._charged()

    def _all_pinned(self) -> frozenset[ModelKey]:
        return frozenset[ModelKey]().union(*self._pinned.values())

    def _charged(self) -> int:
        return sum(held.memory_bytes for held in self._held.values())

    def _make_room(self) -> None:
        pinned = self._all_pinned()
        for key in tuple(self._held):
            if self._charged() <= self._capacity:
                return
            if key not in pinned:
                del self._held[key]
