"""The compiled program that trains a network: minibatches, AdamW, dropout, early stopping.

Here: everything that JAX compiles, for windows and seeds at once. Not here: what is fed to it
(`sequence_fit`). Only `sequence_fit` imports this module, when a network is trained: it needs JAX
and optax.

A fit is one element of a `lax.map` over the windows and one over the seeds, so a window trained
alone and the same window trained among many run the same arithmetic. With several host devices
(`XLA_FLAGS=--xla_force_host_platform_device_count=2`, set before JAX is first imported) the windows
are shared out among them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax  # type: ignore[import-untyped]  # no stubs
from jax import lax
from jax.sharding import Mesh, PartitionSpec

from mlops_assets.training.sequence_fit import Network, TrainingParameters

Arrays = Mapping[str, npt.NDArray[Any]]
Weights = dict[str, jax.Array]
Fits = tuple[Weights, jax.Array]
Program = Callable[[Arrays], tuple[Arrays, npt.NDArray[Any]]]


class _State(NamedTuple):
    """Where a training stands after an epoch."""

    epoch: jax.Array
    weights: Weights
    optimiser: Any
    best: Weights
    best_error: jax.Array
    best_epoch: jax.Array


@cache
def compiled(network: Network, spec: TrainingParameters) -> Program:
    """The program for a network and a way to train it.

    It takes arrays with a leading axis of windows, a multiple of the number of devices (see
    `sequence_fit`), and gives the weights and the epochs of every fit: (windows, seeds, ...).
    """
    devices = jax.devices("cpu")

    def fit_window(window: Weights) -> Fits:
        shared = {name: window[name] for name in ("inputs", "target", "rows", "used")}
        own = {name: value for name, value in window.items() if name not in shared}
        fits: Fits = lax.map(lambda seed: _fit(network, spec, {**shared, **seed}), own)
        return fits

    def fit_all(windows: Weights) -> Fits:
        fits: Fits = lax.map(fit_window, windows)
        return fits

    mesh = Mesh(np.array(devices), ("windows",))
    split = PartitionSpec("windows")  # type: ignore[no-untyped-call]  # JAX left it out
    shared_out = jax.shard_map(fit_all, mesh=mesh, in_specs=split, out_specs=split, check_vma=False)
    program = jax.jit(shared_out)

    def run(windows: Arrays) -> tuple[Arrays, npt.NDArray[Any]]:
        weights, epochs = jax.device_get(program(dict(windows)))
        return weights, epochs

    return run


def _fit(network: Network, spec: TrainingParameters, job: Weights) -> tuple[Weights, jax.Array]:
    """One fit: the best weights by the holdout error, and their epoch."""
    weights = {k.removeprefix("start/"): v for k, v in job.items() if k.startswith("start/")}
    optimiser = optax.adamw(spec.learning_rate, weight_decay=spec.weight_decay)
    nothing = jnp.asarray(jnp.inf, jnp.float32)
    zero = jnp.asarray(0, jnp.int32)
    # Zero epochs are a fit too: a training that never improves leaves the start as it was.
    start = _State(zero, weights, optimiser.init(weights), weights, nothing, zero)
    start = start._replace(best_error=_holdout_error(network, spec, weights, job))

    def goes_on(state: _State) -> jax.Array:
        left = state.epoch < spec.epochs
        if spec.patience is None:
            return left
        return left & (state.epoch - state.best_epoch < spec.patience)

    def epoch(state: _State) -> _State:
        return _epoch(network, spec, optimiser, job, state)

    last = lax.while_loop(goes_on, epoch, start)
    return last.best, last.best_epoch


def _epoch(
    network: Network,
    spec: TrainingParameters,
    optimiser: optax.GradientTransformation,
    job: Weights,
    state: _State,
) -> _State:
    batches = (job["used"] + spec.batch - 1) // spec.batch
    order = job["order"][state.epoch]
    key = jax.random.fold_in(jax.random.key(job["seed"]), state.epoch)

    def step(number: jax.Array, carried: tuple[Weights, Any]) -> tuple[Weights, Any]:
        weights, memory = carried
        first = number * spec.batch
        rows = lax.dynamic_slice(order, (first,), (spec.batch,))
        counts = (first + jnp.arange(spec.batch) < job["used"]).astype(jnp.float32)
        gradient = jax.grad(_training_error)(
            weights, network, spec, (job["inputs"][rows], job["target"][rows], counts),
            jax.random.fold_in(key, number),
        )  # fmt: skip
        change, memory = optimiser.update(gradient, memory, weights)
        return optax.apply_updates(weights, change), memory

    weights, memory = lax.fori_loop(0, batches, step, (state.weights, state.optimiser))
    done = state.epoch + 1
    if spec.patience is None:
        return _State(done, weights, memory, weights, state.best_error, done)
    error = _holdout_error(network, spec, weights, job)
    better = error < state.best_error
    best = jax.tree.map(lambda new, old: jnp.where(better, new, old), weights, state.best)
    return _State(
        done, weights, memory, best, jnp.where(better, error, state.best_error),
        jnp.where(better, done, state.best_epoch),
    )  # fmt: skip


def _training_error(
    weights: Weights,
    network: Network,
    spec: TrainingParameters,
    batch: tuple[jax.Array, jax.Array, jax.Array],
    key: jax.Array,
) -> jax.Array:
    """Mean squared error of a minibatch, of the rows that count, with dropout."""
    inputs, target, counts = batch
    hidden = network.apply(weights, inputs)
    if spec.dropout > 0:
        kept = jax.random.bernoulli(key, 1 - spec.dropout, hidden.shape)
        hidden = jnp.where(kept, hidden / (1 - spec.dropout), 0.0)
    error = hidden @ weights["out_kernel"] + weights["out_bias"] - target
    return jnp.sum(counts * error**2) / jnp.sum(counts)


def _holdout_error(
    network: Network, spec: TrainingParameters, weights: Weights, job: Weights
) -> jax.Array:
    """Sum of squared errors over the rows held out; infinite without any."""
    if spec.patience is None:
        return jnp.asarray(jnp.inf, jnp.float32)
    held = job["rows"] - job["used"]

    def step(number: jax.Array, total: jax.Array) -> jax.Array:
        place = number * spec.batch + jnp.arange(spec.batch)
        rows = jnp.clip(job["used"] + place, 0, job["rows"] - 1)
        hidden = network.apply(weights, job["inputs"][rows])
        error = hidden @ weights["out_kernel"] + weights["out_bias"] - job["target"][rows]
        return total + jnp.sum(jnp.where(place < held, error**2, 0.0))

    batches = (held + spec.batch - 1) // spec.batch
    total: jax.Array = lax.fori_loop(0, batches, step, jnp.asarray(0.0, jnp.float32))
    return total
