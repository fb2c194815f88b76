"""`mlops new`: a commented problem file to start from.

Here: filling in the name and refusing to overwrite. Not here: the rules of a problem file
(`mlops_assets.problem`); the template is `problem_template.yaml` beside this module.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from mlops_assets.cli.problems import DEFS, FILE_NAME
from mlops_assets.problem import ProblemError

TEMPLATE: Final = Path(__file__).with_name("problem_template.yaml")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,59}")


def problem_text(name: str) -> str:
    """The template with the problem's name filled in.

    Raises:
        ProblemError: the name cannot name a problem.
    """
    if not _NAME.fullmatch(name):
        raise ProblemError(
            f"{name!r} cannot name a problem: lower-case letters, digits and _, beginning with a "
            "letter, at most 60; choose such a name, as in bitcoin_close"
        )
    title = name.replace("_", " ").capitalize()
    text = TEMPLATE.read_text(encoding="utf-8")
    return text.replace("__NAME__", name).replace("__TITLE__", title)


def write_problem(name: str, defs: Path = DEFS) -> Path:
    """Write `<defs>/<name>/defs.yaml`.

    Returns:
        The path of the new file.

    Raises:
        ProblemError: the name cannot name a problem, or the file exists.
    """
    text = problem_text(name)
    path = defs / name / FILE_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ProblemError(
            f"{path} exists; `mlops new` never overwrites: choose another name or edit that file"
        ) from error
    return path
