from __future__ import annotations

from datetime import datetime

import polars as pl

from mlops_assets.ingestion import versions
from mlops_assets.tables.candles import RAW_CANDLES, VALUES
from mlops_assets_tests.ingestion.market import at, raw

NOON = at(12)


def offered(frame: pl.DataFrame, *, at_: datetime = NOON) -> pl.DataFrame:
    return frame.with_columns(fetched_at=pl.lit(at_))


def new_versions(fetched: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    return versions.new_versions(fetched, stored, values=VALUES)


def told(rows: pl.DataFrame) -> list[tuple[object, ...]]:
    return rows.select("valid_time", "known_at", "assumed", "close").rows()


def test_into_an_empty_store_everything_is_new() -> None:
    frame = raw((at(1), 100.0), (at(2), 101.0))

    assert new_versions(frame, RAW_CANDLES.empty()).equals(frame)


def test_what_is_stored_is_not_offered_again() -> None:
    frame = raw((at(1), 100.0), (at(2), 101.0))

    assert new_versions(offered(frame), frame).is_empty()


def test_a_value_changed_under_its_old_key_is_a_version_known_from_its_fetch_on() -> None:
    new = new_versions(offered(raw((at(1), 105.0))), raw((at(1), 100.0)))

    assert told(new) == [(at(1), NOON, False, 105.0)]


def test_the_changed_value_is_appended_once() -> None:
    stored = raw((at(1), 100.0))
    fetched = offered(raw((at(1), 105.0)))
    stored = pl.concat([stored, new_versions(fetched, stored)])

    assert new_versions(offered(raw((at(1), 105.0)), at_=at(13)), stored).is_empty()


def test_a_value_changed_back_is_one_more_version() -> None:
    stored = pl.concat([raw((at(1), 100.0)), raw((at(1), 105.0), known_at=NOON)])

    new = new_versions(offered(raw((at(1), 100.0)), at_=at(13)), stored)

    assert told(new) == [(at(1), at(13), False, 100.0)]


def test_a_version_with_a_time_of_its_own_keeps_it() -> None:
    stored = raw((at(1), 100.0))
    pulled = pl.concat([stored, raw((at(1), 105.0), known_at=at(9))])

    assert told(new_versions(offered(pulled), stored)) == [(at(1), at(9), False, 105.0)]


def test_missing_values_do_not_look_changed() -> None:
    frame = raw((at(1), 100.0)).with_columns(volume=pl.lit(None, dtype=pl.Float64))

    assert new_versions(offered(frame), frame).is_empty()
