"""What is served for each problem: a model together with a snapshot that can feed it.

Here: the pairing, the one assignment that swaps it in, and what is wrong at the moment. Not here:
how snapshots and models are found and verified (`snapshots`, `model_store`).

Model and snapshot arrive on their own: an alias may move minutes before the snapshot with the new
recipe's calibration is published. The pair in service is replaced only by a pair that fits, so
every request sees a model and inputs that belong together, and a swap fails no request.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NoReturn, Protocol

import numpy as np
import numpy.typing as npt

from serving.contract.model_card import ModelCard
from serving.contract.steps import FloatArray, IntArray, needs_segment
from serving.domain_errors import NotReadyError, RefusalReason, UnknownNameError
from serving.served_model import ServedModel
from serving.snapshot_content import Snapshot

CHAMPION: Final = "champion"
"""The alias that answers by default; moving it is the only act of promotion or rollback."""


class Topic(StrEnum):
    """What a complaint is about; each topic has at most one complaint at a time."""

    STORAGE = "storage"
    SNAPSHOT = "snapshot"
    REGISTRY = "registry"
    LOG = "log"
    KEYS = "keys"
    MODEL = "model"
    PAIRING = "pairing"
    TRAFFIC = "traffic"
    SNAPSHOT_CACHE = "snapshot_cache"
    MODEL_CACHE = "model_cache"


class Witness(Protocol):
    """Counts what happens to models and snapshots (implemented by `instrumentation`)."""

    def model_swapped(self, problem: str) -> None:
        """Another model version took the traffic."""

    def model_refused(self, problem: str, reason: RefusalReason) -> None:
        """A model version was refused."""

    def snapshot_swapped(self, problem: str) -> None:
        """Another snapshot took the traffic."""

    def snapshot_refused(self, problem: str) -> None:
        """A snapshot was refused."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Deployment:
    """A model and a snapshot that feeds it; immutable, so a request sees one or the next."""

    model: ServedModel
    snapshot: Snapshot
    calibration: Mapping[str, FloatArray]
    """Calibration feature of the card -> the served recipe's values, shape (rows of the inputs,);
    NaN where none is published."""
    columns: npt.NDArray[np.intp]
    """Shape (features,): column of the snapshot for each input; 0 where calibration goes."""
    alias: str | None = CHAMPION
    """The alias by which the model was chosen; None when it was chosen by its version."""

    @classmethod
    def of(
        cls, model: ServedModel, snapshot: Snapshot, *, alias: str | None = CHAMPION
    ) -> Deployment:
        """Pair a model with a snapshot for which `misfit` finds no fault."""
        inputs = snapshot.inputs
        return cls(
            model=model,
            snapshot=snapshot,
            calibration=_calibration(model.card, snapshot),
            columns=np.array(
                [inputs.features.get(f.name, 0) for f in model.card.features], dtype=np.intp
            ),
            alias=alias,
        )

    def vectors(self, rows: IntArray) -> FloatArray:
        """The model's input for rows of the snapshot: shape (rows, features); missing is NaN."""
        values = self.snapshot.inputs.values
        if values.shape[1]:
            vectors = values[rows[:, None], self.columns]
        else:
            vectors = np.empty((len(rows), len(self.columns)))
        for position, feature in enumerate(self.model.card.features):
            if feature.source == "calibration":
                vectors[:, position] = self.calibration[feature.name][rows]
        return vectors


@dataclass(frozen=True, slots=True)
class Chosen:
    """Who answers a request, and who else computes it for the log alone."""

    deployment: Deployment
    shadows: tuple[Deployment, ...] = ()
    """Deployments whose answers are logged and never returned."""


def _calibration(card: ModelCard, snapshot: Snapshot) -> dict[str, FloatArray]:
    published = snapshot.calibration.get(card.recipe_id, {})
    nothing = np.full(len(snapshot.inputs.step), np.nan)
    return {
        f.name: published.get(f.name, nothing) for f in card.features if f.source == "calibration"
    }


def misfit(card: ModelCard, snapshot: Snapshot) -> str | None:
    """Why a snapshot cannot feed a model, or None when it can."""
    manifest = snapshot.manifest
    ours = {"unit": card.unit, "synthetic": card.synthetic, "problem": card.problem}
    theirs = {
        "unit": manifest.unit,
        "synthetic": manifest.synthetic,
        "problem": manifest.problem,
    }
    if ours != theirs:
        return f"the model is of {ours}, the snapshot of {theirs}; publish them from one namespace"
    absent = [
        f.name
        for f in card.features
        if f.source != "calibration" and f.name not in snapshot.inputs.features
    ]
    if absent:
        return f"the snapshot has no feature {', '.join(absent[:5])}; materialise `published`"
    calibration = _calibration(card, snapshot)
    for series in snapshot.series:
        if reason := _newest_origin_misfit(card, snapshot, series, calibration):
            return reason
    return None


