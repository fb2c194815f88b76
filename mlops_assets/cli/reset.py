"""`mlops reset`: deletes the state of one data mode.

Here: what would go and the refusal while services use it. Not here: the question (`cli.main`).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from mlops_assets.cli.ports import answering
from mlops_assets.settings import Settings


class ResetRefused(RuntimeError):  # noqa: N818 - it reads as what happened
    """The state is in use; the message names what uses it and the remedy."""


def ensure_unused(settings: Settings) -> None:
    """Check that no service answers on this namespace's ports.

    Raises:
        ResetRefused: one does.
    """
    if used := answering(settings):
        named = ", ".join(f"{port.service} on port {port.number}" for port in used)
        raise ResetRefused(
            f"{named} answers and may be using {settings.namespace}; "
            "stop `mlops up` (Ctrl-C) first, then repeat `mlops reset`"
        )


def contents(namespace: Path) -> list[tuple[Path, int]]:
    """What is directly below the namespace, each with its size in bytes, sorted by name."""
    if not namespace.is_dir():
        return []
    return [(path, _size(path)) for path in sorted(namespace.iterdir())]


def delete(settings: Settings) -> None:
    """Delete the namespace's folder; stores at other addresses are not touched.

    Raises:
        ResetRefused: a service uses it.
    """
    ensure_unused(settings)
    if settings.namespace.is_dir():
        shutil.rmtree(settings.namespace)


def _size(path: Path) -> int:
    if path.is_symlink() or path.is_file():
        return path.lstat().st_size
    return sum(p.lstat().st_size for p in path.rglob("*") if not p.is_dir())
