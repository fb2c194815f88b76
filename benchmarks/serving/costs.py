"""What metrics, the prediction log and a second worker cost: processor time of a request.

`benchmarks/README.md` says what the figures mean.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.measurement.rounds import arguments, interleaved, medians, show
from benchmarks.serving import wrk
from benchmarks.serving.forest import HALF_WIDTH, Forest
from benchmarks.serving.forest_home import World, write_home
from benchmarks.serving.in_process import application, metrics_switched_off
from benchmarks.serving.peer_services import PREDICT, Peer, ours, started
from benchmarks.serving.peers import Figures, sized_forest

SERVERS: Final[dict[str, dict[str, object]]] = {
    "one worker": {},
    "log off": {"prediction_log_enabled": False},
    "two workers": {"api_workers": 2},
}
"""Variants of the service as a process -> settings."""


def main() -> None:
    """Measure, and print the outcome."""
    given = arguments(__doc__ or "", rounds=3, more=_options)
    wrk.require_wrk()
    seconds, count = (1, 200) if given.quick else (given.seconds, given.requests)
    with tempfile.TemporaryDirectory(prefix="mlops-bench-") as name:
        folder = Path(name)
        forest = sized_forest(quick=given.quick)
        variants: dict[str, Callable[[], Figures]] = {}
        for variant, settings in SERVERS.items():
            home = folder / variant.replace(" ", "-")
            world = write_home(home, forest, half_widths=(HALF_WIDTH,))
            peer = ours(world, name=variant, predict_path=given.predict_path, settings=settings)
            variants[variant] = partial(
                server_round,
                peer,
                forest,
                folder=folder,
                seconds=seconds,
                connections=tuple(given.connections),
            )
        inside = write_home(folder / "inside", forest, half_widths=(HALF_WIDTH,))
        variants["in process"] = partial(
            application_round, inside, forest, path=given.predict_path, count=count
        )
        samples = interleaved(variants, rounds=given.rounds)
    found = {name: medians(rounds) for name, rounds in samples.items()}
    figures = {
        "benchmark": "costs",
        "rounds": given.rounds,
        "seconds": seconds,
        "requests_in_process": count,
        "connections": given.connections,
        "medians": {n: {k: round(v, 3) for k, v in values.items()} for n, values in found.items()},
        **shares(found, given.connections),
    }
    show(figures, _text(found, figures, given), as_json=given.json)


def server_round(
    peer: Peer, forest: Forest, *, folder: Path, seconds: float, connections: tuple[int, ...]
) -> Figures:
    """Requests per second, and processor time of the whole process tree for one request."""
    figures: Figures = {}
    with started(peer, forest, folder) as (service, _):
        bodies = peer.bodies(forest.rows)
        wrk.load(service.port, peer.path, bodies, connections=connections[-1], seconds=1)
        for number in connections:
            before = service.cpu_seconds
            load = wrk.load(service.port, peer.path, bodies, connections=number, seconds=seconds)
            spent = service.cpu_seconds - before
            figures[f"per_second_{number}"] = load.per_second
            figures[f"p99_ms_{number}"] = load.p99_ms
            figures[f"failed_{number}"] = load.failed
            figures[f"cpu_us_{number}"] = spent / max(1, load.answers) * 1e6
    return figures


def application_round(world: World, forest: Forest, *, path: str, count: int) -> Figures:
    """Processor time of a request in the application alone, with and without metrics."""
    return asyncio.run(_application_round(world, forest, path, count))


async def _application_round(world: World, forest: Forest, path: str, count: int) -> Figures:
    bodies = ours(world).bodies(forest.rows)
    figures: Figures = {}
    async with application(
        world.home, path, api_poll_seconds=0.1, prediction_log_enabled=True
    ) as asked:
        await asked.cpu_microseconds(bodies, count // 10 + 1)
        for part in range(4):
            with_metrics = part % 2 == 0
            with contextlib.nullcontext() if with_metrics else metrics_switched_off():
                taken = await asked.cpu_microseconds(bodies, count)
            name = "metrics" if with_metrics else "no_metrics"
            # The better of two stretches: what disturbs only adds.
            figures[f"{name}_us"] = min(figures.get(f"{name}_us", 1e9), taken["request"])
    figures["metrics_cost_us"] = figures["metrics_us"] - figures["no_metrics_us"]
    return figures


def shares(found: dict[str, Figures], connections: list[int]) -> dict[str, object]:
    """What each thing costs, as a share of a request's processor time.

    Returns:
        `metrics_share_of_application`: of the application alone; `metrics_share_of_request`: of
        the whole service, server and log included; `log_share` and `two_workers` by connections.
    """
    one, off, two = (found[name] for name in SERVERS)
    inside = found["in process"]
    busiest = connections[-1]
    return {
        "metrics_share_of_application": round(inside["metrics_cost_us"] / inside["metrics_us"], 4),
        "metrics_share_of_request": round(inside["metrics_cost_us"] / one[f"cpu_us_{busiest}"], 4),
        "log_share": {
            c: round(1 - off[f"cpu_us_{c}"] / one[f"cpu_us_{c}"], 4) for c in connections
        },
        "two_workers": {
            c: round(two[f"per_second_{c}"] / one[f"per_second_{c}"], 3) for c in connections
        },
    }


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=4, help="of each load; default 4")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--requests", type=int, default=3000, help="in process, a stretch")
    parser.add_argument("--predict-path", default=PREDICT, help="of a single row")


def _text(found: dict[str, Figures], figures: dict[str, object], given: argparse.Namespace) -> str:
    lines = [
        f"Processor time of a request, medians of {given.rounds} rounds",
        "",
        f"{'':13}{'conn.':>6}{'req/s':>10}{'p99 ms':>9}{'failed':>8}{'CPU us':>9}",
    ]
    for name in SERVERS:
        for c in given.connections:
            v = found[name]
            lines.append(
                f"{name:13}{c:>6}{v[f'per_second_{c}']:>10.1f}{v[f'p99_ms_{c}']:>9.2f}"
                f"{v[f'failed_{c}']:>8.0f}{v[f'cpu_us_{c}']:>9.0f}"
            )
    inside = found["in process"]
    lines += [
        "",
        f"application alone: {inside['metrics_us']:.1f} us a request, of which metrics "
        f"{inside['metrics_cost_us']:.1f} us",
        f"metrics: {figures['metrics_share_of_application']:.1%} of the application's time, "
        f"{figures['metrics_share_of_request']:.1%} of the whole request's",
        f"prediction log, share of the request's time by connections: {figures['log_share']}",
        f"two workers, times the requests per second of one: {figures['two_workers']}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
