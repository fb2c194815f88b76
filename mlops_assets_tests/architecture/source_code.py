"""The project's source as syntax trees, for the tests of its own rules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("dashboard", "mlops_assets", "serving")

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One source file, parsed."""

    path: str
    lines: int
    tree: ast.Module

    @property
    def imported_packages(self) -> set[str]:
        """First parts of every module name that is imported, at the top or inside functions."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                found.add(node.module.split(".")[0])
        return found

    @property
    def functions(self) -> Iterator[FunctionNode]:
        """Every function, nested ones and methods included."""
        for node in ast.walk(self.tree):
            if isinstance(node, FunctionNode):
                yield node


@cache
def modules(*folders: str) -> tuple[Module, ...]:
    """The Python files below folders of the repository (default: the shipped packages)."""
    found = []
    for folder in folders or PACKAGES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            name = path.relative_to(ROOT).as_posix()
            found.append(Module(name, len(text.splitlines()), ast.parse(text)))
    return tuple(found)


def public_definitions(module: Module) -> Iterator[tuple[str, FunctionNode | ast.ClassDef]]:
    """Public functions, classes and methods, dotted names; nothing nested in functions."""

    def walk(
        body: list[ast.stmt], prefix: str
    ) -> Iterator[tuple[str, FunctionNode | ast.ClassDef]]:
        for node in body:
            if isinstance(node, FunctionNode | ast.ClassDef) and not node.name.startswith("_"):
                yield f"{prefix}{node.name}", node
                if isinstance(node, ast.ClassDef):
                    yield from walk(node.body, f"{prefix}{node.name}.")

    return walk(module.tree.body, "")


def body_lines(function: FunctionNode) -> int:
    """Lines of a function's body without its docstring."""
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0
