"""Versions of code: a fingerprint of the modules that decide what is computed.

Comments, docstrings and layout do not count; any other change does, so a stale result can never
pass for a current one.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path
from typing import Final

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_NO_NUMBERS: Final = frozenset({"assets.py", "checks.py", "tracking.py", "model_card.py"})
"""Modules that move results about, but compute none."""


@cache
def fingerprint(*packages: str) -> str:
    """Fingerprint of the modules of stage packages such as `features`, 12 hex digits."""
    digest = hashlib.sha256()
    for package in packages:
        for path in sorted((_PACKAGE / package).glob("*.py")):
            if path.name not in _NO_NUMBERS:
                digest.update(path.name.encode())
                digest.update(_without_prose(path).encode())
    return digest.hexdigest()[:12]


def _without_prose(path: Path) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:]
    return ast.dump(tree)
