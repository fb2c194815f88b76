"""The paper that the pictures are drawn on: figure, axes, colours, fonts, PNG.

Here: what every picture shares. Not here: what is drawn (`evaluation.plots`,
`evaluation.panel_plots`).

Figures are objects of their own (no pyplot, no global state), so that parallel runs cannot mix.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID = "#1c2733", "#5b6875", "#dfe4ea"
# Okabe & Ito's palette: told apart by colour-blind readers and in print.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
FONT: Final = "DejaVu Sans"
"""Comes with matplotlib; draws Latin, Greek and Cyrillic."""
HANGUL_FONTS: Final = (
    "Noto Sans CJK KR",
    "Noto Sans KR",
    "NanumGothic",
    "NanumBarunGothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "AppleGothic",
    "UnDotum",
    "Baekmuk Dotum",
)
"""Fonts that draw Korean labels, where one is installed; none comes with matplotlib."""


def fonts_for(text: str) -> tuple[str, ...] | None:
    """Font families that together draw every character of a text; None when none is installed."""
    missing = {ord(character) for character in text} - _characters(FONT)
    if not missing:
        return (FONT,)
    for family in HANGUL_FONTS:
        if missing <= _characters(family):
            return (FONT, family)
    return None


def new_figure(
    title: str, y_label: str, *, panels: tuple[int, int] = (1, 1), height: float = 4.4
) -> tuple[Figure, list[Axes]]:
    """An empty figure about 1000 pixels wide, and its axes row by row.

    Args:
        title: of the whole figure.
        y_label: of the first axes.
        panels: rows and columns of axes.
        height: inches.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.2, height), dpi=110, layout="constrained", facecolor="white")
    axes = list(figure.subplots(*panels, squeeze=False).flat)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11.5, color=INK)
    for panel in axes:
        panel.grid(color=GRID, linewidth=0.7)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
        panel.spines[["left", "bottom"]].set_color(MUTED)
        panel.tick_params(colors=MUTED, labelsize=9)
        panel.xaxis.label.set_color(MUTED)
        panel.yaxis.label.set_color(MUTED)
    axes[0].set_ylabel(y_label)
    return figure, axes


def time_axis(axes: Axes) -> None:
    """Dates along x, few and short."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    # matplotlib leaves its date classes without annotations.
    locator = AutoDateLocator(maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formatter = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(formatter)
    axes.margins(x=0.01)


def named_ticks(axes: Axes, names: Sequence[str], *, along: str = "x") -> None:
    """One tick for each name at 0, 1, ... along an axis, in a font that draws it."""
    axis = axes.xaxis if along == "x" else axes.yaxis
    axis.set_ticks(range(len(names)), list(names))
    for label, name in zip(axis.get_ticklabels(), names, strict=True):
        label.set_fontfamily(list(fonts_for(name) or (FONT,)))


def png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


@cache
def _characters(family: str) -> frozenset[int]:
    """Code points that an installed font draws; none when it is not installed."""
    from matplotlib.font_manager import FontProperties, fontManager
    from matplotlib.ft2font import FT2Font

    if family not in fontManager.get_font_names():
        return frozenset()
    return frozenset(FT2Font(fontManager.findfont(FontProperties(family=[family]))).get_charmap())
