"""The prediction log: one row for every forecast that the service computed for an answer.

Here: the table's name, its columns with type and meaning. Not here: who writes it
(`serving.prediction_log`) and who reads it back (the pipeline's asset `prediction_log`).

The first column of the stored table is `ID`: a number that grows with every row, by which a reader
goes on where it stopped. Several services may write one log, so a row can appear below a number
that a reader has seen; `answer_id` tells whether a row is new.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

TABLE: Final = "prediction_log"
ID: Final = "id"
FILE: Final = "prediction_log.db"
"""The default log: an SQLite file of this name in the folder of the data mode."""


class Kind(StrEnum):
    """The type of a column, said without a database."""

    TEXT = "text"
    INSTANT = "instant"
    NUMBER = "number"
    WHOLE = "whole"
    FLAG = "flag"


class Asked(StrEnum):
    """What the caller asked for; the column `kind`."""

    LATEST = "latest"
    ORIGIN = "origin"
    FEATURES = "features"


COLUMNS: Final[dict[str, Kind]] = {
    "answer_id": Kind.TEXT,
    "answered_at": Kind.INSTANT,
    "request_id": Kind.TEXT,
    "problem": Kind.TEXT,
    "series": Kind.TEXT,
    "origin": Kind.INSTANT,
    "valid_time": Kind.INSTANT,
    "step": Kind.WHOLE,
    "point": Kind.NUMBER,
    "lower": Kind.NUMBER,
    "upper": Kind.NUMBER,
    "nominal_coverage": Kind.NUMBER,
    "model_name": Kind.TEXT,
    "version": Kind.TEXT,
    "alias": Kind.TEXT,
    "candidate": Kind.TEXT,
    "recipe_id": Kind.TEXT,
    "data_version": Kind.TEXT,
    "run_id": Kind.TEXT,
    "synthetic": Kind.FLAG,
    "stale": Kind.FLAG,
    "kind": Kind.TEXT,
    "caller": Kind.TEXT,
    "returned": Kind.FLAG,
}
"""`answer_id` is unique (32 hex digits); instants are UTC; `point`, `lower` and `upper` are in the
problem's unit; `alias` is empty where the model was chosen by its version, `caller` (the name of
an API key) where none is known; `returned` is false for a shadow's forecast, which nobody got."""

LATER: Final = frozenset({"caller", "returned"})
"""Columns that logs of earlier releases lack; null there means no known caller, and returned."""

NULLABLE: Final = frozenset({"series", "origin", "valid_time", "step"}) | LATER
"""Null for a forecast from features, which is of no origin; `series` where none was named."""
