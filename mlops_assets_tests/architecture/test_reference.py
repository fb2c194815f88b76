"""docs/reference.md names what exists, and all of it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import dagster as dg
import pytest

from mlops_assets.components.forecast_pipeline import build_problem_definitions
from mlops_assets.definitions import shared_definitions, shared_resources
from mlops_assets.orchestration.clock import Clock
from mlops_assets.problem import load_problem
from mlops_assets.settings import Settings
from mlops_assets_tests.architecture.source_code import ROOT
from serving.app import create_app
from serving.settings import ServingSettings

PAGE = ROOT / "docs" / "reference.md"
CODE = re.compile(r"`([^`]+)`")
METHODS = {"GET", "POST", "PUT", "DELETE"}
FILES = sorted((ROOT / "mlops_assets" / "defs").glob("*/defs.yaml"))
PROBLEM = re.compile("^(?:" + "|".join(file.parent.name for file in FILES) + ")")


def section(title: str) -> str:
    """The text of one section of the page."""
    text = PAGE.read_text(encoding="utf-8")
    return text.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


@cache
def settings() -> Settings:
    """Defaults, and a folder that nothing is written to."""
    return Settings(home=Path("unused"), _env_file=None)  # type: ignore[call-arg]  # pydantic-settings' own


@cache
def problems() -> list[dg.Definitions]:
    """What each shipped problem turns into."""
    return [build_problem_definitions(load_problem(file), settings()) for file in FILES]


def shared() -> dg.Definitions:
    """What all problems share."""
    return shared_definitions([load_problem(file) for file in FILES], settings(), Clock())


@cache
def graph() -> dg.AssetGraph:
    """Assets and checks of the shipped problems."""
    resources = dg.Definitions(resources=shared_resources(settings(), Clock()))
    return dg.Definitions.merge(*problems(), resources).resolve_asset_graph()


def general(name: str) -> str:
    """An asset's name with what the YAML chooses left open."""
    if name.startswith("raw_"):
        return "raw_<source>"
    return "model_<candidate>" if name.startswith("model_") else name


def test_the_page_names_every_asset_and_no_other() -> None:
    existing = {general(key.path[-1]) for key in graph().get_all_asset_keys()}
    assert set(CODE.findall(section("Assets"))) == existing


def test_the_page_names_every_check_and_no_other() -> None:
    existing = {key.name for key in graph().asset_check_keys}
    assets = {general(key.path[-1]) for key in graph().get_all_asset_keys()}
    named = set(CODE.findall(section("Checks"))) - assets - {"files"}
    assert named == existing


def test_the_page_names_every_endpoint_and_no_other() -> None:
    app = create_app(ServingSettings(_env_file=None))  # type: ignore[call-arg]  # pydantic-settings' own
    existing = {
        f"{method.upper()} {path}"
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    }
    named = {c for c in CODE.findall(section("Endpoints")) if c.split(" ")[0] in METHODS}
    assert named - {"GET /docs"} == existing


def test_the_page_names_every_metric_and_no_other() -> None:
    app = create_app(ServingSettings(_env_file=None))  # type: ignore[call-arg]  # pydantic-settings' own
    families = app.state.parts.metrics.registry.collect()
    existing = {f"{f.name}_total" if f.type == "counter" else f.name for f in families}
    named = {c for c in CODE.findall(section("Metrics")) if c.startswith(("serving_", "pipeline_"))}
    assert named == existing


def test_the_page_names_every_sensor_and_no_other() -> None:
    sensors = [sensor.name for defs in (*problems(), shared()) for sensor in defs.sensors or ()]
    existing = {PROBLEM.sub("<problem>", name) for name in sensors}
    table = section("Sensors").split("\n\n")[0]
    assert set(CODE.findall(table)) == existing


@pytest.mark.parametrize("kind", ["description", "owners", "group_name", "kinds"])
def test_every_asset_explains_itself(kind: str) -> None:
    silent = [
        key.to_user_string()
        for key in graph().get_all_asset_keys()
        if not getattr(graph().get(key), kind)
    ]
    assert not silent, f"these assets have no {kind}: {silent}"
