from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg

from mlops_assets.orchestration.freshness import freshness
from mlops_assets.orchestration.partitions import monthly_partitions
from mlops_assets.problem import Freshness
from mlops_assets_tests.ingestion.market import source


def test_months_run_from_the_source_s_start_to_the_one_that_has_just_begun() -> None:
    months = monthly_partitions(source(start=datetime(2025, 3, 17, tzinfo=UTC)))

    keys = months.get_partition_keys(current_time=datetime(2025, 6, 1, 0, 1, tzinfo=UTC))

    assert keys == ["2025-03-01", "2025-04-01", "2025-05-01", "2025-06-01"]


def test_a_freshness_rule_becomes_a_window_that_warns_before_it_fails() -> None:
    rule = Freshness.model_validate({"warn_after": "2h", "fail_after": "4h"})

    assert freshness(rule) == dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=4), warn_window=timedelta(hours=2)
    )
