"""The services that are compared: how each is started, asked, and what its answer means.

Here: one `Peer` for each way to serve the same forest. Not here: the measurement (`peers`), the
forest (`forest`) and processes (`processes`).
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.serving.forest import INPUTS, LAST_VALUE, FloatArray, Forest
from benchmarks.serving.forest_home import PROBLEM, World
from benchmarks.serving.processes import HOST, Service, ask, bare_environment, free_port

PREDICT: Final = "/v1/predict"
BATCH: Final = "/v1/predict/batch"
BATCH_ROWS: Final = 1000
_ASKED_ROWS: Final = 64
"""Different rows that a load of single rows goes through, so that no cache of answers helps."""
_TOLERANCE: Final = 1e-4
_ANSWERS_IN_A_ROW: Final = 20
"""Each over a connection of its own, which any worker may take."""
_ROOT: Final = Path(__file__).resolve().parents[2]


class OtherForecastError(RuntimeError):
    """A peer does not give the forest's forecast, so its speed compares with nothing."""


@dataclass(frozen=True)
class Peer:
    """One way to serve the forest."""

    name: str
    meaning: str
    command: Callable[[int], Sequence[str]]
    """Port -> program and arguments."""
    environment: Mapping[str, str]
    path: str
    body: Callable[[list[float]], Any]
    """A row -> the request's document."""
    points: Callable[[Any], list[float]] | None
    """An answer's document -> forecast changes; None where nothing is forecast."""
    batch_path: str | None = None
    batch_body: Callable[[list[list[float]]], Any] | None = None
    batch_points: Callable[[Any], list[float]] | None = None
    caches: list[Path] = field(default_factory=list)
    """Folders that it keeps between two starts."""

    def bodies(self, rows: FloatArray) -> list[bytes]:
        """Requests of single rows."""
        return [_json(self.body(row)) for row in rows[:_ASKED_ROWS].tolist()]

    def batch(self, rows: FloatArray) -> bytes:
        """One request of `BATCH_ROWS` rows."""
        assert self.batch_body is not None
        return _json(self.batch_body(rows[:BATCH_ROWS].tolist()))

    def start(self, folder: Path) -> Service:
        """Start it in `folder` on a free port."""
        port = free_port()
        return Service(
            self.command(port),
            port=port,
            environment=bare_environment(self.environment),
            folder=folder,
            name=self.name.replace(" ", "-"),
        )

    def answers(self, service: Service, forest: Forest) -> bool:
        """Whether the service gives a good answer by now."""
        return ask(service.port, "POST", self.path, self.bodies(forest.rows)[0]).status == 200

    def has_batches(self, service: Service, forest: Forest) -> bool:
        """Whether the service takes a batch."""
        if self.batch_path is None:
            return False
        return ask(service.port, "POST", self.batch_path, self.batch(forest.rows)).status == 200

    def require_agreement(self, service: Service, forest: Forest) -> None:
        """Refuse to compare the speed of different answers.

        Raises:
            OtherForecastError: a point differs from scikit-learn's by more than 1e-4.
        """
        if self.points is None:
            return
        reply = ask(service.port, "POST", self.path, self.bodies(forest.rows)[1])
        if reply.status != 200:
            raise OtherForecastError(
                f"{self.name} answers {reply.status} at {self.path} where a forecast is expected: "
                f"{reply.body[:500]!r}; correct what it is asked"
            )
        self._compare(self.points(json.loads(reply.body)), forest.changes[1:2].tolist())
        if self.batch_points is not None and self.has_batches(service, forest):
            assert self.batch_path is not None
            reply = ask(service.port, "POST", self.batch_path, self.batch(forest.rows))
            given = self.batch_points(json.loads(reply.body))
            self._compare(given, forest.changes[:BATCH_ROWS].tolist())

    def _compare(self, given: Sequence[float], wanted: Sequence[float]) -> None:
        off = max(abs(a - b) for a, b in zip(given, wanted, strict=True))
        if not off <= _TOLERANCE:
            raise OtherForecastError(
                f"{self.name} is off by {off:.2g}, at most {_TOLERANCE:g} is allowed; correct "
                "what it is asked, or how its answer is read"
            )


def ours(
    world: World,
    *,
    name: str = "ours",
    meaning: str = "python -m serving",
    predict_path: str = PREDICT,
    batch_path: str = BATCH,
    settings: Mapping[str, object] | None = None,
) -> Peer:
    """This project's service over a home.

    Args:
        world: the home.
        name: of the variant.
        meaning: what is special about it.
        predict_path: of a single row.
        batch_path: of many rows.
        settings: of the service, without `MLOPS_`, in lower case.
    """
    given = {"home": world.home, "api_rate_per_second": 1_000_000_000} | dict(settings or {})
    environment = {f"MLOPS_{key.upper()}": str(value) for key, value in given.items()}

    def command(port: int) -> list[str]:
        # The port is known at the start only; `env` sets it and becomes the service.
        return ["env", f"MLOPS_API_PORT={port}", sys.executable, "-m", "serving"]

    return Peer(
        name=name,
        meaning=meaning,
        command=command,
        environment=environment,
        path=predict_path,
        body=lambda row: {
            "problem": PROBLEM,
            "features": dict(zip(INPUTS, row, strict=True)),
            "last_value": LAST_VALUE,
        },
        points=lambda answer: [answer["point"] - LAST_VALUE],
        batch_path=batch_path,
        batch_body=lambda rows: {
            "problem": PROBLEM,
            "features": dict(zip(INPUTS, map(list, zip(*rows, strict=True)), strict=True)),
            "last_value": [LAST_VALUE] * len(rows),
        },
        batch_points=lambda answer: [point - LAST_VALUE for point in answer["point"]],
        caches=[world.namespace / "serving-cache"],
    )


