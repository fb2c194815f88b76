from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from mlops_assets.ingestion.http_client import CallBudget, HttpClient
from mlops_assets.ingestion.naver import (
    SEARCHES,
    SEGMENTS,
    Segment,
    client_of,
    daily_budget,
    fetch_searches,
    shares,
)
from mlops_assets.ingestion.sources import SourceError
from mlops_assets.settings import Settings, SettingsError
from mlops_assets_tests.ingestion.services import QUICK, Answer, Call, Service, running

ID, SECRET = "naver-id-0815", "naver-secret-4711"
GROUPS = {"포카리스웨트": ["포카리스웨트", "포카리"], "게토레이": ["게토레이"]}
START, END = date(2024, 1, 1), date(2024, 1, 4)


def datalab(call: Call) -> Answer:
    """The documented answer: the second brand was not searched for on the second day."""
    if call.headers.get("X-Naver-Client-Secret") != SECRET:
        words = "NID AUTH Result Invalid (1000) : Authentication failed."
        echo = f"{words} {call.headers.get('X-Naver-Client-Secret')}"
        return Answer(401, {"errorMessage": echo, "errorCode": "024"})
    days = [("2024-01-01", 100), ("2024-01-02", 40.5), ("2024-01-03", 30)]
    results = [
        {
            "title": group["groupName"],
            "keywords": group["keywords"],
            "data": [
                {"period": day, "ratio": ratio / place}
                for number, (day, ratio) in enumerate(days)
                if (place, number) != (2, 1)
            ],
        }
        for place, group in enumerate(call.body["keywordGroups"], start=1)
    ]
    return Answer(content={**call.body, "results": results})


def client(
    service: Service, *, secret: str = SECRET, budget: CallBudget | None = None
) -> HttpClient:
    settings = Settings.model_validate({"naver_client_id": ID, "naver_client_secret": secret})
    budget = budget or daily_budget()
    return client_of(settings, budget=budget, base_url=service.url, retries=QUICK)


def test_twelve_calls_cover_every_segment_and_absent_days_stay_absent() -> None:
    budget = daily_budget()
    with running(datalab, Answer(429, "", {"Retry-After": "0"})) as service:
        rows = fetch_searches(client(service, budget=budget), GROUPS, start=START, end=END)

    assert rows.schema == SEARCHES
    assert len(rows) == 12 * 5
    assert rows.select("gender", "age_group").n_unique() == 12
    assert rows.filter(gender="male", age_group="20대", brand="게토레이").rows() == [
        (date(2024, 1, 1), "male", "20대", "게토레이", 50.0),
        (date(2024, 1, 3), "male", "20대", "게토레이", 15.0),
    ]
    assert (budget.spent, budget.remaining) == (13, 987)


def test_a_call_asks_as_documented_and_sends_no_null() -> None:
    with running(datalab) as service:
        fetch_searches(
            client(service), GROUPS, start=START, end=END, segments=[Segment("female", "30대")]
        )

    [call] = service.calls
    assert call.path == "/v1/datalab/search"
    assert call.headers["X-Naver-Client-Id"] == ID
    assert call.body == {
        "startDate": "2024-01-01",
        "endDate": "2024-01-03",
        "timeUnit": "date",
        "keywordGroups": [
            {"groupName": "포카리스웨트", "keywords": ["포카리스웨트", "포카리"]},
            {"groupName": "게토레이", "keywords": ["게토레이"]},
        ],
        "gender": "f",
        "ages": ["5", "6"],
    }


def test_a_wrong_key_ends_with_the_settings_and_without_the_key() -> None:
    wrong = "wrong-secret-0000"
    with running(datalab) as service, pytest.raises(SourceError) as refused:
        fetch_searches(client(service, secret=wrong), GROUPS, start=START, end=END)

    message = str(refused.value)
    assert "answered 401" in message
    assert "set MLOPS_NAVER_CLIENT_ID and MLOPS_NAVER_CLIENT_SECRET" in message
    assert "errorCode" in message
    assert wrong not in message
    assert len(service.calls) == 1


@pytest.mark.parametrize("value", [None, " "])
def test_a_missing_key_is_named(value: str | None) -> None:
    settings = Settings.model_validate({"naver_client_id": ID, "naver_client_secret": value})
    with pytest.raises(SettingsError, match=r"MLOPS_NAVER_CLIENT_SECRET is not set"):
        client_of(settings, budget=daily_budget())


def test_settings_do_not_show_their_secrets() -> None:
    settings = Settings.model_validate({"naver_client_id": ID, "naver_client_secret": SECRET})
    assert SECRET not in f"{settings!r}{settings.model_dump_json()}"


