"""Weekly LSTMs of the usual demonstration: our program against a plain PyTorch loop.

18 raw inputs of twelve hours, hidden 64, one month of rows, Adam 1e-3, batches of 64, 100 epochs,
the scaled close as target, one fit for each of 73 weeks. `README.md` says what the figures mean.
PyTorch runs in an environment of its own, which is made on the first run and kept.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from measurement.rounds import arguments, interleaved, say, show

TORCH: Final = "torch==2.13.0"
OURS: Final = ("jax", "optax")
CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mlops-assets-bench"
DATA: Final = Path(__file__).resolve().parents[2] / "shared" / "data"
FILES: Final = {
    "btc": ("btcusdt_1h.parquet", ("open", "high", "low", "close", "volume")),
    "ndx": ("ndx_1h_qqq.parquet", ("open", "high", "low", "close", "volume")),
    "vix": ("vix.parquet", ("open", "high", "low", "close")),
    "gold": ("gold.parquet", ("open", "high", "low", "close")),
}
"""Market file -> its raw inputs, 18 together; a missing bar is the newest one before it."""
CLOSE: Final = 3
"""Number of the Bitcoin close among the inputs."""
LOOKBACK, HIDDEN, ROWS, AHEAD, WEEKS = 12, 64, 720, 168, 73
FIRST: Final = datetime(2024, 1, 25, tzinfo=UTC)
PARAMS: Final[dict[str, Any]] = {
    "lookback": LOOKBACK, "hidden": HIDDEN, "batch": 64, "learning_rate": 1e-3, "weight_decay": 0.0,
    "patience": None, "dropout": 0.0, "input_scaling": "range", "input_clip": None,
    "zero_output": False, "level_input": CLOSE,
}  # fmt: skip
MEANING: Final = {"ours": "JAX, one program, a window on each of two devices", "torch": TORCH}


def main() -> None:
    """Measure, and print the outcome."""
    given = arguments(__doc__ or "", rounds=1, more=_more)
    if given.fit is not None:
        print(json.dumps(fit_ours(Path(given.fit), given.epochs)))
        return
    weeks, epochs = (2, 3) if given.quick else (given.weeks, given.epochs)
    sides = ["ours"] if given.ours_only else ["ours", "torch"]
    python = {"ours": Path(sys.executable)}
    if "torch" in sides:
        python["torch"] = torch_environment()
    with tempfile.TemporaryDirectory(prefix="mlops-bench-") as folder:
        windows = Path(folder) / "windows.npz"
        np.savez(windows, **weekly_windows(weeks))
        taken = interleaved(
            {side: partial(run_side, side, python[side], windows, epochs) for side in sides},
            rounds=given.rounds,
        )
    sizes = {} if given.quick else {side: download_mb(side, python[side]) for side in sides}
    figures = summary(taken, sizes, weeks=weeks, epochs=epochs, rounds=given.rounds)
    show(figures, _text(figures), as_json=given.json)


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weeks", type=int, default=WEEKS, help="fits, one a week")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--ours-only", action="store_true", help="without PyTorch")
    parser.add_argument("--fit", help=argparse.SUPPRESS)  # the process that trains our side


def weekly_windows(weeks: int) -> dict[str, np.ndarray]:
    """Training rows and the following week of each refit, from the real files.

    Returns:
        `features` (weeks, ROWS + AHEAD, LOOKBACK x 18), oldest step first, and `target`
        (weeks, ROWS + AHEAD), the log return of the hour that follows; the last AHEAD rows are the
        week that is forecast.
    """
    raw, opens = raw_inputs()
    close = raw[:, CLOSE]
    steps = [raw[LOOKBACK - 1 - lag : len(raw) - 1 - lag] for lag in reversed(range(LOOKBACK))]
    features = np.stack(steps, axis=1).reshape(len(raw) - LOOKBACK, -1)
    target = np.log(close[LOOKBACK:] / close[LOOKBACK - 1 : -1])
    known = opens[LOOKBACK - 1 : -1] + timedelta(hours=1)  # the origin of each row
    taken = {"features": [], "target": []}  # type: dict[str, list[np.ndarray]]
    for week in range(weeks):
        cutoff = int(np.searchsorted(known, FIRST + week * timedelta(days=7)))
        rows = slice(cutoff - ROWS, cutoff + AHEAD)
        taken["features"].append(features[rows])
        taken["target"].append(target[rows])
    return {name: np.stack(parts) for name, parts in taken.items()}


def raw_inputs() -> tuple[np.ndarray, np.ndarray]:
    """The 18 raw inputs of each Bitcoin hour, and the hours' opens, UTC."""
    frames = {name: _market(file) for name, (file, _) in FILES.items()}
    hours = frames["btc"].select("timestamp").sort("timestamp")
    table = hours
    for name, (_, columns) in FILES.items():
        named = {column: f"{name}_{column}" for column in columns}
        other = frames[name].select("timestamp", *columns).rename(named).sort("timestamp")
        # Bars of different hours begin at different minutes; each is known an hour after its open.
        table = table.join_asof(other, on="timestamp")
    inputs = table.drop("timestamp").cast(pl.Float64).to_numpy()
    filled = np.where(np.isnan(inputs), np.nanmean(inputs, axis=0), inputs)
    return filled, np.array(hours["timestamp"].to_list())


