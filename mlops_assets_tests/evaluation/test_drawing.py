"""Fonts that draw what they are asked to, and axes whose ticks are names."""

from __future__ import annotations

import pytest

from mlops_assets.evaluation import drawing


def test_latin_text_needs_no_font_but_matplotlibs_own() -> None:
    assert drawing.fonts_for("brand 1, 20 %") == (drawing.FONT,)


def test_a_font_that_is_installed_draws_what_matplotlibs_own_cannot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # STIXGeneral comes with matplotlib and has the arc, which DejaVu Sans lacks.
    monkeypatch.setattr(drawing, "HANGUL_FONTS", ("No Such Font", "STIXGeneral"))
    assert drawing.fonts_for("a⌒b") == (drawing.FONT, "STIXGeneral")


def test_text_that_no_installed_font_draws_has_no_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "HANGUL_FONTS", ("STIXGeneral",))
    assert drawing.fonts_for("토레타") is None


@pytest.mark.parametrize("along", ["x", "y"])
def test_ticks_are_names_at_whole_numbers(along: str) -> None:
    _, (axes,) = drawing.new_figure("title", "unit")
    drawing.named_ticks(axes, ["one", "two"], along=along)
    axis = axes.xaxis if along == "x" else axes.yaxis
    assert [t.get_text() for t in axis.get_ticklabels()] == ["one", "two"]
    assert list(axis.get_ticklocs()) == [0, 1]
