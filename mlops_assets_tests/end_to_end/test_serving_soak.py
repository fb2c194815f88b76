"""Minutes of steady load on a service as a process: nothing grows and no answer is lost.

`MLOPS_SOAK_MINUTES` (default 20) and `MLOPS_SOAK_PER_SECOND` (default 300) set length and load.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

from benchmarks.serving.forest import HALF_WIDTH, fit_forest
from benchmarks.serving.forest_home import write_home
from benchmarks.serving.paced import PacedLoad
from benchmarks.serving.peer_services import ours, started
from benchmarks.serving.processes import Service
from serving.contract.prediction_log import TABLE

pytestmark = [pytest.mark.soak, pytest.mark.services, pytest.mark.timeout(0)]

MINUTES = float(os.environ.get("MLOPS_SOAK_MINUTES", "20"))
PER_SECOND = float(os.environ.get("MLOPS_SOAK_PER_SECOND", "300"))
WARM_UP_SHARE = 0.25
"""Of the run; caches, pools and the allocator's arenas fill in it."""
LOOKS = 100
BYTES_A_REQUEST = 8
ALLOWANCE_MB = 3.0
"""The slope over the rest may come to this plus `BYTES_A_REQUEST` for each request: one object that
is kept for each request would be 50 bytes or more."""
OPEN_FILES_ALLOWANCE = 4
"""The log's and the registry's files are opened and closed while the looks are taken."""


def look(service: Service, *, seconds: float) -> tuple[list[float], list[float], list[int]]:
    """Instants in seconds, memory in MB and open files, at even distances."""
    instants, memory, files = [], [], []
    began, pause = monotonic(), threading.Event()
    for number in range(1, LOOKS + 1):
        pause.wait(max(0.0, began + seconds * number / LOOKS - monotonic()))
        instants.append(monotonic() - began)
        memory.append(service.own_memory_mb)
        files.append(service.open_files)
    return instants, memory, files


def test_steady_load_leaves_memory_and_files_flat_and_every_answer_in_the_log(
    tmp_path: Path,
) -> None:
    forest = fit_forest(trees=50, depth=8, rows=2000)
    world = write_home(tmp_path / "home", forest, half_widths=(HALF_WIDTH,))
    peer = ours(world)
    with started(peer, forest, tmp_path) as (service, _):
        bodies = peer.bodies(forest.rows)
        with PacedLoad(service.port, peer.path, bodies, per_second=PER_SECOND) as load:
            instants, memory, files = look(service, seconds=MINUTES * 60)
    answers = load.answers()
    assert answers.failed == 0, answers.first_failure
    assert answers.total > PER_SECOND * MINUTES * 60 / 2, "the machine is too slow for this load"

    settled = int(LOOKS * WARM_UP_SHARE)
    slope = float(np.polyfit(instants[settled:], memory[settled:], 1)[0])
    growth = slope * (instants[-1] - instants[settled])
    requests = answers.total * (1 - WARM_UP_SHARE)
    print(f"{answers.total} answers, slowest {answers.slowest_ms:.0f} ms")
    print(f"memory {memory[settled]:.1f} to {memory[-1]:.1f} MB, by its slope {growth:+.2f} MB")
    print(f"open files {min(files[settled:])} to {max(files[settled:])}")
    assert growth <= ALLOWANCE_MB + BYTES_A_REQUEST * requests / 1e6, memory
    assert max(files[settled:]) - min(files[settled:]) <= OPEN_FILES_ALLOWANCE, files

    with closing(sqlite3.connect(world.prediction_log)) as database:
        rows = database.execute(
            f"SELECT request_id, count(*) FROM {TABLE} "
            "WHERE request_id LIKE 'caller-%' GROUP BY request_id"
        ).fetchall()
    assert {request_id for request_id, _ in rows} == set(answers.ids)
    assert [row for row in rows if row[1] != 1] == []
