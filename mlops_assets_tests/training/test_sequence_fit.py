"""Training is the same to the bit alone and in company, and stops when it no longer helps."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from mlops_assets.training.lstm import LstmNetwork
from mlops_assets.training.sequence_fit import (
    MissingExtraError,
    Trained,
    TrainingParameters,
    Window,
    fit_windows,
    padded_size,
    training_rows,
)
from mlops_assets_tests.training.networks import INPUTS, STEPS, sequences

NETWORK = LstmNetwork(INPUTS, 3)
SPEC = TrainingParameters(seeds=2, epochs=4, batch=64, learning_rate=0.01)

TWO_DEVICES = """
import hashlib, jax
from mlops_assets_tests.training.test_sequence_fit import NETWORK, SPEC, digest, window
from mlops_assets.training.sequence_fit import fit_windows
fits = fit_windows(NETWORK, [window(200), window(180, seed=1), window(150, seed=2)], SPEC)
print(len(jax.devices("cpu")), *map(digest, fits))
"""


def window(rows: int, *, seed: int = 0) -> Window:
    features, target = sequences(rows, seed=seed)
    inputs = features.reshape(rows, STEPS, INPUTS)
    return Window(inputs.astype(np.float32), target.astype(np.float32))


def digest(fits: list[Trained]) -> str:
    """All weights of a window's fits, to the bit."""
    parts = [fit.weights[name].tobytes().hex() for fit in fits for name in sorted(fit.weights)]
    return "".join(parts)


def trained(*windows: Window, **changes: Any) -> list[list[Trained]]:  # noqa: ANN401 fields of the spec
    spec = SPEC.model_copy(update=changes)
    return fit_windows(NETWORK, windows, spec)


def test_a_window_is_padded_to_one_of_a_few_sizes() -> None:
    assert [padded_size(n) for n in (1, 256, 257, 9000, 65537)] == [256, 256, 1024, 16384, 131072]


def test_the_newest_fifth_of_the_rows_is_held_out_when_it_may_stop_the_training() -> None:
    assert training_rows(100, TrainingParameters()) == 80
    assert training_rows(100, TrainingParameters(patience=None)) == 100


def test_a_fit_repeats_to_the_bit_and_each_seed_is_another() -> None:
    (once,), (twice,) = trained(window(200)), trained(window(200))

    assert digest(once) == digest(twice)
    assert digest(once[:1]) != digest(once[1:])


def test_a_window_among_others_is_trained_as_it_is_alone() -> None:
    first, second = window(200), window(150, seed=1)

    together = fit_windows(NETWORK, [first, second], SPEC, at_once=2)

    assert [digest(fits) for fits in together] == [digest(trained(w)[0]) for w in (first, second)]


def test_two_devices_train_what_one_does_to_the_bit() -> None:
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}

    done = subprocess.run(
        [sys.executable, "-c", TWO_DEVICES],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    devices, *given = done.stdout.split()
    assert devices == "2"
    alone = [trained(w)[0] for w in (window(200), window(180, seed=1), window(150, seed=2))]
    assert given == [digest(fits) for fits in alone]


def test_the_weights_of_the_best_epoch_are_kept() -> None:
    # Rows of the holdout contradict the others: every epoch makes it worse there.
    features, target = sequences(200)
    inputs = features.reshape(200, STEPS, INPUTS).astype(np.float32)
    turned = np.where(np.arange(200) < 160, target, -target).astype(np.float32)

    (fits,) = trained(Window(inputs, turned))

    assert [fit.epochs for fit in fits] == [0, 0]
    assert all((fit.weights["out_kernel"] == 0).all() for fit in fits)


def test_without_patience_all_epochs_are_trained() -> None:
    (fits,) = trained(window(200), patience=None)

    assert [fit.epochs for fit in fits] == [4, 4]


def test_weights_decay_when_asked_to() -> None:
    (free,) = trained(window(200), weight_decay=0.0, patience=None, seeds=1)
    (decayed,) = trained(window(200), weight_decay=1.0, patience=None, seeds=1)

    size = [np.abs(fits[0].weights["kernel"]).sum() for fits in (free, decayed)]
    assert size[1] < size[0]


def test_progress_is_told_after_each_run_of_the_program() -> None:
    lines: list[str] = []

    fit_windows(NETWORK, [window(60), window(60, seed=1)], SPEC, log=lines.append)

    assert lines == [
        "1 of 2 windows trained, seeds a window: 2",
        "2 of 2 windows trained, seeds a window: 2",
    ]


@pytest.mark.parametrize("package", ["jax", "optax"])
def test_a_missing_package_is_named_with_its_extra(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(MissingExtraError) as caught:
        trained(window(60))

    assert str(caught.value) == (
        f"{package} is not installed; the families lstm and transformer train with JAX and optax; "
        "install the extra lstm (pip install 'mlops-assets[lstm]', or make setup), or take these "
        "candidates out of the problem's YAML"
    )