def _market(file: str) -> pl.DataFrame:
    frame = pl.read_parquet(DATA / "market" / file)
    return frame.with_columns(pl.col("timestamp").dt.cast_time_unit("us"))


def run_side(side: str, python: Path, windows: Path, epochs: int) -> dict[str, Any]:
    """Train one side in a process of its own; its figures."""
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"} if side == "ours" else {}
    own = Path(__file__)
    script = own if side == "ours" else own.parent / "measurement" / "torch_loop.py"
    command = [str(python), str(script), "--fit", str(windows)]
    done = subprocess.run(
        [*command, "--epochs", str(epochs)],
        env={**os.environ, **flags},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


def fit_ours(path: Path, epochs: int) -> dict[str, float]:
    """Train every window with our program, in this process.

    Returns:
        `seconds` from the arrays to the fits, compiling included; `peak_mb` of the process;
        `rmse_ratio` of the following weeks, to the last value.
    """
    import resource
    import time

    from mlops_assets.training.lstm import lstm_of_windows

    stored = np.load(path)
    features, target = stored["features"], stored["target"]
    start = time.perf_counter()
    fits = lstm_of_windows(
        [(f[:-AHEAD], t[:-AHEAD]) for f, t in zip(features, target, strict=True)],
        params={**PARAMS, "epochs": epochs},
        log=say,
    )
    seconds = time.perf_counter() - start
    last = features[:, -AHEAD:, (LOOKBACK - 1) * 18 + CLOSE]
    given = np.stack([f.predict(x[-AHEAD:]) for f, x in zip(fits, features, strict=True)])
    errors = last * np.exp(given) - last * np.exp(target[:, -AHEAD:])
    still = last - last * np.exp(target[:, -AHEAD:])
    return {
        "seconds": seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "rmse_ratio": float(np.sqrt(np.mean(errors**2) / np.mean(still**2))),
    }


def torch_environment() -> Path:
    """The Python of an environment with PyTorch and numpy, made where it is missing."""
    folder = CACHE / TORCH.replace("==", "-")
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        say(f"making {folder} with {TORCH}; it is kept for later runs")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", TORCH, "numpy"]
        subprocess.run(install, check=True, stdout=sys.stderr)
        (folder / "ready").touch()
    return python


def download_mb(side: str, python: Path) -> float:
    """Size of all wheels that pip fetches for a side, numpy left out, which both need anyway."""
    wanted = [TORCH] if side == "torch" else list(OURS)
    with tempfile.TemporaryDirectory(prefix="mlops-bench-") as folder:
        command = [str(python), "-m", "pip", "download", "--quiet", "--dest", folder, *wanted]
        subprocess.run(command, check=True, stdout=sys.stderr)
        wheels = [w for w in Path(folder).iterdir() if not w.name.startswith("numpy-")]
        return sum(w.stat().st_size for w in wheels) / 1e6


def summary(
    taken: Mapping[str, list[dict[str, Any]]],
    sizes: Mapping[str, float],
    *,
    weeks: int,
    epochs: int,
    rounds: int,
) -> dict[str, Any]:
    """Medians over the rounds, and PyTorch's over ours."""
    median = {
        side: {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        for side, runs in taken.items()
    }
    figures: dict[str, Any] = {
        "benchmark": "lstm_training", "weeks": weeks, "epochs": epochs, "rounds": rounds,
        "sides": {side: {k: round(v, 3) for k, v in own.items()} for side, own in median.items()},
        "download_mb": {side: round(size, 1) for side, size in sizes.items()},
    }  # fmt: skip
    if "torch" in median:
        figures["ratio"] = round(median["torch"]["seconds"] / median["ours"]["seconds"], 2)
    if "torch" in sizes:
        figures["download_ratio"] = round(sizes["torch"] / sizes["ours"], 1)
    return figures


def _text(figures: Mapping[str, Any]) -> str:
    lines = [
        f"{figures['weeks']} weekly LSTMs of {figures['epochs']} epochs, medians of "
        f"{figures['rounds']} rounds",
        "",
        f"{'':8}{'seconds':>10}{'peak MB':>10}{'RMSE ratio':>12}{'download MB':>13}",
    ]
    for side, own in figures["sides"].items():
        size = figures["download_mb"].get(side, float("nan"))
        lines.append(
            f"{side:8}{own['seconds']:>10.1f}{own['peak_mb']:>10.0f}{own['rmse_ratio']:>12.3f}"
            f"{size:>13.1f}  {MEANING[side]}"
        )
    if "ratio" in figures:
        lines += ["", f"ratio: PyTorch takes {figures['ratio']} times as long as ours"]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
