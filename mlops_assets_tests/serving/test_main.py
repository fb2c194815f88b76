from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from mlops_assets_tests.serving.commanded import commanded
from mlops_assets_tests.serving.published import World, model_files
from serving.__main__ import main


def test_every_line_of_the_log_is_json_and_names_its_request(world: World, tmp_path: Path) -> None:
    world.register(model_files())
    world.publish()
    with commanded(world, tmp_path, API_LOG="json", API_ACCESS_LOG="true") as command:
        answer = httpx.get(f"{command.address}/forecasts/bitcoin_close/latest")
        assert "uvicorn" not in answer.headers.get("server", "")
        command.stop()
    lines = [json.loads(line) for line in command.log.read_text(encoding="utf-8").splitlines()]
    assert {"serving.access", "uvicorn.error"} <= {line["logger"] for line in lines}
    assert all({"time", "level", "logger", "message"} <= set(line) for line in lines)
    (line,) = [one for one in lines if one.get("request_id") == answer.headers["x-request-id"]]
    assert line["status"] == 200
    assert line["route"].endswith("/forecasts/{problem}/latest")
    assert line["ms"] > 0


def test_keys_are_kept_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path))
    assert main(["keys", "add", "app"]) == 0
    assert capsys.readouterr().out.startswith("app.")
    assert (tmp_path / "sample" / "api-keys.json").exists()
    assert main(["keys", "list"]) == 0
    assert capsys.readouterr().out == "app: role predict, rate the default, expires never\n"


def test_other_arguments_are_refused_with_what_there_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["serve"]) == 2
    assert "`keys add NAME`" in capsys.readouterr().err


def test_the_process_that_watches_over_workers_loads_nothing_of_the_application() -> None:
    program = (
        "import sys, serving.__main__ as command; from serving.settings import ServingSettings; "
        "command.server_options(ServingSettings()); "
        "print(sorted({'fastapi', 'numpy', 'prometheus_client', 'uvicorn'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "MLOPS_HOME": "unused"},
    )
    assert done.stdout.strip() == "[]"
