from __future__ import annotations

import ast

import pytest

from mlops_assets_tests.architecture.source_code import modules

READERS = {
    "mlops_assets/orchestration/clock.py",
    # The service cannot import the pipeline's clock: `utc_now` is its one reader, and a parameter
    # of `create_app`.
    "serving/dependencies.py",
}
WALL_CLOCK = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("time", "time"),
    ("time", "time_ns"),
}


def wall_clock_reads(tree: ast.AST) -> list[int]:
    """Lines that read the wall clock, by attribute (`datetime.now`) or by import (`from time`)."""
    lines = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            if (name, node.attr) in WALL_CLOCK:
                lines.append(node.lineno)
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            lines += [node.lineno for alias in node.names if alias.name in {"time", "time_ns"}]
    return lines


def test_only_the_clock_reads_the_wall_clock() -> None:
    found = {m.path: lines for m in modules() if (lines := wall_clock_reads(m.tree))}
    strays = {path: lines for path, lines in found.items() if path not in READERS}
    assert not strays, f"take `now` or `as_of` as a parameter instead: {strays}"


def test_each_allowed_reader_reads_the_clock_once() -> None:
    reads = {m.path: len(wall_clock_reads(m.tree)) for m in modules() if m.path in READERS}
    assert reads == dict.fromkeys(READERS, 1)


@pytest.mark.parametrize(
    "code",
    [
        "datetime.now(UTC)",
        "dt.datetime.utcnow()",
        "date.today()",
        "time.time()",
        "from time import time",
    ],
)
def test_the_search_finds_each_way_to_read_the_wall_clock(code: str) -> None:
    assert wall_clock_reads(ast.parse(code)) == [1]


def test_the_search_leaves_durations_alone() -> None:
    assert wall_clock_reads(ast.parse("import time\ntime.monotonic()")) == []
