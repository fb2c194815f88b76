from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from dashboard.settings import DashboardSettings
from mlops_assets.settings import Settings
from mlops_assets_tests.architecture.source_code import ROOT
from serving.settings import ServingSettings

README = ROOT / "README.md"
EXAMPLE = ROOT / ".env.example"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
VARIABLE = re.compile(r"\bMLOPS_[A-Z0-9_]*[A-Z0-9]\b")
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def variables(settings: type[BaseSettings]) -> dict[str, str]:
    """Every variable of a settings class with its default as it is written in a `.env` file."""
    return {
        f"MLOPS_{name.upper()}": "" if field.default is None else str(field.default)
        for name, field in settings.model_fields.items()
    }


def every_variable() -> dict[str, str]:
    """Every variable of any part with its default."""
    return variables(DashboardSettings) | variables(ServingSettings) | variables(Settings)


def example_lines() -> dict[str, str]:
    """The settings of `.env.example`: variable and the value that is commented out."""
    found = re.findall(r"^# (MLOPS_\w+)=(.*)$", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE)
    return dict(found)


def readme() -> str:
    assert README.exists(), "README.md does not exist; write it: these tests read its contents"
    return README.read_text(encoding="utf-8")


def documents() -> list[Path]:
    return [README, *sorted((ROOT / "docs").rglob("*.md"))]


def test_pipeline_and_service_agree_on_the_defaults_they_share() -> None:
    pipeline, service = variables(Settings), variables(ServingSettings)
    shared = pipeline.keys() & service.keys()
    assert {"MLOPS_DATA", "MLOPS_HOME", "MLOPS_API_PORT"} <= shared
    assert {name: pipeline[name] for name in shared} == {name: service[name] for name in shared}


def test_dashboard_and_pipeline_agree_on_the_defaults_they_share() -> None:
    pipeline, dashboard = variables(Settings), variables(DashboardSettings)
    shared = pipeline.keys() & dashboard.keys()
    assert {"MLOPS_HOST", "MLOPS_API_PORT", "MLOPS_DASHBOARD_PORT"} <= shared
    assert {name: pipeline[name] for name in shared} == {name: dashboard[name] for name in shared}


def test_the_example_file_lists_every_setting_with_its_default() -> None:
    expected = {name: value.removesuffix(".0") for name, value in every_variable().items()}
    written = {name: value.removesuffix(".0") for name, value in example_lines().items()}
    assert written == expected


def test_the_example_file_sets_nothing() -> None:
    active = [
        line
        for line in EXAMPLE.read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.startswith("#")
    ]
    assert not active, f"comment these out, so that a copy changes nothing: {active}"


def test_the_readme_names_every_setting() -> None:
    named = set(VARIABLE.findall(readme()))
    missing = sorted(every_variable().keys() - named)
    assert not missing, f"README.md does not name {missing}"


def test_documents_name_only_settings_that_exist() -> None:
    known = every_variable()
    unknown = {
        path.name: strays
        for path in documents()
        if path.exists()
        and (strays := set(VARIABLE.findall(path.read_text(encoding="utf-8"))) - known.keys())
    }
    assert not unknown


def test_every_internal_link_leads_to_a_file() -> None:
    readme()
    dead = []
    for path in documents():
        prose = FENCE.sub("", path.read_text(encoding="utf-8"))
        for target in LINK.findall(prose):
            address = target.split("#")[0]
            elsewhere = not address or "://" in address or address.startswith("mailto:")
            if not elsewhere and not (path.parent / address).exists():
                dead.append(f"{path.relative_to(ROOT)}: {target}")
    assert not dead, "\n".join(dead)


def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    environment = {**os.environ, "MLOPS_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    for block in PYTHON_BLOCK.findall(readme()):
        done = subprocess.run(
            [sys.executable, "-c", block],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"this block of README.md fails:\n{block}\n{done.stderr}"


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("see [a](docs/a.md) and ![b](b.png)", ["docs/a.md", "b.png"]),
        ('[c](docs/c.md#part "title")', ["docs/c.md#part"]),
    ],
)
def test_the_search_finds_links_of_each_form(text: str, targets: list[str]) -> None:
    assert LINK.findall(text) == targets
