"""Problems for measurements, made from `bitcoin_close` by editing its YAML.

Here: an earlier start of the sample, fewer sources, and a problem whose computing is trivial.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import yaml

from mlops_assets.cli.problems import problem_files

NAME: Final = "bitcoin_close"
BASELINES: Final = ("last_value", "drift")


def bitcoin_close() -> dict[str, Any]:
    """The YAML document of `bitcoin_close`, free to be edited."""
    document: dict[str, Any] = yaml.safe_load(problem_files()[NAME].read_text(encoding="utf-8"))
    return document


def start_at(document: dict[str, Any], start: datetime) -> None:
    """Let every source, and its sample, begin at `start`."""
    for source in document["attributes"]["sources"].values():
        source["start"] = source["sample"]["start"] = start.isoformat()


def keep_sources(document: dict[str, Any], *names: str) -> None:
    """Drop all other sources; the features must not need them."""
    attributes = document["attributes"]
    attributes["sources"] = {name: attributes["sources"][name] for name in names}


def make_trivial(
    document: dict[str, Any],
    *,
    anchor: datetime,
    calibration: timedelta,
    refit_every: timedelta,
    folds: int,
) -> None:
    """Leave the graph as it is, and next to nothing to compute: two features, baselines only.

    Args:
        document: edited in place.
        anchor: an instant of the refit grid.
        calibration: out-of-sample stretch before the first fold; a band needs 100 periods of it.
        refit_every: length of a fold; all of them together must hold 100 periods as well.
        folds: evaluated folds of a run that is told no start.
    """
    attributes = document["attributes"]
    attributes["features"] = [
        {"kind": "log_rms_volatility", "source": "btc", "params": {"windows": [3, 12]}}
    ]
    attributes["feature_sets"] = {"volatility": ["btc_log_rms_volatility_*"]}
    attributes["candidates"] = {name: attributes["candidates"][name] for name in BASELINES}
    attributes["band"] |= {"window": 100, "calibration": _hours(calibration)}
    attributes["evaluation"] |= {
        "anchor": anchor.isoformat(),
        "refit_every": _hours(refit_every),
        "folds": folds,
    }


def write(document: dict[str, Any], folder: Path) -> Path:
    """Write the document as a problem's file; its path."""
    path = folder / "defs.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path


def _hours(duration: timedelta) -> str:
    return f"{duration // timedelta(hours=1)}h"
