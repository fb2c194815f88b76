from __future__ import annotations

import unicodedata
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from mlops_assets.ingestion.live import deliver
from mlops_assets.ingestion.sources import Delivery, SourceError
from mlops_assets.problem import NaverLive, ValueSource
from mlops_assets.settings import Settings, SettingsError
from mlops_assets_tests.ingestion.searches import (
    BRANDS,
    DAY,
    JANUARY,
    KEYS,
    KEYWORDS,
    SECRET,
    DataLab,
    kst,
    share_source,
)
from mlops_assets_tests.ingestion.services import QUICK, Answer, Call, Service, running

NOW = kst(4, hour=10)
FOR_EVER = datetime.max.replace(tzinfo=UTC)


def live_source(url: str, **changes: object) -> ValueSource:
    live = {"kind": "naver", "keyword_groups": KEYWORDS, "base_url": url}
    return share_source(**({"live": live} | changes))


def fetch(
    service: Service,
    *,
    start: datetime = JANUARY,
    end: datetime = FOR_EVER,
    now: datetime = NOW,
    settings: Settings = KEYS,
    **changes: object,
) -> Delivery:
    return deliver(
        "share",
        live_source(service.url, **changes),
        start=start,
        end=end,
        fetched_at=now,
        settings=settings,
        retries=QUICK,
    )


def of(found: Delivery, series: str) -> list[tuple[datetime, float]]:
    rows = found.rows.filter(series=series).sort("valid_time")
    return list(rows.select("valid_time", "value").iter_rows())


def test_each_series_has_a_rounded_share_at_the_end_of_every_day_that_has_ended() -> None:
    with running(DataLab(NOW)) as service:
        found = fetch(service)

    ends = [kst(day) for day in (2, 3, 4)]
    # The brands have one, two and three sixths of the searches.
    assert of(found, "게토레이/female/20대") == [(end, 16.67) for end in ends]
    assert of(found, "링티/male/60대 이상") == [(end, 33.33) for end in ends]
    assert of(found, "포카리스웨트/male/10대") == [(end, 50.0) for end in ends]
    assert set(found.rows["series"]) == set(share_source().series_names("share"))
    assert len(found.rows) == 36 * 3
    assert found.rows.select("known_at", "assumed", "pull").row(0) == (
        ends[0],
        True,
        "naver:게토레이,링티,포카리스웨트",
    )
    assert found.notes == ()


def test_a_fetch_is_twelve_calls_that_do_not_ask_for_the_running_day() -> None:
    with running(DataLab(NOW)) as service:
        fetch(service)

    assert len(service.calls) == 12
    assert {(c.body["startDate"], c.body["endDate"]) for c in service.calls} == {
        ("2024-01-01", "2024-01-03")
    }


@pytest.mark.parametrize(("seconds", "newest"), [(4, kst(3)), (5, kst(4))])
def test_a_day_counts_as_ended_five_seconds_after_midnight_in_korea(
    seconds: int, newest: datetime
) -> None:
    now = kst(4, hour=seconds / 3600)
    with running(DataLab(now)) as service:
        assert fetch(service, now=now).rows["valid_time"].max() == newest


def test_a_window_asks_for_the_korean_days_that_open_in_it() -> None:
    with running(DataLab(NOW)) as service:
        found = fetch(service, start=kst(1, hour=1), end=kst(3))

    assert service.calls[0].body["startDate"] == service.calls[0].body["endDate"] == "2024-01-02"
    assert set(found.rows["valid_time"]) == {kst(3)}


def test_a_window_without_an_ended_day_asks_nothing() -> None:
    with running(DataLab(NOW)) as service:
        found = fetch(service, start=kst(4))

    assert found.rows.is_empty()
    assert service.calls == []


def test_only_the_segments_of_the_source_are_asked_for() -> None:
    keys = {"age_group": ("30대",), "brand": BRANDS, "gender": ("female",)}
    with running(DataLab(NOW)) as service:
        found = fetch(service, keys=keys)

    assert len(service.calls) == 1
    assert set(found.rows["series"]) == {f"30대/{brand}/female" for brand in BRANDS}


def test_a_brand_without_searches_has_zero_and_the_others_share_the_day() -> None:
    silent = {(date(2024, 1, day), "포카리스웨트") for day in (1, 2, 3)}
    with running(DataLab(NOW, silent=silent)) as service:
        found = fetch(service)

    assert {value for _, value in of(found, "포카리스웨트/male/10대")} == {0.0}
    assert {value for _, value in of(found, "링티/male/10대")} == {66.67}


def test_a_segment_day_without_searches_stays_missing_and_is_told() -> None:
    with running(DataLab(NOW, quiet={(date(2024, 1, 2), "m", "11")})) as service:
        found = fetch(service)

    assert [end for end, _ in of(found, "링티/male/60대 이상")] == [kst(2), kst(4)]
    assert len(found.rows) == 36 * 3 - 3
    [note] = found.notes
    assert note.startswith("share: male 60대 이상 has no searches on 1 of 3 days")
    assert note.endswith("2024-01-02")


