from __future__ import annotations

import os
import re
import subprocess
import tomllib

import pytest
import yaml

from mlops_assets_tests.architecture.source_code import ROOT

PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[a-z0-9,_-]+\])?==(\S+) \\$", re.MULTILINE)


@pytest.fixture(scope="module")
def lock() -> str:
    return (ROOT / "requirements.lock").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pyproject() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_lock_names_no_address_and_no_folder(lock: str) -> None:
    allowed = re.compile(
        r"#.*|\s+--hash=sha256:[0-9a-f]{64}(?: \\)?|"
        r"[a-z0-9][a-z0-9._-]*(?:\[[a-z0-9,_-]+\])?==\S+ \\|\s+# +[][\w., -]+|"
    )
    strays = [line for line in lock.splitlines() if not allowed.fullmatch(line) or "://" in line]
    assert not strays


def test_every_pin_of_the_lock_has_a_hash(lock: str) -> None:
    entries = re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)[1:]
    assert len(entries) > 100
    assert not [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry]


def test_the_lock_pins_every_dependency_of_the_project(
    lock: str, pyproject: dict[str, object]
) -> None:
    pinned = {name.replace("_", "-").replace(".", "-") for name, _ in PIN.findall(lock)}
    project, groups = pyproject["project"], pyproject["dependency-groups"]
    assert isinstance(project, dict)
    assert isinstance(groups, dict)
    wanted = [*project["dependencies"], *groups["dev"]]
    names = {re.split(r"[\[<>=!~ ]", w)[0].lower().replace("_", "-") for w in wanted}
    assert names - pinned == set(), "run `make lock`"


def test_the_lock_keeps_below_the_versions_known_to_break(lock: str) -> None:
    versions = dict(PIN.findall(lock))
    assert int(versions["protobuf"].split(".")[0]) < 7  # the first that breaks
    assert int(versions["pandas"].split(".")[0]) < 3  # the first that breaks


def test_workspace_and_project_name_the_same_code_location(pyproject: dict[str, object]) -> None:
    workspace = yaml.safe_load((ROOT / "workspace.yaml").read_text(encoding="utf-8"))
    (entry,) = workspace["load_from"]
    tool = pyproject["tool"]
    assert isinstance(tool, dict)
    project = tool["dg"]["project"]
    assert entry["python_module"]["location_name"] == project["code_location_name"]
    assert entry["python_module"]["module_name"] == project["code_location_target_module"]


def test_ci_runs_the_targets_of_the_laptop_and_can_be_executed() -> None:
    script = ROOT / ".ci" / "run"
    commands = [
        line for line in script.read_text(encoding="utf-8").splitlines() if line.startswith("make ")
    ]
    assert commands == ["make test", "make check"]
    assert os.access(script, os.X_OK)


def test_make_alone_prints_a_line_for_each_target() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "-C", str(ROOT)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    named = re.findall(r"^make (\w+) +\S", shown, re.MULTILINE)
    targets = [
        "help",
        "setup",
        "up",
        "test",
        "check",
        "audit",
        "bench",
        "soak",
        "screenshots",
        "lock",
        "clean",
    ]
    assert named == targets


def test_no_file_names_a_folder_of_one_machine() -> None:
    machine = re.compile("/" + r"(?:work|root|home/\w+|opt/wheels)/")
    kinds = ("*.py", "*.toml", "*.yaml", "*.md", "Makefile", "run", "*.lock", ".env.example")
    folders = ("mlops_assets", "serving", "mlops_assets_tests", "benchmarks", "docs", ".ci")
    files = [p for kind in kinds for p in ROOT.glob(kind)]
    files += [p for folder in folders for kind in kinds for p in (ROOT / folder).rglob(kind)]
    strays = [
        str(path.relative_to(ROOT))
        for path in files
        if path.is_file() and machine.search(path.read_text(encoding="utf-8"))
    ]
    assert len(files) > 50  # the search is not empty
    assert not strays
