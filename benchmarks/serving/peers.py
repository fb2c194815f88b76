"""The service against its peers: the same forest, requests per second, latency, memory, start.

`benchmarks/README.md` says what the figures mean.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.measurement.rounds import arguments, interleaved, medians, say, show
from benchmarks.serving import peer_services, wrk
from benchmarks.serving.forest import HALF_WIDTH, Forest, fit_forest
from benchmarks.serving.forest_home import write_home
from benchmarks.serving.own_environment import BENTOML, EnvironmentAbsentError, environment
from benchmarks.serving.peer_services import BATCH, BATCH_ROWS, PREDICT, Peer, started
from benchmarks.serving.processes import Service

DEFAULT_WORK: Final = Path.home() / ".cache" / "mlops-assets-benchmarks"
REFERENCE: Final = "demo"
NAMES: Final = ("ours", "ours no log", "demo", "mlflow", "bentoml", "hello")
_WARM_UP_SECONDS: Final = 1

Figures = dict[str, float]


@dataclass(frozen=True)
class Plan:
    """How long and how hard each peer is asked."""

    connections: tuple[int, ...]
    seconds: float
    """Of each load."""


def main() -> None:
    """Measure, and print the outcome."""
    given = arguments(__doc__ or "", rounds=3, more=_options)
    wrk.require_wrk()
    plan = Plan(tuple(given.connections), 1 if given.quick else given.seconds)
    with tempfile.TemporaryDirectory(prefix="mlops-bench-") as name:
        folder = Path(name)
        forest = sized_forest(quick=given.quick)
        peers = [
            replace(peer, path=given.predict_path, batch_path=given.batch_path)
            if peer.name.startswith("ours")
            else peer
            for peer in assemble(forest, folder, wanted=given.peers, work=given.work)
        ]
        variants: dict[str, Callable[[], Figures]] = {
            peer.name: partial(measure, peer, forest, folder, plan) for peer in peers
        }
        samples = interleaved(variants, rounds=given.rounds)
    found = {name: medians(rounds) for name, rounds in samples.items()}
    figures = {
        "benchmark": "peers",
        "rounds": given.rounds,
        "seconds": plan.seconds,
        "connections": list(plan.connections),
        "meaning": {peer.name: peer.meaning for peer in peers},
        "medians": {name: _rounded(values) for name, values in found.items()},
        "ratio_to_demo": _ratios(found, plan, REFERENCE),
        "ratio_to_hello": _ratios(found, plan, "hello"),
    }
    show(figures, _text(found, plan, peers, rounds=given.rounds), as_json=given.json)


def sized_forest(*, quick: bool) -> Forest:
    """The forest of the comparison: 200 trees of depth 10; a small one for a quick run."""
    if quick:
        return fit_forest(trees=10, depth=4, rows=500)
    return fit_forest(trees=200, depth=10, rows=10_000)


def assemble(forest: Forest, folder: Path, *, wanted: list[str], work: Path) -> list[Peer]:
    """The peers that are wanted and can be run; what cannot is said and left out.

    Args:
        forest: what all of them serve.
        folder: for homes and model files.
        wanted: names, of `NAMES`.
        work: folder that keeps environments between two runs.
    """
    model = peer_services.save_for_mlflow(forest, folder)
    graph = folder / "forest.onnx"
    graph.write_bytes(forest.onnx())
    peers = []
    for name in wanted:
        if name.startswith("ours"):
            world = write_home(folder / name.replace(" ", "-"), forest, half_widths=(HALF_WIDTH,))
            settings = {"prediction_log_enabled": False} if name == "ours no log" else {}
            meaning = "python -m serving" + (", prediction log off" if settings else "")
            peers.append(peer_services.ours(world, name=name, meaning=meaning, settings=settings))
        elif name == "demo":
            peers.append(peer_services.demo(model))
        elif name == "mlflow":
            peers.append(peer_services.mlflow_serve(model))
        elif name == "bentoml":
            try:
                peers.append(peer_services.bentoml(environment(name, BENTOML, work), graph))
            except EnvironmentAbsentError as error:
                say(str(error))
        else:
            peers.append(peer_services.hello())
    return peers


def measure(peer: Peer, forest: Forest, folder: Path, plan: Plan) -> Figures:
    """One round of a peer: its start, its answers, its batches, its memory.

    A peer that keeps something between two starts is started twice, first without it.
    """
    figures: Figures = {}
    if peer.caches:
        for cache in peer.caches:
            shutil.rmtree(cache, ignore_errors=True)
        with started(peer, forest, folder) as (_, seconds):
            figures["ready_without_cache_s"] = seconds
    with started(peer, forest, folder) as (service, seconds):
        figures["ready_s"] = seconds
        bodies = peer.bodies(forest.rows)
        wrk.load(service.port, peer.path, bodies, connections=1, seconds=_WARM_UP_SECONDS)
        for connections in plan.connections:
            figures |= _loaded(service, peer, bodies, connections, plan.seconds)
        if peer.has_batches(service, forest):
            figures |= _batched(service, peer, forest, plan.seconds)
        figures["memory_mb"] = service.memory_mb
    return figures


def _loaded(
    service: Service, peer: Peer, bodies: list[bytes], connections: int, seconds: float
) -> Figures:
    """Single rows at a number of connections, and the processor time that a request takes."""
    before = service.cpu_seconds
    load = wrk.load(service.port, peer.path, bodies, connections=connections, seconds=seconds)
    spent = service.cpu_seconds - before
    return {
        f"per_second_{connections}": load.per_second,
        f"p50_ms_{connections}": load.p50_ms,
        f"p99_ms_{connections}": load.p99_ms,
        f"failed_{connections}": load.failed,
        f"cpu_us_{connections}": spent / max(load.answers, 1) * 1e6,
    }


def _batched(service: Service, peer: Peer, forest: Forest, seconds: float) -> Figures:
    """Batches of `BATCH_ROWS` rows over one connection."""
    assert peer.batch_path is not None
    body = [peer.batch(forest.rows)]
    load = wrk.load(service.port, peer.batch_path, body, connections=1, seconds=seconds)
    return {"batch_rows_per_second": load.per_second * BATCH_ROWS, "batch_failed": load.failed}


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=4, help="of each load; default 4")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--peers", nargs="+", choices=NAMES, default=list(NAMES), metavar="NAME")
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK, help="keeps environments")
    parser.add_argument("--predict-path", default=PREDICT, help="of our single row")
    parser.add_argument("--batch-path", default=BATCH, help="of our batch")


def _ratios(
    found: Mapping[str, Figures], plan: Plan, reference: str
) -> dict[str, dict[str, float]]:
    """Requests and rows a second of each peer, over those of the reference."""
    if reference not in found:
        return {}
    names = [f"per_second_{c}" for c in plan.connections] + ["batch_rows_per_second"]
    base = found[reference]
    return {
        peer: {n: round(values[n] / base[n], 3) for n in names if values.get(n) and base.get(n)}
        for peer, values in found.items()
    }


def _rounded(values: Figures) -> Figures:
    return {name: round(value, 3) for name, value in values.items()}


def _text(found: Mapping[str, Figures], plan: Plan, peers: list[Peer], *, rounds: int) -> str:
    lines = [
        f"The same forest, one worker each; medians of {rounds} rounds of {plan.seconds:g} s",
        "",
        f"{'':13}{'conn.':>6}{'req/s':>10}{'x demo':>9}{'x hello':>9}{'p50 ms':>10}"
        f"{'p99 ms':>10}{'failed':>8}{'CPU us':>9}",
    ]
    to_demo, to_hello = _ratios(found, plan, REFERENCE), _ratios(found, plan, "hello")
    for connections in plan.connections:
        name = f"per_second_{connections}"
        for peer, values in found.items():
            lines.append(
                f"{peer:13}{connections:>6}{values[name]:>10.1f}"
                f"{_ratio(to_demo, peer, name):>9}{_ratio(to_hello, peer, name):>9}"
                f"{values[f'p50_ms_{connections}']:>10.2f}{values[f'p99_ms_{connections}']:>10.2f}"
                f"{values[f'failed_{connections}']:>8.0f}{values[f'cpu_us_{connections}']:>9.0f}"
            )
        lines.append("")
    lines.append(
        f"{'':13}{'rows/s':>10}{'x demo':>9}{'memory MB':>11}{'ready s':>9}{'no cache':>10}"
    )
    for peer, values in found.items():
        rows, cold = values.get("batch_rows_per_second"), values.get("ready_without_cache_s")
        lines.append(
            f"{peer:13}{'-' if rows is None else f'{rows:.0f}':>10}"
            f"{_ratio(to_demo, peer, 'batch_rows_per_second'):>9}{values['memory_mb']:>11.0f}"
            f"{values['ready_s']:>9.2f}{'' if cold is None else f'{cold:.2f}':>10}"
        )
    return "\n".join([*lines, "", *(f"{peer.name}: {peer.meaning}" for peer in peers)])


def _ratio(ratios: Mapping[str, Mapping[str, float]], peer: str, name: str) -> str:
    value = ratios.get(peer, {}).get(name)
    return "-" if value is None else f"{value:.3g}"


if __name__ == "__main__":
    main()
