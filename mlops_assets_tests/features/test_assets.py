"""The asset `features` and its checks in Dagster, on stored tables, with planted leaks."""

from __future__ import annotations

from functools import wraps
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from mlops_assets.features.assets import build_features_asset, features_key
from mlops_assets.features.bars import Bars
from mlops_assets.features.builders import BUILDERS, Columns
from mlops_assets.features.checks import PROBES, build_feature_checks
from mlops_assets.features.feature_set import compute_features
from mlops_assets.ingestion.assets import observations_key
from mlops_assets.orchestration.resources import Tables
from mlops_assets.storage.io_manager import TableIOManager
from mlops_assets.storage.tables import TableStore
from mlops_assets_tests.features.panels import observed as observed_panel
from mlops_assets_tests.features.panels import panel_problem, random_shares
from mlops_assets_tests.features.series import (
    at,
    corrected,
    group,
    observed,
    price_bars,
    small_problem,
)

PROBLEM = small_problem(
    group("close_location"),
    group("lagged_return", lags=[1]),
    group("log_range", windows=[24]),
    group("as_of_level", "ndx"),
)
OBSERVATIONS = corrected(observed(price_bars(120)), [30, 31], known_at=at(60))
STORED = dg.AssetSpec(observations_key(PROBLEM.name)).with_io_manager_key("io_manager")
"""The observations, which these tests write themselves."""


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    tables = TableStore(str(tmp_path))
    tables.write("coin_close/observations", OBSERVATIONS)
    return tables


def resources(store: TableStore) -> dict[str, object]:
    return {"tables": Tables(root=store.root), "io_manager": TableIOManager(root=store.root)}


def materialize(store: TableStore, *downstream: dg.AssetsDefinition) -> dg.ExecuteInProcessResult:
    ours = [build_features_asset(PROBLEM), *build_feature_checks(PROBLEM)]
    return dg.materialize(
        [STORED, *ours, *downstream], resources=resources(store), raise_on_error=False
    )


def recheck(store: TableStore) -> dg.ExecuteInProcessResult:
    """Run the checks alone, on what is stored."""
    definitions = dg.Definitions(
        assets=[STORED, build_features_asset(PROBLEM)],
        asset_checks=build_feature_checks(PROBLEM),
        jobs=[dg.define_asset_job("checks", dg.AssetSelection.all_asset_checks())],
        resources=resources(store),
        executor=dg.in_process_executor,
    )
    return definitions.resolve_job_def("checks").execute_in_process(raise_on_error=False)


def found(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {check.check_name: check for check in result.get_asset_check_evaluations()}


@dg.asset(deps=[features_key(PROBLEM.name)])
def downstream() -> None:
    """Whatever reads the features."""


def test_the_asset_stores_the_table_describes_it_and_passes_its_checks(store: TableStore) -> None:
    result = materialize(store, downstream)

    assert result.success
    stored = store.read("coin_close/features")
    assert_frame_equal(stored, compute_features(OBSERVATIONS, PROBLEM), check_exact=True)
    assert {name: check.passed for name, check in found(result).items()} == {
        "no_leakage": True,
        "unique_keys": True,
    }
    (event,) = (
        e
        for e in result.get_asset_materialization_events()
        if e.asset_key == features_key(PROBLEM.name)
    )
    metadata = event.materialization.metadata
    assert metadata["dagster/row_count"].value == 120
    assert metadata["features"].value == 4
    assert "| ndx_log_level | 20.0% |" in str(metadata["missing"].value)
    assert metadata["left_out"].value == "none"
    assert str(metadata["newest_origin"].value).startswith("2024-03-05 23:00")


def plant_peeking(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace a builder by one whose every value is that of an hour later."""
    honest = BUILDERS[kind]

    @wraps(honest)  # the parameters of a kind are read from its signature
    def peeking(bars: Bars, source: str, **params: object) -> Columns:
        columns = honest(bars, source, **params)
        for column in columns.values():
            column[:-1] = column[1:].copy()
        return columns

    monkeypatch.setitem(BUILDERS, kind, peeking)


def test_a_feature_from_one_hour_ahead_fails_the_check_by_name_and_stops_what_follows(
    store: TableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_peeking("close_location", monkeypatch)

    result = materialize(store, downstream)

    check = found(result)["no_leakage"]
    assert not check.passed
    assert check.blocking
    assert check.description is not None
    # Probes begin after the first tenth of 120 origins; the newest has no future to look at.
    assert check.description.startswith(
        f"{PROBES['candles'] - 1} values know the future, first: coin_close_location at origin "
        "2024-03-01T12:00Z is "
    )
    assert "from what was known then it is" in check.description
    assert "correct its builder in mlops_assets/features" in check.description
    assert not result.success
    ran = {event.asset_key for event in result.get_asset_materialization_events()}
    assert ran == {features_key(PROBLEM.name)}


def test_a_peek_at_a_feature_that_seldom_changes_is_found_too(
    store: TableStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_peeking("log_range", monkeypatch)  # a day's extremes stay for hours

    check = found(materialize(store))["no_leakage"]

    assert not check.passed
    assert "first: coin_log_range_24 at origin" in str(check.description)


def test_a_stored_column_shifted_into_the_future_fails_the_check_that_reads_it_back(
    store: TableStore,
) -> None:
    assert materialize(store).success
    shifted = store.read("coin_close/features").with_columns(
        pl.col("coin_log_return_lag_1").shift(-1)
    )
    store.write("coin_close/features", shifted)

    check = found(recheck(store))["no_leakage"]

    assert not check.passed
    assert (
        f"{PROBES['candles']} values know the future, first: coin_log_return_lag_1 at origin"
        in str(check.description)
    )


def test_two_rows_of_one_origin_fail_the_check_of_keys(store: TableStore) -> None:
    assert materialize(store).success
    table = store.read("coin_close/features")
    store.write("coin_close/features", pl.concat([table, table[7:8]]))

    check = found(recheck(store))["unique_keys"]

    assert not check.passed
    assert check.description == ("2 rows share a (series, origin); one row may have it.")


def test_a_panel_is_stored_checked_and_its_empty_features_told_with_the_reason(
    tmp_path: Path,
) -> None:
    problem = panel_problem(
        group("seasonal_value", "tea", season=7),
        group("lagged_value", "tea", lags=[90]),
        group("as_of_age", "rain"),
    )
    store = TableStore(str(tmp_path))
    store.write("tea_share/observations", observed_panel(random_shares(20)))
    source = dg.AssetSpec(observations_key(problem.name)).with_io_manager_key("io_manager")

    result = dg.materialize(
        [source, build_features_asset(problem), *build_feature_checks(problem)],
        resources=resources(store),
    )

    checks = found(result)
    assert checks["no_leakage"].description == (
        f"{PROBES['values']} origins computed again from what was known then: nothing changed."
    )
    assert checks["unique_keys"].passed
    (event,) = result.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert metadata["features"].value == 3
    # Steps 1 to 8 look 6, 5, 4, 3, 2, 1, 0 and 6 days back: 27 of 8 x 20 lie before the start.
    assert "| tea_season_7 | 16.9% |" in str(metadata["missing"].value)
    assert str(metadata["left_out"].value).splitlines()[2:] == [
        "| tea_lag_90 | missing throughout |",
        "| rain_age_hours | constant at 6.0 |",
    ]