def test_a_day_that_is_here_before_its_publication_delay_is_known_at_the_fetch() -> None:
    with running(DataLab(NOW)) as service:
        found = fetch(service, publication_delay=0.75 * DAY)

    known = dict(found.rows.select("valid_time", "known_at").unique().iter_rows())
    assert known == {kst(2): kst(2, 18), kst(3): kst(3, 18), kst(4): NOW}


def test_a_wrong_key_names_both_settings_and_neither_of_their_values() -> None:
    wrong = KEYS.model_copy(update={"naver_client_secret": KEYS.youtube_api_key})
    with running(DataLab(NOW)) as service, pytest.raises(SourceError) as refused:
        fetch(service, settings=wrong)

    message = str(refused.value)
    assert "MLOPS_NAVER_CLIENT_ID and MLOPS_NAVER_CLIENT_SECRET" in message
    assert KEYS.youtube_api_key is not None
    assert KEYS.youtube_api_key.get_secret_value() not in message
    assert SECRET not in message
    assert len(service.calls) == 1


def test_a_missing_key_is_named_before_anything_is_asked() -> None:
    without = KEYS.model_copy(update={"naver_client_id": None})
    with (
        running(DataLab(NOW)) as service,
        pytest.raises(SettingsError, match="MLOPS_NAVER_CLIENT_ID is not set"),
    ):
        fetch(service, settings=without)

    assert service.calls == []


def test_one_failed_segment_fails_the_fetch() -> None:
    lab = DataLab(NOW)

    with (
        running(
            lambda call: Answer(400, "") if call.body["gender"] == "f" else lab(call)
        ) as failing,
        pytest.raises(SourceError, match=r"segment female 10대: .*every segment or none"),
    ):
        fetch(failing)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {
                "keys": {"brand": BRANDS, "gender": ("male",), "ages": ("10대",)},
                "sums_to": {"total": 100, "within": ("gender", "ages")},
            },
            r"keys \['ages', 'brand', 'gender'\]; Naver's series are told apart by age_group",
        ),
        (
            {"keys": {"brand": BRANDS, "gender": ("male",), "age_group": ("70대",)}},
            r"age_group \['70대'\] cannot be asked for; this service has \['10대'",
        ),
        (
            {"keys": {"brand": BRANDS[:2], "gender": ("male",), "age_group": ("10대",)}},
            r"keyword groups \['포카리스웨트'\] are no labels of `keys.brand`",
        ),
        (
            {"keys": {"brand": (*BRANDS, "물"), "gender": ("male",), "age_group": ("10대",)}},
            r"brand \['물'\] cannot be asked for",
        ),
        ({"zone": "UTC"}, r"in zone UTC; .* set `period: 1d` and `zone: Asia/Seoul`"),
        ({"period": 7 * DAY}, r"period 7 days, 0:00:00 in zone Asia/Seoul"),
        ({"sums_to": {"total": 1, "within": ("gender", "age_group")}}, r"add up to 100 within"),
        ({"sums_to": {"total": 100, "within": ("gender",)}}, r"add up to 100 within gender and"),
    ],
)
def test_a_source_that_does_not_fit_the_service_is_told_the_rule(
    changes: dict[str, Any], message: str
) -> None:
    with running(DataLab(NOW)) as service, pytest.raises(SourceError, match=message):
        fetch(service, **changes)

    assert service.calls == []


def test_decomposed_labels_of_the_yaml_and_of_the_service_are_the_same_brand() -> None:
    lab = DataLab(NOW)

    def decomposed(call: Call) -> Answer:
        content = lab(call).content
        assert isinstance(content, dict)
        for result in content["results"]:
            result["title"] = unicodedata.normalize("NFD", result["title"])
        return Answer(content=content)

    groups = {unicodedata.normalize("NFD", brand): [brand] for brand in BRANDS}
    with running(decomposed) as service:
        live = {"kind": "naver", "keyword_groups": groups, "base_url": service.url}
        found = fetch(service, live=live)

    assert len(found.rows) == 36 * 3
    assert found.rows["value"].null_count() == 0


def test_a_source_without_a_live_entry_is_told_what_one_looks_like() -> None:
    with pytest.raises(
        SourceError, match=r"sources\.share\.live is missing; add `live: {kind: nav"
    ):
        deliver("share", share_source(), start=JANUARY, end=NOW, fetched_at=NOW, settings=KEYS)


def test_the_number_of_decimals_is_that_of_the_entry() -> None:
    with running(DataLab(NOW)) as service:
        live = NaverLive.model_validate(
            {"kind": "naver", "keyword_groups": KEYWORDS, "base_url": service.url, "decimals": 4}
        )
        found = fetch(service, live=live)

    assert found.rows.select(pl.col("value").min()).item() == 16.6667
