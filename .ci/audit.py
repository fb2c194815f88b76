"""Asks the advisory source about every package of requirements.lock; `make audit`.

Fails on a known vulnerability. Where the source knows none of the packages, or does not answer in
time, it says plainly that nothing was audited and does not fail: `make check` works offline.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOCK = "requirements.lock"
SECONDS = 120


def main() -> int:
    """Audit the lock file; returns the exit status."""
    command = [str(Path(sys.executable).with_name("pip-audit")), "--requirement", LOCK]
    # The lock is complete and pinned: nothing is resolved or installed.
    command += ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    try:
        done = subprocess.run(
            [*command, "--timeout", "15"],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _nothing(f"the advisory source did not answer within {SECONDS} s")
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return _nothing(f"pip-audit gave no result ({last})")
    return report(packages)


def report(packages: list[dict[str, Any]]) -> int:
    """Say what was found; 1 when a package has a known vulnerability."""
    audited = [package for package in packages if "skip_reason" not in package]
    found = [(package, flaw) for package in audited for flaw in package["vulns"]]
    for package, flaw in found:
        fixed = ", ".join(flaw["fix_versions"]) or "no release yet"
        print(f"{package['name']} {package['version']}: {flaw['id']}; fixed in {fixed}")
    if not audited:
        return _nothing(f"the advisory source knows none of the {len(packages)} packages")
    print(f"{len(audited)} of {len(packages)} packages audited, {len(found)} known vulnerabilities")
    return 1 if found else 0


def _nothing(reason: str) -> int:
    print(f"WARNING: NOTHING WAS AUDITED: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
