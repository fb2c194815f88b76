"""The checks of `backtest`: alignment, coverage of the bands, and results too good to be true."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import dagster as dg
import polars as pl

from mlops_assets.evaluation.alignment import copier_is_shifted, misaligned
from mlops_assets.evaluation.assets import backtest_key
from mlops_assets.evaluation.leaderboard import leaderboard, suspicious
from mlops_assets.ingestion.assets import observations_key
from mlops_assets.orchestration.resources import Platform, Tables
from mlops_assets.problem import ForecastProblem, SampleSource
from mlops_assets.storage.io_manager import table_name

COVERAGE_SLACK: Final = 0.03
"""Coverage at a lead may be this far from nominal before the check warns."""


def build_backtest_checks(problem: ForecastProblem) -> list[dg.AssetChecksDefinition]:
    """Blocking: `alignment`, `credible`. Warning: `band_coverage`."""
    key = backtest_key(problem.name)

    @dg.multi_asset_check(
        name=f"{problem.name}__backtest_checks",
        specs=[
            dg.AssetCheckSpec(
                "alignment",
                asset=key,
                blocking=True,
                description="max(known_at) <= origin < valid_time; a copier is one step late.",
            ),
            dg.AssetCheckSpec(
                "credible",
                asset=key,
                blocking=True,
                description="No candidate beats the last value by more than a leak would explain.",
            ),
            dg.AssetCheckSpec(
                "band_coverage", asset=key, description="Bands cover what they promise."
            ),
        ],
    )
    def check_backtest(tables: Tables, platform: Platform) -> Iterator[dg.AssetCheckResult]:
        store = tables.store()
        stored = store.read(table_name(key))
        observations = store.read(table_name(observations_key(problem.name)))
        faults = misaligned(stored, frequency=problem.frequency)
        faults += copier_is_shifted(
            stored, observations, frequency=problem.frequency, column=problem.target.column
        )
        yield _result(key, "alignment", faults, "Every stamp is honest.")
        board = leaderboard(stored, problem)
        floor = credible_ratio(problem, synthetic=platform.settings().data == "sample")
        yield _result(key, "credible", _incredible(board, floor), "Every skill is credible.")
        off = _off_coverage(board, problem.band.coverage)
        yield _result(key, "band_coverage", off, "Bands cover what they promise.", warn=True)

    return [check_backtest]


def credible_ratio(problem: ForecastProblem, *, synthetic: bool) -> float | None:
    """The lowest credible RMSE ratio to the last value; None where none is known.

    Sample data with a planted signal has a floor of its own.
    """
    sample = problem.target_source.sample
    if synthetic and isinstance(sample, SampleSource):
        return sample.credible_rmse_ratio
    return problem.evaluation.credible_rmse_ratio


def _incredible(board: pl.DataFrame, floor: float | None) -> list[str]:
    return [
        f"{name} has an RMSE below {floor:.4g} of the last value's, which this target does not "
        "allow; it is a leak until shown otherwise: look at its features"
        for name in suspicious(board, floor)
    ]


def _off_coverage(board: pl.DataFrame, nominal: float) -> list[str]:
    leads = board.select("candidate", "by_lead").explode("by_lead").unnest("by_lead")
    off = leads.filter((pl.col("coverage") - nominal).abs() > COVERAGE_SLACK)
    return [
        f"{name} covers {share:.3f} at lead {lead} where {nominal:.2f} is promised "
        f"(slack {COVERAGE_SLACK})"
        for name, lead, share in off.select("candidate", "step", "coverage").iter_rows()
    ]


def _result(
    key: dg.AssetKey, name: str, faults: list[str], well: str, *, warn: bool = False
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=not faults,
        severity=dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR,
        description=" ".join(faults) or well,
    )
