from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl

from mlops_assets.monitoring.drift.columns import champion_forecasts, compared_columns
from mlops_assets.monitoring.drift.report import SCHEMA, DriftReport, judge
from mlops_assets.monitoring.drift.wording import is_alarm, summary
from mlops_assets_tests.evaluation.frames import small_problem
from mlops_assets_tests.monitoring.drift.histories import (
    DAY,
    HOUR,
    RECIPE,
    START,
    FloatArray,
    drifting,
    feature_table,
    forecasts_of,
    reference,
)

DRIFT = drifting("calm", current=DAY)
DAYS = 40
NO_ERRORS = pl.DataFrame(schema={"valid_time": pl.Datetime("us", "UTC"), "share": pl.Float64})


def calm(*, shift: float = 0.0, days: int = DAYS) -> FloatArray:
    """A feature that does not change, but for a shift on its last day."""
    values = np.random.default_rng(5).normal(size=24 * days)
    values[-24:] += shift
    return values


def judged(
    values: FloatArray, *, errors: pl.DataFrame = NO_ERRORS, as_of: datetime | None = None
) -> DriftReport:
    """The report on a champion that was fitted two days before the newest origin."""
    features = feature_table(values)
    newest = features["origin"].max()
    assert isinstance(newest, datetime)
    said = champion_forecasts(forecasts_of(features), forecasts_of(features).clear(), RECIPE)
    return judge(
        compared_columns(features, said, small_problem(), DRIFT),
        errors,
        reference(newest - 2 * DAY),
        DRIFT,
        frequency=HOUR,
        as_of=as_of or newest,
    )


def rising() -> pl.DataFrame:
    """Errors that rise on the last day but one half."""
    share = np.where(np.arange(24 * DAYS) < 24 * (DAYS - 1), 0.1, 0.95)
    return pl.DataFrame(
        {"valid_time": [START + k * HOUR for k in range(24 * DAYS)], "share": share}
    )


def test_an_unchanged_process_alarms_nobody() -> None:
    report = judged(calm())

    assert not is_alarm(report.as_frame(None))
    assert summary(report.as_frame(None)) == "None of 3 columns is beyond its threshold."


def test_a_shift_of_one_feature_is_named_with_value_and_threshold() -> None:
    report = judged(calm(shift=4.0))

    calm_column = report.columns[0]
    assert calm_column.drifted
    assert report.share_drifted == 1 / 3
    assert calm_column.statistic is not None
    assert calm_column.threshold is not None
    assert summary(report.as_frame(None)) == (
        f"calm is {calm_column.statistic:.2f} standard deviations from what the champion was "
        f"trained on; its own past allows {calm_column.threshold:.2f}."
    )


def test_a_steep_trend_of_the_price_is_no_drift() -> None:
    # The price of the table gains 1 % an hour: its level is far from all that was trained on.
    target = judged(calm()).columns[1]

    assert target.feature == "target"
    assert not target.drifted


def test_a_shift_after_the_report_is_not_seen() -> None:
    before = START + 24 * (DAYS - 1) * HOUR - HOUR

    assert not judged(calm(shift=4.0), as_of=before).columns[0].drifted


def test_a_report_has_the_rows_of_its_schema() -> None:
    frame = judged(calm()).as_frame("reports/page.html")

    assert frame.schema == pl.Schema(SCHEMA)
    assert frame["feature"].to_list() == ["calm", "target", "prediction"]
    assert frame["current_rows"].to_list() == [24, 24, 23]  # the newest forecast is not made yet
    assert frame["reference_rows"].to_list()[0] == 24 * (DAYS - 2) - 1


def test_errors_that_rise_in_the_newest_stretch_are_concept_drift() -> None:
    report = judged(calm(), errors=rising())

    assert report.concept_drift
    assert report.share_drifted == 0
    assert is_alarm(report.as_frame(None))


def test_a_champion_refitted_after_the_rise_has_answered_it() -> None:
    features = feature_table(calm())
    newest = features["origin"].max()
    assert isinstance(newest, datetime)
    said = champion_forecasts(forecasts_of(features), forecasts_of(features).clear(), RECIPE)
    compared = compared_columns(features, said, small_problem(), DRIFT)

    report = judge(compared, rising(), reference(newest), DRIFT, frequency=HOUR, as_of=newest)

    assert report.errors.risen_at is not None
    assert not report.concept_drift


def test_too_short_a_history_says_so_and_alarms_nobody() -> None:
    rows = judged(calm(shift=9.0, days=6)).as_frame(None)

    assert not is_alarm(rows)
    assert summary(rows) == "Too little history to say what is unusual: nothing is compared yet."


def test_an_empty_feature_table_says_so_and_alarms_nobody() -> None:
    features = feature_table(np.empty(0))
    compared = compared_columns(
        features,
        champion_forecasts(forecasts_of(features), forecasts_of(features), RECIPE),
        small_problem(),
        DRIFT,
    )

    report = judge(compared, NO_ERRORS, reference(START), DRIFT, frequency=HOUR, as_of=START)

    assert not is_alarm(report.as_frame(None))
    assert "Too little history" in summary(report.as_frame(None))
