"""Memory of the process: what the C library keeps of what was freed, given back to the system.

Here: the two calls of glibc that matter to a service that reads large files in background threads.
On a system with another C library they do nothing. Not here: which models are held (`held_models`).
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Final

_M_ARENA_MAX: Final = -8
"""glibc's name of the option, from `malloc.h`."""
_ARENAS: Final = 2


@cache
def _c_library() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def share_arenas() -> None:
    """Let all threads allocate from two arenas; each thread's own keeps what it once needed."""
    if hasattr(_c_library(), "mallopt"):
        _c_library().mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Return free pages; to be called after something large was read and let go."""
    if hasattr(_c_library(), "malloc_trim"):
        _c_library().malloc_trim(0)
