from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.serving.own_environment import EnvironmentAbsentError, environment


def test_an_environment_that_is_complete_is_used_again(tmp_path: Path) -> None:
    # No package, so nothing is asked of an index; pip refuses, which an environment that is
    # complete never meets.
    with pytest.raises(EnvironmentAbsentError):
        environment("peer", (), tmp_path)
    (place,) = tmp_path.iterdir()
    (place / "complete").touch()
    assert environment("peer", (), tmp_path) == place / "bin"


def test_packages_that_cannot_be_installed_leave_the_peer_out_with_a_reason(
    tmp_path: Path,
) -> None:
    package = str(tmp_path / "no-such-package")
    with pytest.raises(EnvironmentAbsentError, match=r"peer is left out(.|\n)*no-such-package"):
        environment("peer", (package,), tmp_path / "environments")
