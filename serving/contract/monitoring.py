"""`monitoring.json` of a snapshot: how the pipeline itself is doing.

Here: its form and units. Not here: who computes it (the asset `published`) and how it is shown
(`serving.pipeline_state`).
"""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class _Figures(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChampionFigures(_Figures):
    """Who holds the alias."""

    candidate: str
    version: str
    since: AwareDatetime = Field(description="verdict that gave this version the alias")


class LiveFigures(_Figures):
    """How the champion's forecasts that came true have done."""

    n: int = Field(description="forecasts scored")
    mae: float = Field(description="mean absolute error, target units")
    coverage: float = Field(description="share of outcomes inside the band, 0 to 1")


class ControlFigures(_Figures):
    """The sequential tests of the champion."""

    alarm: bool = Field(description="any test stands at an alarm")


class DriftFigures(_Figures):
    """The newest drift report."""

    share_drifted: float = Field(description="share of features that drifted, 0 to 1")
    concept_drift: bool = Field(description="errors have changed")


class Monitoring(_Figures):
    """The pipeline as of a publication; null is what the problem does not watch, or not yet."""

    as_of: AwareDatetime
    newest_valid_time: AwareDatetime = Field(description="end of the newest observed period")
    observations_rows: int = Field(description="rows of the table of observations")
    champion: ChampionFigures
    live: LiveFigures | None = None
    control: ControlFigures | None = None
    drift: DriftFigures | None = None
