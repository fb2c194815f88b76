"""An environment of its own for a peer whose packages do not go with this project's.

Here: its making by pip, once, below a cache folder, and what is said when it cannot be made. Not
here: what is run in it (`peer_services`).
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks.measurement.rounds import say

BENTOML: Final = ("bentoml==1.4.39", "onnxruntime==1.32.0", "numpy>=2,<3")
_INSTALL_SECONDS: Final = 900


class EnvironmentAbsentError(RuntimeError):
    """A peer's environment could not be made; that peer is left out."""


def environment(name: str, packages: tuple[str, ...], folder: Path) -> Path:
    """The `bin` folder of an environment with `packages`, made at first use.

    Args:
        name: of the peer.
        packages: requirements for pip.
        folder: where environments are kept; made if absent.

    Raises:
        EnvironmentAbsentError: pip could not install them.
    """
    pinned = hashlib.sha256("\n".join(packages).encode()).hexdigest()[:12]
    place = folder / f"{name}-{pinned}"
    if (place / "complete").exists():
        return place / "bin"
    say(f"making an environment with {', '.join(packages)} in {place}")
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True, capture_output=True)
        subprocess.run(
            [str(place / "bin" / "python"), "-m", "pip", "install", "-q", *packages],
            check=True,
            capture_output=True,
            timeout=_INSTALL_SECONDS,
        )
    except (OSError, subprocess.SubprocessError) as error:
        told = getattr(error, "stderr", None) or b""
        raise EnvironmentAbsentError(
            f"no environment with {', '.join(packages)} could be made in {place} ({error}); "
            f"{name} is left out; see what pip says: {told.decode(errors='replace')[-500:]}"
        ) from error
    (place / "complete").touch()
    return place / "bin"
