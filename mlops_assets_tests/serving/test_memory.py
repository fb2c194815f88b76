from __future__ import annotations

import platform
import subprocess
import sys

import pytest

HELD = """
import ctypes
from serving import memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

memory.share_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
blocks = [libc.malloc(100_000) for _ in range(2_000)]
for block in blocks:
    ctypes.memset(block, 1, 100_000)
pin = libc.malloc(100_000)  # lies behind them, so that freeing alone gives nothing back
for block in blocks:
    libc.free(block)
before = resident()
memory.give_back()
print(before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the calls are glibc's")
def test_what_was_freed_is_given_back_to_the_system() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HELD], capture_output=True, text=True, timeout=60, check=True
    )

    # 200 MB were freed; whole pages of it, but for the edges, leave the process.
    assert int(done.stdout) > 150_000_000
