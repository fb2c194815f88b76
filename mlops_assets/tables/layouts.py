"""Which tables a kind of source has; another kind is a module and a line here."""

from __future__ import annotations

from typing import Final, Literal

from mlops_assets.tables.candles import CANDLES
from mlops_assets.tables.channels import CHANNELS_LAYOUT
from mlops_assets.tables.raw import RawLayout
from mlops_assets.tables.values import VALUES_LAYOUT

Kind = Literal["candles", "values", "channels"]

_LAYOUTS: Final[dict[Kind, RawLayout]] = {
    "candles": CANDLES,
    "values": VALUES_LAYOUT,
    "channels": CHANNELS_LAYOUT,
}


def layout_of(kind: Kind) -> RawLayout:
    """The layout of a kind of source, as in `source.kind`."""
    return _LAYOUTS[kind]
