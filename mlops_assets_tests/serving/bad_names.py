"""Names that mean nothing, or not together; see `bad_input`."""

from __future__ import annotations

from typing import Final

from mlops_assets_tests.serving.bad_input import (
    ASK,
    LATEST,
    BadInput,
    ask,
    given,
)
from mlops_assets_tests.serving.wire import (
    get,
    post,
)

NAMES: Final = (
    BadInput(
        "an unknown problem",
        get("/v1/forecasts/nope/latest"),
        404,
        "unknown-name",
        "it must be published",
    ),
    BadInput(
        "a problem with a name of 10,000 characters",
        get(f"/v1/forecasts/{'a' * 10000}/latest"),
        404,
        "unknown-name",
        "it must be published",
    ),
    BadInput(
        "an unknown series",
        get(f"{LATEST}?series=nope"),
        404,
        "unknown-name",
        "it must be one of the 1 published series of bitcoin_close",
    ),
    BadInput(
        "an unknown series among known ones",
        post("/v1/forecasts/bitcoin_close", {"series": ["btc", "nope"]}),
        404,
        "unknown-name",
        "it must be one of the 1 published series of bitcoin_close",
    ),
    BadInput(
        "no series",
        post("/v1/forecasts/bitcoin_close", {"series": []}),
        422,
        "invalid-request",
        "Expected `array` of length >= 1",
    ),
    BadInput(
        "an unknown alias",
        ask(alias="nope"),
        404,
        "unknown-name",
        "it must point to a version of sample.bitcoin_close",
    ),
    BadInput(
        "an alias that is a path",
        ask(alias="../../etc/passwd"),
        404,
        "unknown-name",
        "it must point to a version of sample.bitcoin_close",
    ),
    BadInput(
        "an alias with NUL",
        ask(alias="champion\0"),
        404,
        "unknown-name",
        "it must point to a version of sample.bitcoin_close",
    ),
    BadInput(
        "an unknown version",
        ask(version="99"),
        404,
        "unknown-name",
        "it must be registered for sample.bitcoin_close",
    ),
    BadInput(
        "a version that is a path",
        get("/v1/models/bitcoin_close/versions/..%2F..%2Fetc"),
        404,
        "not-found",
        "Not Found",
    ),
    BadInput(
        "a version that is SQL",
        get("/v1/models/bitcoin_close/versions/1'%20OR%201=1"),
        404,
        "unknown-name",
        "it must be one of the 2 registered versions",
    ),
    BadInput(
        "an alias and a version",
        ask(alias="champion", version="1"),
        422,
        "unusable-input",
        "a model is chosen by one of them",
    ),
    BadInput(
        "an unknown feature",
        given(features={"ret": 0.01, "vol": 0.005, "nope": 1.0}),
        422,
        "unusable-input",
        "the served model, version 2, has no such feature",
    ),
    BadInput(
        "a feature too few",
        given(features={"ret": 0.01}),
        422,
        "unusable-input",
        "all 3 features of the served model are needed, by name",
    ),
    BadInput(
        "features without a last value",
        ask(features={"ret": 0.01}),
        422,
        "invalid-request",
        "features need last_value, the newest known target value; give both",
    ),
    BadInput(
        "features and an origin",
        given(origin="2026-03-02T12:00:00Z"),
        422,
        "invalid-request",
        "give an origin or horizon of the snapshot or features of your own, not both",
    ),
    BadInput(
        "features of a share",
        post(ASK, {"problem": "drink_share", "features": {"level": 1.0}, "last_value": 1.0}),
        422,
        "unusable-input",
        "its forecasts are shares (share_of_segment), and the features of one series",
    ),
    BadInput(
        "half a letter in an address",
        get("/predict?date=2026-03-03&age_group=20&gender=f&brand=%ED"),
        400,
        "bad-request",
        "a query must be UTF-8, percent-encoded",
    ),
    BadInput(
        "an empty label",
        get("/predict?date=2026-03-03&age_group=20s&gender=&brand=x"),
        422,
        "invalid-request",
        "Expected `str` of length >= 1",
    ),
    BadInput(
        "an unknown label",
        get("/predict?date=2026-03-03&age_group=20s&gender=female&brand=cola"),
        404,
        "unknown-name",
        "it must be a label of the published series, or begin as only one of them does",
    ),
    BadInput(
        "a day that no calendar has",
        get("/predict?date=2026-02-30&age_group=20s&gender=female&brand=%ED%86%A0"),
        422,
        "unusable-input",
        "there is no such day",
    ),
    BadInput(
        "a share without its labels",
        get("/predict?date=2026-03-03"),
        422,
        "invalid-request",
        "Object missing required field `age_group`",
    ),
    BadInput(
        "an unknown replay",
        get("/v1/replays/bitcoin_close/..%2Fhome"),
        404,
        "not-found",
        "Not Found",
    ),
)
"""Who or what is asked for."""
