"""The columns of bars: four prices and a volume.

Here: what a source says about a bar. Not here: the tables around it (`raw`) and the rules that set
a bar aside (`ingestion.candle_rules`).

Time: a bar covers the half-open interval `[open time, close time)`; `valid_time` is its close.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from mlops_assets.tables.raw import RawLayout
from mlops_assets.tables.schema import Column

PRICES: Final = ("open", "high", "low", "close")
VALUES: Final = (*PRICES, "volume")
"""What a source says about a bar; two versions differ when one of these does."""

_PRICES: Final = tuple(
    Column(
        name=name,
        dtype=pl.Float64,
        unit="the source's unit",
        nullable=True,
        low=0.0,
        description=f"{name} price of the bar",
    )
    for name in PRICES
)
_VOLUME: Final = Column(
    name="volume",
    dtype=pl.Float64,
    unit="traded units",
    nullable=True,
    low=0.0,
    description="traded volume; null where the source has none",
)

CANDLES: Final = RawLayout(
    kind="candles",
    row="bar",
    time="close of the bar",
    values=(*_PRICES, _VOLUME),
    joined="newest close",
)
"""The tables of a source of bars."""

FETCHED: Final = CANDLES.fetched
RAW_CANDLES: Final = CANDLES.raw
QUARANTINE: Final = CANDLES.quarantine
