from __future__ import annotations

from pathlib import Path

import pytest

from mlops_assets.cli.new import problem_text, write_problem
from mlops_assets.cli.problems import DEFS, chosen_problems, problem_files
from mlops_assets.features import builders
from mlops_assets.problem import ProblemError, load_problem


def test_a_new_problem_loads_as_it_is(tmp_path: Path) -> None:
    path = write_problem("ether_close", tmp_path)
    problem = load_problem(path)
    assert path == tmp_path / "ether_close" / "defs.yaml"
    assert problem.name == "ether_close"
    assert problem.title == "Ether close"
    assert problem.baselines == ("last_value",)


def test_a_new_problem_uses_only_features_that_exist(tmp_path: Path) -> None:
    problem = load_problem(write_problem("ether_close", tmp_path))
    kinds = {group.kind for group in problem.features}
    assert kinds
    assert not [kind for kind in kinds if not hasattr(builders, kind)]


def test_the_text_explains_itself_with_comments() -> None:
    lines = problem_text("ether_close").splitlines()
    assert lines[0].startswith("# ether_close: one file is one problem")
    assert sum("#" in line for line in lines) >= 20
    assert "__" not in problem_text("ether_close")


def test_an_existing_problem_is_never_overwritten(tmp_path: Path) -> None:
    path = write_problem("ether_close", tmp_path)
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(ProblemError, match="never overwrites"):
        write_problem("ether_close", tmp_path)
    assert path.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("name", ["Ether", "1st", "ether-close", "../up", "", "a" * 61])
def test_a_name_that_cannot_be_a_key_is_refused_before_anything_is_written(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(ProblemError, match="cannot name a problem"):
        write_problem(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_shipped_problems_are_the_folders_of_defs() -> None:
    assert problem_files()["bitcoin_close"] == DEFS / "bitcoin_close" / "defs.yaml"
    assert chosen_problems([]) == list(problem_files())


def test_an_unknown_problem_is_named_with_those_that_exist() -> None:
    with pytest.raises(ProblemError, match=r"'bitcoin_clsoe'.*bitcoin_close.*mlops new"):
        chosen_problems(["bitcoin_clsoe"])
