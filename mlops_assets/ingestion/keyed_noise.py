"""Random numbers of the samples, keyed by (seed, stream, day).

Here: draws of a day that depend on nothing but its key, so that the values of a day never depend
on when, or up to when, they are generated. Not here: what the samples make of them
(`sample_candles`, `sample_shares`, `sample_channels`).

Philox is a counter-based generator: the day is part of the counter, so days are independent and
any one of them can be drawn alone (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2,
3").
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def generator(seed: int, stream: str, day: int) -> np.random.Generator:
    """The generator of one day (a proleptic ordinal; 0 for what belongs to no day)."""
    key = np.array([seed, zlib.crc32(stream.encode())], dtype=np.uint64)
    counter = np.array([0, 0, 0, day], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def normals(seed: int, stream: str, first_day: int, days: int, count: int) -> FloatArray:
    """Standard normals, `count` for each of `days` days from `first_day`; shape (days, count)."""
    drawn = [
        generator(seed, stream, day).standard_normal(count)
        for day in range(first_day, first_day + days)
    ]
    return np.stack(drawn)