def _newest_origin_misfit(
    card: ModelCard, snapshot: Snapshot, series: str, calibration: Mapping[str, FloatArray]
) -> str | None:
    origin = snapshot.newest_origin(series)
    if origin < card.refit_at:
        return (
            f"the model was fitted on data up to {card.refit_at.isoformat()}, the newest origin of "
            f"{series} is {origin.isoformat()}; materialise `published` at a later time"
        )
    rows = snapshot.inputs.at(series, origin)
    for name, values in calibration.items():
        if not (known := np.isfinite(values[rows])).all():
            step = snapshot.inputs.step[rows[int(np.argmin(known))]]
            return (
                f"the snapshot has no {name} of {card.candidate} for {series} at "
                f"{origin.isoformat()}, step {step}; materialise `forecasts` and `published`"
            )
    if needs_segment(card.steps) and not snapshot.inputs.segments.complete[rows].all():
        return (
            f"the snapshot has only some series of the segment of {series} at "
            f"{origin.isoformat()}, and shares need all; materialise `features` and `published`"
        )
    return None


@dataclass(slots=True)
class _Served:
    """State of one problem; `deployment` is read by requests without the lock."""

    deployment: Deployment | None = None
    chosen: Chosen | None = None
    """The deployment as requests take it, made once for all of them."""
    snapshot: Snapshot | None = None
    model: ServedModel | None = None
    complaints: dict[Topic, str] = field(default_factory=dict)