def demo(model: Path) -> Peer:
    """A demonstration's way: FastAPI, pydantic, pyfunc, pandas (`demo_service`)."""
    return Peer(
        name="demo",
        meaning="FastAPI, def endpoint, pydantic, pyfunc on a DataFrame, instrumented",
        command=lambda port: _uvicorn("benchmarks.serving.demo_service:app", port),
        environment={"FOREST_MODEL": str(model)},
        path="/predict",
        body=lambda row: dict(zip(INPUTS, row, strict=True)),
        points=lambda answer: [answer["prediction"]],
        batch_path="/predict/batch",
        batch_body=lambda rows: [dict(zip(INPUTS, row, strict=True)) for row in rows],
        batch_points=lambda answer: list(answer["predictions"]),
    )


def mlflow_serve(model: Path) -> Peer:
    """`mlflow models serve` in this environment."""

    def command(port: int) -> list[str]:
        told = ["--host", HOST, "--port", str(port), "--env-manager", "local", "--workers", "1"]
        return [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model), *told]

    def split(rows: list[list[float]]) -> dict[str, Any]:
        return {"dataframe_split": {"columns": list(INPUTS), "data": rows}}

    def points(answer: dict[str, list[float]]) -> list[float]:
        return answer["predictions"]

    return Peer(
        name="mlflow",
        meaning="mlflow models serve --env-manager local",
        command=command,
        environment={"MLFLOW_DISABLE_TELEMETRY": "true"},
        path="/invocations",
        body=lambda row: split([row]),
        points=points,
        batch_path="/invocations",
        batch_body=split,
        batch_points=points,
    )


def bentoml(programs: Path, graph: Path) -> Peer:
    """BentoML over onnxruntime, from an environment of its own.

    Args:
        programs: the `bin` folder of that environment.
        graph: the forest's ONNX file.
    """
    service = str(_ROOT / "benchmarks" / "serving")

    def command(port: int) -> list[str]:
        told = ["--host", HOST, "--port", str(port), "--working-dir", service]
        return [str(programs / "bentoml"), "serve", "bento_service:Forest", *told]

    return Peer(
        name="bentoml",
        meaning="bentoml serve over onnxruntime, environment of its own",
        command=command,
        environment={
            "FOREST_GRAPH": str(graph),
            "BENTOML_HOME": str(graph.parent / "bentoml"),
            "BENTOML_DO_NOT_TRACK": "true",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        path="/predict",
        body=lambda row: {"features": [row]},
        points=list,
        batch_path="/predict",
        batch_body=lambda rows: {"features": rows},
        batch_points=list,
    )


def hello() -> Peer:
    """The ceiling: an ASGI application that forecasts nothing (`hello_service`)."""
    return Peer(
        name="hello",
        meaning="hello-world ASGI application on uvicorn: the ceiling",
        command=lambda port: _uvicorn("benchmarks.serving.hello_service:app", port),
        environment={},
        path="/",
        body=lambda row: dict(zip(INPUTS, row, strict=True)),
        points=None,
    )


def save_for_mlflow(forest: Forest, folder: Path) -> Path:
    """The forest as an MLflow model of scikit-learn's kind, in a new folder; its path."""
    import mlflow.sklearn

    path = folder / "mlflow-model"
    # Requirements that are given are not searched for, which takes half a minute.
    mlflow.sklearn.save_model(
        forest.fitted, str(path), pip_requirements=["scikit-learn"], serialization_format="pickle"
    )
    return path


@contextlib.contextmanager
def started(peer: Peer, forest: Forest, folder: Path) -> Iterator[tuple[Service, float]]:
    """A peer that answers, and the seconds from its start to its first good answer.

    Of several workers, one may answer before the others: all must before anything is measured.
    """
    with peer.start(folder) as service:
        seconds = service.until(lambda: peer.answers(service, forest), what=f"{peer.name} answers")
        service.until(
            lambda: all(peer.answers(service, forest) for _ in range(_ANSWERS_IN_A_ROW)),
            what=f"every worker of {peer.name} answers",
        )
        peer.require_agreement(service, forest)
        yield service, seconds


def _uvicorn(application: str, port: int) -> list[str]:
    told = ["--host", HOST, "--port", str(port), "--log-level", "warning", "--no-access-log"]
    return [sys.executable, "-m", "uvicorn", application, *told]


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
