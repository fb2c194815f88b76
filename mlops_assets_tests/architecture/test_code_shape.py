from __future__ import annotations

import ast
import statistics

from mlops_assets_tests.architecture.source_code import (
    FunctionNode,
    body_lines,
    modules,
    public_definitions,
)

LONGEST_MODULE = 400
LONGEST_FUNCTION = 50
LARGEST_DAGSTER_SHARE = 0.40
MEDIAN_ASSET_BODY = 15
DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc", "types", "constants"}


def test_no_module_is_longer_than_400_lines() -> None:
    long = [f"{m.path}: {m.lines} lines" for m in modules() if m.lines > LONGEST_MODULE]
    assert not long, "split by reason to exist:\n" + "\n".join(long)


def test_no_function_is_longer_than_50_lines() -> None:
    long = [
        f"{m.path}:{f.lineno} {f.name}: {length} lines"
        for m in modules()
        for f in m.functions
        if (length := (f.end_lineno or 0) - f.lineno + 1) > LONGEST_FUNCTION
    ]
    assert not long, "a function fits on a screen:\n" + "\n".join(long)


def test_no_module_or_package_is_a_drawer() -> None:
    drawers = [
        m.path
        for m in modules()
        if DRAWERS & set(m.path.removesuffix(".py").removesuffix("/__init__").split("/"))
    ]
    assert not drawers, f"name the noun instead: {drawers}"


def test_every_module_has_a_docstring() -> None:
    bare = [m.path for m in modules() if ast.get_docstring(m.tree) is None and m.lines > 0]
    assert not bare, f"say what is here and what is not: {bare}"


def test_everything_public_has_a_docstring() -> None:
    bare = [
        f"{m.path}:{node.lineno} {name}"
        for m in modules()
        for name, node in public_definitions(m)
        if ast.get_docstring(node) is None
    ]
    assert not bare, "without docstring:\n" + "\n".join(bare)


def test_everything_public_is_annotated() -> None:
    bare = [
        f"{m.path}:{node.lineno} {name}: {missing}"
        for m in modules()
        for name, node in public_definitions(m)
        if isinstance(node, FunctionNode) and (missing := _missing_annotations(node))
    ]
    assert not bare, "without annotation:\n" + "\n".join(bare)


def test_dagster_is_imported_by_at_most_40_percent_of_the_modules() -> None:
    counted = [m for m in modules() if m.tree.body]
    with_dagster = [m.path for m in counted if "dagster" in m.imported_packages]
    share = len(with_dagster) / len(counted)
    print(f"Dagster in {len(with_dagster)} of {len(counted)} modules: {share:.0%}")
    assert with_dagster, "the search finds no import of dagster, so it is broken"
    assert share <= LARGEST_DAGSTER_SHARE, f"{share:.0%}: {with_dagster}"


def test_half_of_the_asset_bodies_have_at_most_15_lines() -> None:
    sizes = {
        f"{m.path}:{f.name}": body_lines(f)
        for m in modules("mlops_assets")
        for f in m.functions
        if any(_is_asset_decorator(d) for d in f.decorator_list)
    }
    assert sizes, "no function is decorated as an asset below mlops_assets"
    median = statistics.median(sizes.values())
    print(f"{len(sizes)} asset bodies: median {median} lines, longest {max(sizes.values())}")
    assert median <= MEDIAN_ASSET_BODY, sizes


def _missing_annotations(function: FunctionNode) -> list[str]:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    named += [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
    missing = [a.arg for a in named if a.annotation is None and a.arg not in {"self", "cls"}]
    return missing + (["return"] if function.returns is None else [])


def _is_asset_decorator(decorator: ast.expr) -> bool:
    target = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
    return name in {"asset", "multi_asset"}
