"""A fingerprint moves with the code and stays with the prose."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_assets.orchestration import code_version
from mlops_assets.orchestration.code_version import fingerprint

SOURCE = Path(code_version.__file__).resolve().parents[1]


@pytest.fixture
def features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the stage packages, which the fingerprint reads instead; its `features` folder."""
    for package in ("features", "training"):
        shutil.copytree(SOURCE / package, tmp_path / package)
    monkeypatch.setattr(code_version, "_PACKAGE", tmp_path)
    fingerprint.cache_clear()
    yield tmp_path / "features"
    fingerprint.cache_clear()


def after(path: Path, old: str, new: str) -> str:
    """The fingerprint after replacing text that must be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    fingerprint.cache_clear()
    return fingerprint("features", "training")


@pytest.fixture
def before(features: Path) -> str:
    return fingerprint("features", "training")


def test_a_fingerprint_has_12_hex_digits_and_says_the_same_twice(before: str) -> None:
    assert len(before) == 12
    assert int(before, 16) >= 0
    fingerprint.cache_clear()
    assert fingerprint("features", "training") == before


def test_a_changed_number_is_another_version(features: Path, before: str) -> None:
    assert after(features / "rolling.py", "window / 2", "window / 3") != before


def test_a_renamed_column_is_another_version(features: Path, before: str) -> None:
    assert after(features / "builders.py", "_below_high_", "_under_high_") != before


def test_comments_docstrings_and_layout_are_no_other_version(features: Path, before: str) -> None:
    bars = features / "bars.py"

    assert after(bars, "Garman-Klass variance of each bar", "Variance") == before  # a docstring
    assert after(bars, "Bars on a regular grid, and", "Bars and") == before  # the module's
    assert after(bars, "\nclass Bars", "\n# One series.\nclass Bars") == before
    assert after(bars, "out[1:] = np", "out[1:] = \\\n            np") == before


def test_a_string_that_is_no_docstring_counts(features: Path, before: str) -> None:
    text = '"NaN where no bar was known"\nclass'

    assert (
        after(features / "bars.py", "@dataclass(frozen=True)\nclass Bars", text + " Bars") != before
    )


def test_a_new_module_is_another_version_and_so_is_a_removed_one(
    features: Path, before: str
) -> None:
    (features / "extra.py").write_text("WINDOW = 3\n", encoding="utf-8")
    fingerprint.cache_clear()
    extended = fingerprint("features", "training")
    (features / "rolling.py").unlink()
    fingerprint.cache_clear()

    assert len({before, extended, fingerprint("features", "training")}) == 3


def test_modules_that_compute_no_numbers_do_not_count(features: Path, before: str) -> None:
    training = features.parent / "training"

    assert after(features / "assets.py", '"parquet"', '"table"') == before
    assert after(training / "tracking.py", '"model"', '"folder"') == before


def test_each_package_has_a_fingerprint_of_its_own(features: Path) -> None:
    alone = fingerprint("training")
    changed = after(features / "rolling.py", "window / 2", "window / 3")

    assert fingerprint("training") == alone
    assert changed != alone
