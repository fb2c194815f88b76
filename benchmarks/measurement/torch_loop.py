"""The PyTorch side of `lstm_training.py`: a plain loop, one window after the other.

It runs in an environment that has PyTorch and numpy and nothing of this project, so it imports
nothing of it. Written as such loops usually are: a data loader that shuffles, one step a batch.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

LOOKBACK, HIDDEN, INPUTS, CLOSE, AHEAD, BATCH = 12, 64, 18, 3, 168, 64


class Forecaster(nn.Module):
    """One LSTM layer and a linear output on its last hidden state."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(INPUTS, HIDDEN, batch_first=True)
        self.output = nn.Linear(HIDDEN, 1)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(rows, steps, inputs) to (rows,)."""
        states, _ = self.lstm(inputs)
        result: torch.Tensor = self.output(states[:, -1])[:, 0]
        return result


def train(inputs: torch.Tensor, target: torch.Tensor, epochs: int) -> Forecaster:
    """Fit one window."""
    model = Forecaster()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    error = nn.MSELoss()
    batches = DataLoader(TensorDataset(inputs, target), batch_size=BATCH, shuffle=True)
    for _ in range(epochs):
        for rows, wanted in batches:
            optimiser.zero_grad()
            loss = error(model(rows), wanted)
            loss.backward()
            optimiser.step()
    return model


def fit_week(
    features: np.ndarray[Any, Any], target: np.ndarray[Any, Any], epochs: int
) -> np.ndarray[Any, Any]:
    """Levels of the last AHEAD rows, by a model of the rows before; both scaled to 0 .. 1."""
    sequence = features.reshape(len(features), LOOKBACK, INPUTS)
    level = sequence[:, -1, CLOSE] * np.exp(target)
    past, known = sequence[:-AHEAD], level[:-AHEAD]
    low, spread = past.min(axis=(0, 1)), np.ptp(past, axis=(0, 1))
    scaled = (sequence - low) / np.where(spread > 0, spread, 1.0)
    bottom, height = known.min(), np.ptp(known)
    inputs = torch.tensor(scaled, dtype=torch.float32)
    wanted = torch.tensor((known - bottom) / height, dtype=torch.float32)
    model = train(inputs[:-AHEAD], wanted, epochs)
    with torch.no_grad():
        return bottom + height * model(inputs[-AHEAD:]).numpy().astype(np.float64)


def main() -> None:
    """Train every window of the file; print seconds, peak memory and the error ratio as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fit", required=True)
    parser.add_argument("--epochs", type=int, required=True)
    given = parser.parse_args()
    stored = np.load(given.fit)
    features, target = stored["features"], stored["target"]
    torch.manual_seed(0)
    start, levels = time.perf_counter(), []
    for week, (own, wanted) in enumerate(zip(features, target, strict=True), start=1):
        levels.append(fit_week(own, wanted, given.epochs))
        print(f"{week} of {len(features)} windows trained", file=sys.stderr, flush=True)
    seconds = time.perf_counter() - start
    last = features[:, -AHEAD:, (LOOKBACK - 1) * INPUTS + CLOSE]
    actual = last * np.exp(target[:, -AHEAD:])
    ratio = np.sqrt(np.mean((np.stack(levels) - actual) ** 2) / np.mean((last - actual) ** 2))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak, "rmse_ratio": float(ratio)}))


if __name__ == "__main__":
    main()
