"""A hundred champion swaps under full load, and what callers notice; a demonstration's beside it.

`benchmarks/README.md` says what the figures mean.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final

from benchmarks.measurement.rounds import arguments, interleaved, medians, show
from benchmarks.serving import peer_services, wrk
from benchmarks.serving.forest import HALF_WIDTH, Forest
from benchmarks.serving.forest_home import World, write_home
from benchmarks.serving.peer_services import PREDICT, Peer, started
from benchmarks.serving.peers import Figures, sized_forest
from benchmarks.serving.processes import Service, ask

OTHER_WIDTH: Final = 0.75
"""Band of the second version, by which an answer tells the two apart."""
_POLL_SECONDS: Final = 0.1
_LONGEST_SWAP_SECONDS: Final = 60.0
_LONGEST_RUN_SECONDS: Final = 600.0


class SwapMissedError(RuntimeError):
    """The service did not take the version that the alias points to."""


def main() -> None:
    """Measure, and print the outcome."""
    given = arguments(__doc__ or "", rounds=3, more=_options)
    wrk.require_wrk()
    swaps, seconds = (4, 2) if given.quick else (given.swaps, given.seconds)
    with tempfile.TemporaryDirectory(prefix="mlops-bench-") as name:
        folder = Path(name)
        forest = sized_forest(quick=given.quick)
        world = write_home(folder / "home", forest, half_widths=(HALF_WIDTH, OTHER_WIDTH))
        service = peer_services.ours(
            world, predict_path=given.predict_path, settings={"api_poll_seconds": _POLL_SECONDS}
        )
        demo = peer_services.demo(peer_services.save_for_mlflow(forest, folder))
        common = {"folder": folder, "seconds": seconds, "connections": given.connections}
        variants: dict[str, Callable[[], Figures]] = {
            "ours": partial(
                measure, service, forest, act=partial(_move_alias, world), count=swaps, **common
            ),
            "demo": partial(
                measure, demo, forest, act=_reload, count=min(swaps, given.reloads), **common
            ),
        }
        samples = interleaved(variants, rounds=given.rounds)
    found = {name: medians(rounds) for name, rounds in samples.items()}
    figures = {
        "benchmark": "swaps",
        "rounds": given.rounds,
        "connections": given.connections,
        "medians": {n: {k: round(v, 4) for k, v in values.items()} for n, values in found.items()},
        "failed_in_all_rounds": {
            name: sum(figures["failed"] for figures in rounds) for name, rounds in samples.items()
        },
    }
    show(figures, _text(found, given), as_json=given.json)


def measure(
    peer: Peer,
    forest: Forest,
    *,
    act: Callable[[Service, Peer, Forest, int], None],
    count: int,
    folder: Path,
    seconds: float,
    connections: int,
) -> Figures:
    """One round: a quiet stretch of load, then one during which models are swapped.

    Args:
        peer: who is asked.
        forest: what it serves.
        act: swaps once and returns when the next answers are the other model's.
        count: how often.
        folder: for the service's output.
        seconds: of the quiet stretch.
        connections: of the load.
    """
    with started(peer, forest, folder) as (service, _):
        bodies = peer.bodies(forest.rows)
        # The first swaps read both versions from the registry; the quiet stretch has them ready.
        for number in (1, 2):
            act(service, peer, forest, number)
        quiet = wrk.load(service.port, peer.path, bodies, connections=connections, seconds=seconds)
        with wrk.running(
            service.port,
            peer.path,
            bodies,
            connections=connections,
            seconds=_LONGEST_RUN_SECONDS,
        ) as under_way:
            began = perf_counter()
            for number in range(1, count + 1):
                act(service, peer, forest, number)
            taken = perf_counter() - began
            busy = under_way.stop()
    return {"swaps": count, "seconds_a_swap": taken / count, **_compared(quiet, busy)}


def _compared(quiet: wrk.Load, busy: wrk.Load) -> Figures:
    return {
        "failed_quiet": quiet.failed,
        "failed": busy.failed,
        "answers": busy.answers,
        "failed_share": busy.failed / max(1, busy.answers),
        "per_second_quiet": quiet.per_second,
        "per_second": busy.per_second,
        "p99_ms_quiet": quiet.p99_ms,
        "p99_ms": busy.p99_ms,
        "max_ms_quiet": quiet.max_ms,
        "max_ms": busy.max_ms,
        "p99_ratio": busy.p99_ms / quiet.p99_ms,
    }


def _move_alias(world: World, service: Service, peer: Peer, forest: Forest, number: int) -> None:
    """Point the champion to the other version and wait until it answers."""
    wanted = "2" if number % 2 else "1"
    world.promote(wanted)
    body, pause = peer.bodies(forest.rows)[0], threading.Event()
    began = perf_counter()
    while ask(service.port, "POST", peer.path, body).headers.get("x-model-version") != wanted:
        if perf_counter() - began > _LONGEST_SWAP_SECONDS:
            raise SwapMissedError(
                f"version {wanted} does not answer {_LONGEST_SWAP_SECONDS:g} s after it was "
                f"promoted; a swap takes seconds at most; see {service.log}"
            )
        pause.wait(0.02)


def _reload(service: Service, _peer: Peer, _forest: Forest, _number: int) -> None:
    """Let the demonstration drop its model and load it again."""
    reply = ask(service.port, "POST", "/reload", timeout_seconds=_LONGEST_SWAP_SECONDS)
    if reply.status != 200:
        raise SwapMissedError(f"/reload answers {reply.status}; it must load; see {service.log}")


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=10, help="of quiet load; default 10")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--swaps", type=int, default=100, help="a round; default 100")
    parser.add_argument("--reloads", type=int, default=25, help="of the demonstration, at most")
    parser.add_argument("--predict-path", default=PREDICT, help="of our single row")


def _text(found: dict[str, Figures], given: argparse.Namespace) -> str:
    lines = [
        f"Swaps under full load at {given.connections} connections, medians of "
        f"{given.rounds} rounds",
        "",
        f"{'':6}{'swaps':>7}{'s a swap':>10}{'answers':>9}{'failed':>8}{'share':>8}"
        f"{'p99 quiet':>11}{'p99 during':>12}{'ratio':>7}{'max ms':>9}",
    ]
    for name, v in found.items():
        lines.append(
            f"{name:6}{v['swaps']:>7.0f}{v['seconds_a_swap']:>10.2f}{v['answers']:>9.0f}"
            f"{v['failed']:>8.0f}{v['failed_share']:>8.1%}{v['p99_ms_quiet']:>11.2f}"
            f"{v['p99_ms']:>12.2f}{v['p99_ratio']:>7.2f}{v['max_ms']:>9.1f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
