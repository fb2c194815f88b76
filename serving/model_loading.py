"""Loads a version once, however many ask for it: from the registry to a model held ready.

Here: the single flight, its threads, and what was refused lately. Not here: which versions are
wanted (`model_store`), what is held how long (`held_models`), the checks of files (`model_files`).
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from serving.domain_errors import ModelRefusedError
from serving.held_models import HeldModels, ModelKey, charge
from serving.model_files import ModelFiles, load_model
from serving.registry.reader import Registry
from serving.served_model import RegisteredVersion, ServedModel

_THREADS: Final = 2
_REMEMBERED_REFUSALS: Final = 1000


class UnknownVersionError(LookupError):
    """The registry has no such version."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A verified model, and its files where this very call has fetched them."""

    model: ServedModel
    files: ModelFiles | None


class ModelLoader:
    """Fetches, verifies and holds versions; for the event loop and for background threads."""

    def __init__(self, registry: Registry, held: HeldModels) -> None:
        """Load from `registry` into `held`."""
        self._registry = registry
        self._held = held
        self._lock = threading.Lock()
        self._flights: dict[tuple[str, ModelKey], Future[ServedModel]] = {}
        self._refusals: dict[tuple[str, ModelKey], ModelRefusedError] = {}
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="serving-load")

    async def load(self, problem: str, key: ModelKey) -> ServedModel:
        """A version of a problem's model: held, or loaded in a thread.

        Raises:
            UnknownVersionError: the registry has no such version.
            ModelRefusedError: it must not take traffic; remembered until `forget_refusals`.
            RegistryUnreachableError: the registry or the store of the files does not answer.
        """
        if (held := self._held_for(problem, key)) is not None:
            return held
        flight, leads = self._join(problem, key)
        if leads:
            # In a thread of its own: a caller who gives up must not end the flight of the others.
            self._threads.submit(self._fly, problem, key, None, flight)
        return await asyncio.wrap_future(flight)

    def load_now(self, problem: str, key: ModelKey) -> ServedModel:
        """What `load` does, for a background thread; it waits."""
        if (held := self._held_for(problem, key)) is not None:
            return held
        flight, leads = self._join(problem, key)
        if leads:
            self._fly(problem, key, None, flight)
        return flight.result()

    def load_described(self, problem: str, version: RegisteredVersion) -> Loaded:
        """Load a version as the registry has just described it, refused before or not.

        Raises:
            ModelRefusedError: it must not take traffic.
            RegistryUnreachableError: the store of the files does not answer.
        """
        key = ModelKey(version.name, version.version)
        held = self._held.get(key)
        if held is not None and held.registered == version and held.card.problem == problem:
            return Loaded(held, None)
        flight, leads = self._join(problem, key)
        files = self._fly(problem, key, version, flight) if leads else None
        model = flight.result()
        if model.registered == version:
            return Loaded(model, files)
        # Somebody loaded it a moment before its description was changed.
        files = self._registry.files(version)
        return Loaded(self._hold(problem, version, files), files)

    def forget_refusals(self) -> None:
        """Let refused versions be tried again: files may have been restored."""
        with self._lock:
            self._refusals.clear()

    def _held_for(self, problem: str, key: ModelKey) -> ServedModel | None:
        held = self._held.get(key)
        if held is not None and held.card.problem == problem:
            return held
        if (refusal := self._refusals.get((problem, key))) is not None:
            # Another one, since each raise adds to the traceback of an error that is kept.
            raise ModelRefusedError(refusal.reason, str(refusal))
        return None

    def _join(self, problem: str, key: ModelKey) -> tuple[Future[ServedModel], bool]:
        """The flight of a version, and whether the caller has to fly it."""
        with self._lock:
            if (flight := self._flights.get((problem, key))) is not None:
                return flight, False
            flight = self._flights[problem, key] = Future()
            # Running, it cannot be cancelled by one of those who wait for it.
            flight.set_running_or_notify_cancel()
            return flight, True

    def _fly(
        self,
        problem: str,
        key: ModelKey,
        version: RegisteredVersion | None,
        flight: Future[ServedModel],
    ) -> ModelFiles | None:
        """Load a version and tell everybody who waits: the model, or what went wrong."""
        try:
            wanted = version or self._registry.version(key.name, key.version)
            if wanted is None:
                raise UnknownVersionError(f"version {key.version} of {key.name}")
            files = self._registry.files(wanted)
            model = self._hold(problem, wanted, files)
        except BaseException as error:  # noqa: BLE001 - whoever waits gets it, whatever it is
            with self._lock:
                if isinstance(error, ModelRefusedError):
                    if len(self._refusals) >= _REMEMBERED_REFUSALS:
                        self._refusals.clear()
                    self._refusals[problem, key] = error
                del self._flights[problem, key]
            flight.set_exception(error)
            return None
        with self._lock:
            self._refusals.pop((problem, key), None)
            del self._flights[problem, key]
        flight.set_result(model)
        return files

    def _hold(self, problem: str, version: RegisteredVersion, files: ModelFiles) -> ServedModel:
        model = load_model(files, version, problem=problem)
        key = ModelKey(version.name, version.version)
        self._held.put(key, model, memory_bytes=charge(len(files.model)))
        return model
