from __future__ import annotations

import runpy
from typing import Any

import pytest

from mlops_assets_tests.architecture.source_code import ROOT

UNKNOWN = {"name": "one", "skip_reason": "Dependency not found on PyPI"}
SOUND = {"name": "two", "version": "1.0", "vulns": []}
FLAWED = {
    "name": "three",
    "version": "2.0",
    "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["2.1", "3.0"]}],
}


def audited(capsys: pytest.CaptureFixture[str], *packages: dict[str, Any]) -> tuple[int, str]:
    """Exit status and words of the audit for what pip-audit found."""
    status: int = runpy.run_path(str(ROOT / ".ci" / "audit.py"))["report"](list(packages))
    return status, capsys.readouterr().out


def test_a_known_vulnerability_fails_the_audit_and_names_the_release_that_mends_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, words = audited(capsys, UNKNOWN, SOUND, FLAWED)
    assert status == 1
    assert "three 2.0: PYSEC-2026-1; fixed in 2.1, 3.0" in words
    assert "2 of 3 packages audited, 1 known vulnerabilities" in words


def test_what_was_not_audited_is_not_called_safe(capsys: pytest.CaptureFixture[str]) -> None:
    status, words = audited(capsys, UNKNOWN)
    assert status == 0
    assert words == (
        "WARNING: NOTHING WAS AUDITED: the advisory source knows none of the 1 packages\n"
    )


def test_sound_packages_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert audited(capsys, SOUND) == (0, "1 of 1 packages audited, 0 known vulnerabilities\n")
