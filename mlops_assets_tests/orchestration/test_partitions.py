from __future__ import annotations

from datetime import UTC, datetime, timedelta

import dagster as dg

from mlops_assets.orchestration.freshness import freshness
from mlops_assets.orchestration.partitions import monthly_partitions
from mlops_assets.problem import Freshness


def test_months_run_from_the_source_s_start_to_the_one_that_has_just_begun() -> None:
    months = monthly_partitions(datetime(2025, 3, 17, tzinfo=UTC), zone="UTC")

    keys = months.get_partition_keys(current_time=datetime(2025, 6, 1, 0, 1, tzinfo=UTC))

    assert keys == ["2025-03-01", "2025-04-01", "2025-05-01", "2025-06-01"]


def test_months_begin_on_the_clock_of_their_zone() -> None:
    new_year = datetime(2023, 12, 31, 15, tzinfo=UTC)  # midnight in Korea
    months = monthly_partitions(new_year, zone="Asia/Seoul")

    keys = months.get_partition_keys(current_time=datetime(2024, 1, 31, 15, 1, tzinfo=UTC))
    window = months.time_window_for_partition_key("2024-01-01")

    assert keys == ["2024-01-01", "2024-02-01"]
    assert (window.start, window.end) == (new_year, datetime(2024, 1, 31, 15, tzinfo=UTC))


def test_a_freshness_rule_becomes_a_window_that_warns_before_it_fails() -> None:
    rule = Freshness.model_validate({"warn_after": "2h", "fail_after": "4h"})

    assert freshness(rule) == dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=4), warn_window=timedelta(hours=2)
    )
