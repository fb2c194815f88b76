"""The problems that exist: one folder below `mlops_assets/defs` each.

Here: their names and files. Not here: what is inside (`mlops_assets.problem`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mlops_assets.problem import ProblemError

DEFS: Final = Path(__file__).resolve().parents[1] / "defs"
FILE_NAME: Final = "defs.yaml"


def problem_files(defs: Path = DEFS) -> dict[str, Path]:
    """Each problem's name (its folder's) with its file, sorted by name."""
    return {path.parent.name: path for path in sorted(defs.glob(f"*/{FILE_NAME}"))}


def chosen_problems(names: list[str], defs: Path = DEFS) -> list[str]:
    """The named problems, or all of them when none is named.

    Raises:
        ProblemError: a name has no file.
    """
    known = problem_files(defs)
    for name in names:
        if name not in known:
            raise ProblemError(
                f"there is no problem {name!r}: {defs / name / FILE_NAME} does not exist; "
                f"use one of {', '.join(known) or '(none)'}, or start it with `mlops new {name}`"
            )
    return names or list(known)
