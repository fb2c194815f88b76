"""Training of small networks on sequences: windows of rows and seeds to trained weights.

Here: what a network and its training are, the shuffling, and the windows handed to the compiled
program. Not here: that program (`sequence_program`), the networks (`lstm`, `transformer`), and how
their inputs are laid out and scaled (`sequence_inputs`).

Rows are padded to a few sizes, since every other size would be compiled anew; the order of rows
comes from numpy and so does not depend on the padding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from mlops_assets.training.parameters import Parameters

if TYPE_CHECKING:
    import jax

Single = npt.NDArray[np.float32]

SIZES: Final = (256, 1024, 4096, 16384, 65536)
"""Numbers of rows that a window is padded to."""


class MissingExtraError(ImportError):
    """A candidate needs a package that is not installed."""


class TrainingParameters(Parameters):
    """How a network is trained: part of the parameters of each family of networks."""

    seeds: int = Field(default=1, ge=1, description="fits that are averaged, seeded 0, 1, ...")
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-3, ge=0, description="0 makes AdamW plain Adam")
    batch: int = Field(default=256, ge=1)
    epochs: int = Field(default=25, ge=1, description="at most so many")
    patience: int | None = Field(
        default=4, ge=1, description="epochs without a better holdout error; null: no holdout"
    )
    holdout: float = Field(
        default=0.2, gt=0, lt=1, description="share of the newest rows, which stop the training"
    )
    dropout: float = Field(default=0.1, ge=0, lt=1)


class Network(Protocol):
    """A network below its linear output; frozen and hashable, for each is compiled once."""

    def __hash__(self) -> int:
        """By its sizes."""
        ...

    @property
    def width(self) -> int:
        """Numbers that it gives for a row."""
        ...

    def start(self, rng: np.random.Generator) -> dict[str, Single]:
        """The weights before training."""
        ...

    def apply(self, weights: Mapping[str, jax.Array], inputs: jax.Array) -> jax.Array:
        """(rows, steps, inputs) to (rows, width)."""
        ...


@dataclass(frozen=True)
class Window:
    """Training rows of one fit, oldest first.

    Attributes:
        inputs: (rows, steps, inputs), scaled, no missing values.
        target: (rows,), scaled.
    """

    inputs: Single
    target: Single


@dataclass(frozen=True)
class Trained:
    """One fit: its weights, those of the output (`out_kernel`, `out_bias`) among them.

    Attributes:
        epochs: after how many epochs these weights were reached.
    """

    weights: dict[str, Single]
    epochs: int


def fit_windows(
    network: Network,
    windows: Sequence[Window],
    spec: TrainingParameters,
    *,
    zero_output: bool = True,
    at_once: int = 1,
    log: Callable[[str], None] | None = None,
) -> list[list[Trained]]:
    """Train a network on every window with every seed.

    Args:
        network: what to train.
        windows: all with the same steps and inputs.
        spec: how to train.
        zero_output: start the linear output at zero, so that training leaves from "no change".
        at_once: windows that each device takes in one run of the program; they run one after the
            other there, so it changes nothing but how often `log` is called.
        log: takes one line after each run of the program.

    Returns:
        For each window its fits, one a seed.

    Raises:
        MissingExtraError: JAX or optax is not installed.
    """
    require_jax()
    import jax

    from mlops_assets.training.sequence_program import compiled

    together = len(jax.devices("cpu")) * at_once
    size = max(padded_size(len(window.target)) for window in windows)
    program = compiled(network, spec)
    done: list[list[Trained]] = []
    for first in range(0, len(windows), together):
        group = list(windows[first : first + together])
        filled = [*group, *[group[-1]] * (-len(group) % len(jax.devices("cpu")))]
        jobs = [_job(network, w, spec, size, zero_output=zero_output) for w in filled]
        fitted = program({name: np.stack([job[name] for job in jobs]) for name in jobs[0]})
        done += [_trained(fitted, k, spec.seeds) for k in range(len(group))]
        if log is not None:
            log(f"{len(done)} of {len(windows)} windows trained, seeds a window: {spec.seeds}")
    return done


def require_jax() -> None:
    """Refuse to go on without JAX and optax.

    Raises:
        MissingExtraError: one of the two is not installed.
    """
    try:
        import jax  # noqa: F401 only asked for here
        import optax  # type: ignore[import-untyped]  # noqa: F401 no stubs
    except ImportError as error:
        raise MissingExtraError(
            f"{error.name} is not installed; the families lstm and transformer train with JAX and "
            "optax; install the extra lstm (pip install 'mlops-assets[lstm]', or make setup), or "
            "take these candidates out of the problem's YAML"
        ) from error


def padded_size(rows: int) -> int:
    """The smallest of `SIZES` that holds so many rows, beyond them a multiple of the largest."""
    return next((size for size in SIZES if size >= rows), -(-rows // SIZES[-1]) * SIZES[-1])


def training_rows(rows: int, spec: TrainingParameters) -> int:
    """How many of a window's rows are trained on; the newest ones, held out, stop the training."""
    return rows if spec.patience is None else max(1, int(rows * (1 - spec.holdout)))


def _job(
    network: Network, window: Window, spec: TrainingParameters, size: int, *, zero_output: bool
) -> dict[str, npt.NDArray[Any]]:
    """All arrays that the fits of one window take, the same shapes whatever its rows."""
    rows = len(window.target)
    inputs = np.zeros((size, *window.inputs.shape[1:]), np.float32)
    inputs[:rows] = window.inputs
    target = np.zeros(size, np.float32)
    target[:rows] = window.target
    used = training_rows(rows, spec)
    order = np.zeros((spec.seeds, spec.epochs, size + spec.batch), np.int32)
    starts = []
    for seed in range(spec.seeds):
        rng = np.random.default_rng(seed)
        starts.append(_start(network, rng, zero_output=zero_output))
        for epoch in range(spec.epochs):
            order[seed, epoch, :used] = rng.permutation(used)
    return {
        "inputs": inputs,
        "target": target,
        "rows": np.array(rows, np.int32),
        "used": np.array(used, np.int32),
        "order": order,
        "seed": np.arange(spec.seeds, dtype=np.int32),
        **{f"start/{name}": np.stack([s[name] for s in starts]) for name in starts[0]},
    }


def _start(network: Network, rng: np.random.Generator, *, zero_output: bool) -> dict[str, Single]:
    reach = 0.0 if zero_output else 1 / np.sqrt(network.width)
    return {
        **network.start(rng),
        "out_kernel": rng.uniform(-reach, reach, network.width).astype(np.float32),
        "out_bias": np.array(rng.uniform(-reach, reach), np.float32),
    }


def _trained(
    fitted: tuple[Mapping[str, npt.NDArray[Any]], npt.NDArray[Any]], window: int, seeds: int
) -> list[Trained]:
    weights, epochs = fitted
    return [
        Trained(
            {name: np.asarray(w[window, k]) for name, w in weights.items()}, int(epochs[window, k])
        )
        for k in range(seeds)
    ]
