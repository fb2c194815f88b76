"""What may run at once: the pool of trainings, and the tag by which a problem's runs take turns.

The limits themselves are Dagster's configuration (`cli.stores` writes it).
"""

from __future__ import annotations

from typing import Final

TRAINING_POOL: Final = "training"
"""Pool of the operations that fit models: one run at a time has a place in it, of all problems."""

PROBLEM_TAG: Final = "mlops/problem"
"""Run tag that names the problem: runs with the same name write the same tables and take turns."""