def test_a_failed_segment_fails_the_fetch_and_is_named() -> None:
    def half(call: Call) -> Answer:
        broken = (call.body["gender"], call.body["ages"]) == ("f", ["7", "8"])
        return Answer(500, "oops") if broken else datalab(call)

    with (
        running(half) as service,
        pytest.raises(SourceError, match=r"segment female 40대: .*answered 500.*every segment or"),
    ):
        fetch_searches(client(service), GROUPS, start=START, end=END)


def test_a_group_that_is_never_answered_fails_the_fetch() -> None:
    def short(call: Call) -> Answer:
        answer = datalab(call)
        assert isinstance(answer.content, dict)
        return Answer(content={"results": answer.content["results"][:1]})

    with (
        running(short) as service,
        pytest.raises(SourceError, match=r"segment male 10대: .*every group must be answered"),
    ):
        fetch_searches(client(service), GROUPS, start=START, end=END)


def test_an_answer_without_one_of_the_groups_is_asked_for_again() -> None:
    part = Answer(content={"results": [{"title": "게토레이", "data": []}]})
    budget = daily_budget()
    with running(datalab, part) as service:
        rows = fetch_searches(client(service, budget=budget), GROUPS, start=START, end=END)

    assert len(rows) == 12 * 5
    assert budget.spent == len(service.calls) == 13


def test_a_day_that_is_answered_twice_is_refused() -> None:
    day = {"period": "2024-01-01", "ratio": 1}
    twice = [{"title": brand, "data": [day, day]} for brand in GROUPS]
    with (
        running(lambda _: Answer(content={"results": twice})) as service,
        pytest.raises(SourceError, match=r"a group has a day twice.*each period once"),
    ):
        fetch_searches(client(service), GROUPS, start=START, end=END)


def test_a_used_up_day_is_told_and_not_asked_again() -> None:
    limit = Answer(429, {"errorMessage": "Query limit exceeded", "errorCode": "010"})
    with (
        running(lambda _: limit) as service,
        pytest.raises(SourceError, match=r"the day's 1000 calls are used up"),
    ):
        fetch_searches(client(service), GROUPS, start=START, end=END)

    assert len(service.calls) == 1


def test_the_budget_is_kept_in_view() -> None:
    budget = CallBudget("Naver DataLab", 11)
    with (
        running(datalab) as service,
        pytest.raises(SourceError, match=r"segment female 60대 이상: .*0 of the day's 11 are left"),
    ):
        fetch_searches(client(service, budget=budget), GROUPS, start=START, end=END)

    assert len(service.calls) == 11
    assert len(SEGMENTS) == 12


@pytest.mark.parametrize(
    ("groups", "start", "message"),
    [
        ({str(n): ["x"] for n in range(6)}, START, "6 keyword groups; one call takes 1 to 5"),
        ({"a": ["x"] * 21}, START, "group 'a' has 21 keywords; it takes 1 to 20"),
        ({"a": ["x"]}, date(2015, 12, 31), "the first day must be 2016-01-01 or later"),
        ({"a": ["x"]}, END, "before the end"),
    ],
)
def test_a_request_that_the_service_would_refuse_is_not_sent(
    groups: dict[str, list[str]], start: date, message: str
) -> None:
    with running(datalab) as service, pytest.raises(SourceError, match=message):
        fetch_searches(client(service), groups, start=start, end=END)

    assert service.calls == []


def test_shares_sum_to_100_in_each_segment_day_and_absent_counts_as_zero() -> None:
    rows = [
        (date(2024, 1, 1), "male", "10대", "a", 30.0),
        (date(2024, 1, 1), "male", "10대", "b", 10.0),
        (date(2024, 1, 2), "male", "10대", "a", 7.0),
        (date(2024, 1, 1), "female", "10대", "b", 0.0),
    ]

    found = shares(pl.DataFrame(rows, schema=SEARCHES, orient="row"), brands=["a", "b"])

    assert found.rows() == [
        (date(2024, 1, 1), "male", "10대", "a", 75.0),
        (date(2024, 1, 1), "male", "10대", "b", 25.0),
        (date(2024, 1, 2), "male", "10대", "a", 100.0),
        (date(2024, 1, 2), "male", "10대", "b", 0.0),
    ]


def test_a_brand_that_nobody_searched_for_at_all_has_its_zeros() -> None:
    rows = [(date(2024, 1, 1), "male", "10대", "a", 30.0)]

    found = shares(pl.DataFrame(rows, schema=SEARCHES, orient="row"), brands=["a", "b"])

    assert found.select("brand", "share_pct").rows() == [("a", 100.0), ("b", 0.0)]
