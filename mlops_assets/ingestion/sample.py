"""A deterministic stand-in for the sources, so that everything runs offline.

Here: which generator stands in for which kind of source, and which of its rows a fetch may see.
Not here: the processes behind the values (`sample_candles`, `sample_shares`, `sample_channels`).
Whatever is built on these values is labelled synthetic.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from mlops_assets.ingestion import sample_candles, sample_channels, sample_shares
from mlops_assets.ingestion.sources import SourceError, span_of
from mlops_assets.problem import (
    CandleSource,
    ChannelSample,
    ChannelSource,
    SampleSource,
    ShareSample,
    Source,
    ValueSource,
)
from mlops_assets.settings import Settings
from mlops_assets.tables.layouts import layout_of
from mlops_assets.tables.schema import UTC_MICROSECONDS

_INSTANT = timedelta(microseconds=1)


def fetch(
    name: str,
    source: Source,
    *,
    start: datetime,
    end: datetime,
    fetched_at: datetime,
    settings: Settings,
) -> pl.DataFrame:
    """Synthetic rows that open in `[start, end)`, published by `fetched_at`."""
    del settings  # a sample needs none
    if source.sample is None:
        raise SourceError(
            f"{name}: MLOPS_DATA=sample, but sources.{name}.sample is missing; "
            "add it to the problem's YAML, or set MLOPS_DATA=files"
        )
    layout = layout_of(source.kind).fetched
    newest_open = fetched_at - source.publication_delay - span_of(source)
    first, last = max(start, source.sample.start), min(end, newest_open + _INSTANT)
    if first >= last:
        return layout.empty()
    rows = _rows(name, source, start=first, end=last).with_columns(
        known_at=pl.col("valid_time") + source.publication_delay,
        fetched_at=pl.lit(fetched_at).cast(UTC_MICROSECONDS),
        assumed=pl.lit(value=True),
        pull=pl.lit("sample"),
    )
    return layout.conform(rows)


def _rows(name: str, source: Source, *, start: datetime, end: datetime) -> pl.DataFrame:
    """Series, valid time and the values of the source's kind."""
    match source:
        case CandleSource(sample=SampleSource() as sample):
            return sample_candles.bars(name, source, sample, start=start, end=end)
        case ValueSource(sample=ShareSample() as sample):
            return sample_shares.shares(name, source, sample, start=start, end=end)
        case ChannelSource(sample=ChannelSample() as sample):
            return sample_channels.snapshots(sample, start=start, end=end)
    raise AssertionError(f"{name}: the kinds of sources and of samples agree by their types")
