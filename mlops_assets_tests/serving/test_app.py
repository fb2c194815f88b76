from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

import serving
from mlops_assets_tests.serving.published import World, by_hand, files_of, model_files, onnx_model
from mlops_assets_tests.serving.published import card as card_of
from mlops_assets_tests.serving.running import served, until
from serving.app import app_from_environment, create_app
from serving.settings import ServingSettings

LATEST = "/forecasts/bitcoin_close/latest"


def test_two_hundred_requests_see_no_failure_while_the_alias_moves(world: World) -> None:
    world.register(model_files(-0.1))
    world.publish()
    second = world.register(model_files(-0.2), promote=False)
    with served(world) as client:
        base = str(client.base_url)
        all_have_asked = threading.Barrier(5)

        def ask(_: int) -> list[httpx.Response]:
            """Ask before the swap, and go on until 50 answers are there and the swap is seen."""
            with httpx.Client(base_url=base) as own:
                answers = [own.get(LATEST)]
                all_have_asked.wait()
                while len(answers) < 50 or answers[-1].headers.get("X-Model-Version") != second:
                    answers.append(own.get(LATEST))
                    assert len(answers) < 100_000, "the second version never answered"
            return answers

        with ThreadPoolExecutor(4) as pool:
            asked = pool.map(ask, range(4))
            all_have_asked.wait()
            world.promote(second)
            answers = [answer for several in asked for answer in several]
    assert len(answers) >= 200
    assert {answer.status_code for answer in answers} == {200}
    seen = {}
    for answer in answers:
        (forecast,) = answer.json()["forecasts"]
        # Header and body are of one model, whichever it was.
        assert answer.headers["X-Model-Version"] == forecast["version"]
        seen[forecast["version"]] = forecast["point"]
    assert set(seen) == {"1", "2"}
    for version, slope in (("1", -0.1), ("2", -0.2)):
        _, point, _ = by_hand(slope=slope, ret=0.01, vol=0.005, band=1.6, last_value=60000.0)
        assert seen[version] == pytest.approx(point, rel=1e-12)


def test_a_pickle_in_place_of_the_model_is_refused_and_counted_while_the_old_one_serves(
    world: World,
) -> None:
    world.register(model_files(-0.1))
    world.publish()
    with served(world) as client:
        content = b"\x80\x05K\x01."
        world.register(files_of(content, card_of(content, slope=-0.1)))
        refused = 'serving_model_refusals_total{problem="bitcoin_close",reason="format"}'
        until(lambda: refused in client.get("/metrics").text, what="the refusal is counted")
        assert client.get(LATEST).headers["X-Model-Version"] == "1"
        assert client.get("/health").json()["status"] == "degraded"
        world.register(model_files(-0.3))
        until(lambda: client.get("/health").json()["status"] == "ok", what="a good one is served")
        assert client.get(LATEST).headers["X-Model-Version"] == "3"


def test_a_new_snapshot_brings_the_next_forecast(world: World) -> None:
    world.register(model_files())
    world.publish()
    with served(world) as client:
        assert client.get(LATEST).headers["X-Data-Version"] == "data-1"
        world.publish()
        until(
            lambda: client.get(LATEST).headers["X-Data-Version"] == "data-2",
            what="the second snapshot answers",
        )


def test_a_large_float32_feature_is_refused_before_it_overflows(world: World) -> None:
    from onnx import TensorProto

    content = onnx_model(-0.1, element=TensorProto.FLOAT).SerializeToString()
    world.register(files_of(content, card_of(content, slope=-0.1, input_type="float32")))
    world.publish()
    question = {"problem": "bitcoin_close", "features": {"ret": 1e39, "vol": 0.1}, "last_value": 1}
    with served(world) as client:
        answer = client.post("/predict", json=question)
        assert answer.status_code == 422
        assert answer.json()["value"] == "feature ret = 1e+39"
        assert answer.json()["rule"] == "it must fit float32"


def test_importing_and_building_the_service_loads_nothing_heavy() -> None:
    program = (
        "import sys; from serving.app import create_app; "
        "from serving.settings import ServingSettings; create_app(ServingSettings()); "
        "print(sorted({'mlflow', 'pandas', 'polars', 'sklearn', 'dagster', 'mlops_assets', "
        "'onnx', 'onnxruntime', 'pyarrow', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_package_itself_is_empty() -> None:
    assert serving.__file__ is not None
    with open(serving.__file__, encoding="utf-8") as source:
        assert source.read() == ""


def test_the_factory_uses_the_environment(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(world.home))
    app = app_from_environment()
    assert app.title == create_app(ServingSettings(home=world.home)).title


def test_the_command_serves_a_world_and_stops_on_request(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    world.register(model_files())
    world.publish()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLOPS_HOME", str(world.home))
    monkeypatch.setenv("MLOPS_API_PORT", str(port))
    with subprocess.Popen([sys.executable, "-m", "serving"], stderr=subprocess.PIPE) as process:
        address = f"http://127.0.0.1:{port}"

        def ready() -> bool:
            assert process.poll() is None
            try:
                return httpx.get(f"{address}/health/ready").status_code == 200
            except httpx.ConnectError:
                return False

        try:
            until(ready, what="the command serves")
            (forecast,) = httpx.get(f"{address}{LATEST}").json()["forecasts"]
            assert forecast["version"] == "1"
            assert forecast["stale"] is True  # against the real time, the sample is old
        finally:
            process.terminate()
            process.communicate(timeout=60)


def test_the_command_refuses_a_setting_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLOPS_API_PORT", "many")
    done = subprocess.run(
        [sys.executable, "-m", "serving"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "MLOPS_API_PORT='many'" in done.stderr
