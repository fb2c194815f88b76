"""The serving benchmarks run; what they measure is not judged here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import Any

import pytest

from mlops_assets_tests.architecture.source_code import ROOT

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed"),
]
SCRIPTS = ("peers", "swaps", "costs", "faults")


def figures(script: str, *options: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, f"benchmarks/serving/{script}.py", "--quick", "--json", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["benchmark"] == script
    return found


def test_peers_are_compared_by_the_ratio_of_their_requests_per_second() -> None:
    found = figures("peers", "--peers", "ours", "hello", "--connections", "1")
    ours, hello = found["medians"]["ours"], found["medians"]["hello"]
    assert ours["failed_1"] == hello["failed_1"] == 0
    ratio = ours["per_second_1"] / hello["per_second_1"]
    assert found["ratio_to_hello"]["ours"]["per_second_1"] == pytest.approx(ratio, abs=1e-3)
    assert ours["batch_rows_per_second"] > 0
    assert ours["memory_mb"] > hello["memory_mb"] > 0


def test_swaps_of_ours_fail_no_answer() -> None:
    found = figures("swaps")
    assert found["failed_in_all_rounds"]["ours"] == 0
    assert found["medians"]["ours"]["swaps"] == 4
    assert found["medians"]["ours"]["answers"] > 0


def test_costs_of_metrics_log_and_workers_are_told_as_shares() -> None:
    found = figures("costs", "--connections", "4")
    inside = found["medians"]["in process"]
    cost = inside["metrics_us"] - inside["no_metrics_us"]
    assert inside["metrics_cost_us"] == pytest.approx(cost, abs=0.01)
    assert found["metrics_share_of_application"] == pytest.approx(
        cost / inside["metrics_us"], abs=1e-3
    )
    assert set(found["two_workers"]) == {"4"}


def test_the_readme_describes_every_serving_script() -> None:
    readme = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    assert [script for script in SCRIPTS if f"### {script}.py" not in readme] == []