class Deployments:
    """What is served, problem by problem."""

    def __init__(self, witness: Witness) -> None:
        """Start with nothing; `witness` counts swaps and refusals."""
        self._witness = witness
        self._lock = threading.Lock()
        self._served: dict[str, _Served] = {}
        self._complaints: dict[Topic, str] = {}

    @property
    def problems(self) -> tuple[str, ...]:
        """Every problem of which something was published, sorted."""
        return tuple(sorted(self._served))

    def serving(self, problem: str) -> Deployment:
        """The pair that answers for a problem.

        Raises:
            UnknownNameError: nothing was published under that name, but under others.
            NotReadyError: nothing is published at all, or no model is promoted.
        """
        return self.champion(problem).deployment

    def champion(self, problem: str) -> Chosen:
        """The pair that answers for a problem, as requests take it; raises as `serving` does."""
        served = self._served.get(problem) or self._unknown(problem)
        if served.chosen is None:
            reasons = self.complaints(problem) or ("no model has been loaded yet",)
            raise NotReadyError(
                value=f"problem {problem}",
                rule=f"a champion and a snapshot that feeds it are needed: {reasons[0]}",
                remedy="wait a few seconds; if it stays so, materialise `champion`, `forecasts` "
                f"and `published`, for example with `mlops run {problem}`",
            )
        return served.chosen

    def snapshots(self, problem: str) -> tuple[Snapshot, ...]:
        """The snapshot in service, then the newest verified one; empty when there is none.

        Raises:
            UnknownNameError: nothing was published under that name, but under others.
            NotReadyError: nothing is published at all.
        """
        served = self._served.get(problem) or self._unknown(problem)
        current = served.deployment
        return tuple(s for s in (current.snapshot if current else None, served.snapshot) if s)

    def _unknown(self, problem: str) -> NoReturn:
        if not self._served:
            raise NotReadyError(
                value=f"problem {problem}",
                rule="no snapshot of any problem is published",
                remedy=f"materialise its assets, for example with `mlops run {problem}`",
            )
        raise UnknownNameError(
            value=f"problem {problem}",
            rule="it must be published",
            remedy="use one of the known problems, or materialise its assets",
            known=self.problems,
        )

    def deployed(self, problem: str) -> Deployment | None:
        """The pair that answers, or None when there is none yet."""
        served = self._served.get(problem)
        return served.deployment if served else None

    def newest_snapshot(self, problem: str) -> Snapshot | None:
        """The newest verified snapshot, in service or not."""
        served = self._served.get(problem)
        return served.snapshot if served else None

    def newest_model(self, problem: str) -> ServedModel | None:
        """The newest verified model, in service or not."""
        served = self._served.get(problem)
        return served.model if served else None

    def complaints(self, problem: str | None = None) -> tuple[str, ...]:
        """What is wrong with a problem, or, without one, with what all problems share."""
        if problem is None:
            return tuple(self._complaints.copy().values())
        served = self._served.get(problem)
        return tuple(served.complaints.copy().values()) if served else ()

    def offer_snapshot(
        self, problem: str, snapshot: Snapshot, *, complaint: str | None = None
    ) -> None:
        """Use a newly verified snapshot as soon as it fits a model; `complaint` is its flaw."""
        with self._lock:
            served = self._of(problem)
            served.snapshot = snapshot
            _say(served.complaints, Topic.SNAPSHOT, complaint)
            self._pair(problem, served)

    def offer_model(
        self, problem: str, model: ServedModel, *, complaint: str | None = None
    ) -> None:
        """Use a newly verified model as soon as a snapshot fits it; `complaint` is its flaw."""
        with self._lock:
            served = self._of(problem)
            served.model = model
            _say(served.complaints, Topic.MODEL, complaint)
            self._pair(problem, served)

    def snapshot_refused(self, problem: str, reason: str) -> None:
        """Keep the last snapshot and say why the new one is not used."""
        with self._lock:
            complaints = self._of(problem).complaints
            if complaints.get(Topic.SNAPSHOT) != reason:
                self._witness.snapshot_refused(problem)
            complaints[Topic.SNAPSHOT] = reason

    def model_refused(self, problem: str, reason: RefusalReason, message: str) -> None:
        """Keep the last model and say why the new one is not used."""
        with self._lock:
            self._witness.model_refused(problem, reason)
            self._of(problem).complaints[Topic.MODEL] = message

    def model_settled(self, problem: str, complaint: str | None = None) -> None:
        """The alias points to the newest model held, or, with a complaint, to nothing."""
        self.complain(problem, Topic.MODEL, complaint)

    def snapshot_settled(self, problem: str, complaint: str | None = None) -> None:
        """The storage names the newest snapshot held, or, with a complaint, none."""
        self.complain(problem, Topic.SNAPSHOT, complaint)

    def complain(self, problem: str, topic: Topic, message: str | None) -> bool:
        """Note what is wrong with a problem, or (None) nothing; True if that is new."""
        with self._lock:
            return _say(self._of(problem).complaints, topic, message)

    def storage_complains(self, message: str | None) -> bool:
        """Note that the storage does not answer, or (None) that it does; True if that is new."""
        with self._lock:
            return _say(self._complaints, Topic.STORAGE, message)

    def registry_complains(self, message: str | None) -> bool:
        """Note that the registry does not answer, or (None) that it does; True if that is new."""
        with self._lock:
            return _say(self._complaints, Topic.REGISTRY, message)

    def log_complains(self, message: str | None) -> bool:
        """Note that the prediction log takes no rows, or (None) does; True if that is new."""
        with self._lock:
            return _say(self._complaints, Topic.LOG, message)

    def keys_complain(self, message: str | None) -> bool:
        """Note that the API keys cannot be used, or (None) that they can; True if that is new."""
        with self._lock:
            return _say(self._complaints, Topic.KEYS, message)

    def _of(self, problem: str) -> _Served:
        if problem not in self._served:
            # A new dictionary, so that readers without the lock never see one that changes.
            self._served = {**self._served, problem: _Served()}
        return self._served[problem]

    def _pair(self, problem: str, served: _Served) -> None:
        """Swap in the best pair that fits: the newest of both, else one new and one in service."""
        current = served.deployment
        served.complaints.pop(Topic.PAIRING, None)
        for model, snapshot in _pairs(served):
            reason = misfit(model.card, snapshot)
            if reason is None:
                served.deployment = Deployment.of(model, snapshot)
                served.chosen = Chosen(served.deployment)
                if current is None or current.model is not model:
                    self._witness.model_swapped(problem)
                if current is None or current.snapshot is not snapshot:
                    self._witness.snapshot_swapped(problem)
                return
            served.complaints.setdefault(Topic.PAIRING, reason)


def _pairs(served: _Served) -> Sequence[tuple[ServedModel, Snapshot]]:
    current = served.deployment
    models = [served.model, current.model if current else None]
    snapshots = [served.snapshot, current.snapshot if current else None]
    return [(m, s) for m in models for s in snapshots if m is not None and s is not None]


def _say(complaints: dict[Topic, str], topic: Topic, message: str | None) -> bool:
    before = complaints.get(topic)
    if message is None:
        complaints.pop(topic, None)
    else:
        complaints[topic] = message
    return message != before
