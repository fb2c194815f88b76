"""What callers see while the registry, the storage, the log or the cache is broken.

`benchmarks/README.md` says what the figures mean.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from benchmarks.measurement.rounds import arguments, say, show
from benchmarks.serving.fault_injection import (
    FAULTS,
    FaultNotPossibleError,
    Injection,
    Surroundings,
    registry_killed,
    storage_away,
)
from benchmarks.serving.forest import HALF_WIDTH, Forest, fit_forest
from benchmarks.serving.forest_home import write_home
from benchmarks.serving.paced import Answers, PacedLoad
from benchmarks.serving.peer_services import PREDICT, Peer, ours
from benchmarks.serving.processes import Service, ask

OTHER_WIDTH: Final = 0.75
RESTART: Final = "restart without registry and storage"
_LONGEST_NOTICE_SECONDS: Final = 40.0
_POLL_SECONDS: Final = 0.2


@dataclass
class Outcome:
    """What callers and operators saw during a fault and its repair."""

    answers: int = 0
    failed: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    """Status -> requests; 0 for those without an answer."""
    slowest_ms: float = 0.0
    health: list[str] = field(default_factory=list)
    """The service's own words in their order, without repetition."""
    reasons: list[str] = field(default_factory=list)
    """What `/health` said was wrong."""
    ready_s: float | None = None
    """From start to first good answer, where the service was restarted."""
    first_failure: str = ""
    skipped: str = ""
    """Why this machine cannot show the fault."""

    def saw(self, answers: Answers) -> None:
        """Take over what callers saw."""
        self.answers, self.failed = answers.total, answers.failed
        self.statuses = dict(answers.statuses)
        self.slowest_ms = round(answers.slowest_ms, 1)
        self.first_failure = answers.first_failure


@dataclass
class Stage:
    """The service with its surroundings, ready to be disturbed."""

    around: Surroundings
    peer: Peer
    forest: Forest
    service: Service
    per_second: float

    def start(self) -> float:
        """Start the service; the seconds to its first good answer."""
        self.service = self.peer.start(self.around.folder)
        return self.service.until(
            lambda: self.peer.answers(self.service, self.forest), what="the service answers"
        )

    def load(self) -> PacedLoad:
        """Callers at a steady pace."""
        return PacedLoad(
            self.service.port,
            self.peer.path,
            self.peer.bodies(self.forest.rows),
            per_second=self.per_second,
        )

    def health(self) -> dict[str, Any]:
        """What `/health` says."""
        found: dict[str, Any] = json.loads(ask(self.service.port, "GET", "/health").body)
        return found


def main() -> None:
    """Measure, and print the outcome."""
    given = arguments(__doc__ or "", rounds=1, more=_options)
    seconds = 1.0 if given.quick else given.seconds
    outcomes: dict[str, Outcome] = {}
    with (
        tempfile.TemporaryDirectory(prefix="mlops-bench-") as name,
        stage(Path(name), predict_path=given.predict_path, per_second=given.per_second) as found,
    ):
        for fault, injection in FAULTS.items():
            say(fault)
            outcomes[fault] = disturb(found, injection, seconds=seconds)
        say(RESTART)
        outcomes[RESTART] = restart(found, seconds=seconds)
    figures = {
        "benchmark": "faults",
        "seconds": seconds,
        "per_second": given.per_second,
        "faults": {fault: asdict(outcome) for fault, outcome in outcomes.items()},
    }
    show(figures, _text(outcomes, given.per_second), as_json=given.json)


@contextlib.contextmanager
def stage(folder: Path, *, predict_path: str = PREDICT, per_second: float) -> Iterator[Stage]:
    """A registry's server and the service over a home with two versions of a small forest.

    Args:
        folder: for all of it.
        predict_path: that callers ask.
        per_second: requests of all callers.
    """
    forest = fit_forest(trees=10, depth=4, rows=500)
    world = write_home(folder / "home", forest, half_widths=(HALF_WIDTH, OTHER_WIDTH))
    around = Surroundings(world, folder)
    around.start_registry()
    peer = ours(
        world,
        predict_path=predict_path,
        settings={
            "api_poll_seconds": _POLL_SECONDS,
            "api_recheck_polls": 5,
            "mlflow_tracking_uri": around.registry_uri,
        },
    )
    service = peer.start(folder)
    found = Stage(around, peer, forest, service, per_second)
    try:
        service.until(lambda: peer.answers(service, forest), what="the service answers")
        yield found
    finally:
        found.service.end()
        around.kill_registry()


def disturb(found: Stage, injection: Injection, *, seconds: float) -> Outcome:
    """Break one thing under load, wait until the service says so, and repair it.

    Args:
        found: the service, which must be well.
        injection: what is broken.
        seconds: that the fault goes on after the service has noticed, at least.
    """
    outcome = Outcome()
    _watch(found, outcome, until=lambda status: status == "ok")
    outcome.health.clear()
    with found.load() as load:
        try:
            with injection(found.around):
                _watch(found, outcome, until=lambda status: status != "ok")
                threading.Event().wait(seconds)
        except FaultNotPossibleError as error:
            outcome.skipped = str(error)
        _watch(found, outcome, until=lambda status: status == "ok")
    outcome.saw(load.answers())
    return outcome


def restart(found: Stage, *, seconds: float) -> Outcome:
    """Start the service anew while registry and storage are gone: it answers from its cache.

    Args:
        found: the service, which has been well.
        seconds: of load afterwards.
    """
    outcome = Outcome()
    with registry_killed(found.around), storage_away(found.around):
        found.service.end()
        outcome.ready_s = round(found.start(), 2)
        with found.load() as load:
            _watch(found, outcome, until=lambda status: status == "degraded")
            threading.Event().wait(seconds)
        outcome.saw(load.answers())
    _watch(found, outcome, until=lambda status: status == "ok")
    return outcome


def _watch(found: Stage, outcome: Outcome, *, until: Callable[[str], bool]) -> None:
    """Note what `/health` says until it says what is waited for, or for the longest time."""
    began, pause = perf_counter(), threading.Event()
    while True:
        told = found.health()
        status = str(told["status"])
        if outcome.health[-1:] != [status]:
            outcome.health.append(status)
        reasons = [*told["reasons"], *(r for p in told["problems"] for r in p["reasons"])]
        outcome.reasons.extend(r for r in reasons if r not in outcome.reasons)
        if until(status) or perf_counter() - began > _LONGEST_NOTICE_SECONDS:
            return
        pause.wait(0.05)


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seconds", type=float, default=5, help="a fault goes on once it is noticed; default 5"
    )
    parser.add_argument("--per-second", type=float, default=200, help="requests; default 200")
    parser.add_argument("--predict-path", default=PREDICT, help="that callers ask")


def _text(outcomes: dict[str, Outcome], per_second: float) -> str:
    lines = [
        f"Faults under {per_second:g} requests a second",
        "",
        f"{'':38}{'answers':>8}{'failed':>8}{'slowest ms':>12}  health",
    ]
    for fault, seen in outcomes.items():
        if seen.skipped:
            lines.append(f"{fault:38}{'not shown: ' + seen.skipped}")
            continue
        lines.append(
            f"{fault:38}{seen.answers:>8}{seen.failed:>8}{seen.slowest_ms:>12.1f}  "
            + " > ".join(seen.health)
            + ("" if seen.ready_s is None else f" (first answer after {seen.ready_s} s)")
        )
        if seen.first_failure:
            lines.append(f"{'':38}first failure: {seen.first_failure[:200]}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
