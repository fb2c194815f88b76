"""Instants, intervals, pages and batches that there are not; see `bad_input`."""

from __future__ import annotations

from typing import Final

from mlops_assets_tests.serving.bad_input import (
    CHAMPION,
    HISTORY,
    LATEST,
    ORIGIN,
    BadInput,
    ask,
    batch,
)
from mlops_assets_tests.serving.wire import (
    get,
)

TIMES: Final = (
    BadInput(
        "an origin without a zone",
        get(ORIGIN + "2026-03-02T12:00:00"),
        422,
        "invalid-request",
        "Expected `datetime` with a timezone component",
    ),
    BadInput(
        "an origin with a bare plus sign, which means a blank",
        get(ORIGIN + "2026-03-02T12:00:00+00:00"),
        422,
        "invalid-request",
        "Invalid RFC3339 encoded datetime",
    ),
    BadInput(
        "a past origin, which the model has seen",
        get(ORIGIN + "2026-03-02T09:00:00Z"),
        422,
        "unusable-input",
        "version 2 was fitted on data up to 2026-03-02T10:00:00+00:00",
    ),
    BadInput(
        "a future origin",
        get(ORIGIN + "2030-01-01T00:00:00Z"),
        404,
        "unknown-name",
        "it must be one of the 4 published origins",
    ),
    BadInput(
        "the year 1",
        get(ORIGIN + "0001-01-01T00:00:00Z"),
        404,
        "unknown-name",
        "it must be one of the 4 published origins",
    ),
    BadInput(
        "the year 1, east of Greenwich",
        get(ORIGIN + "0001-01-01T00:00:00%2B23:00"),
        404,
        "unknown-name",
        "it must be one of the 4 published origins",
    ),
    BadInput(
        "the year 9999, west of Greenwich",
        get(ORIGIN + "9999-12-31T23:59:59-23:00"),
        404,
        "unknown-name",
        "it must be one of the 4 published origins",
    ),
    BadInput(
        "the year 1 in a body",
        ask(origin="0001-01-01T00:00:00+23:00"),
        404,
        "unknown-name",
        "it must be one of the 4 published origins",
    ),
    BadInput(
        "a zone of 99 hours",
        get(ORIGIN + "2026-03-02T12:00:00%2B99:00"),
        422,
        "invalid-request",
        "Invalid RFC3339 encoded datetime",
    ),
    BadInput(
        "a 25th hour",
        get(ORIGIN + "2026-03-02T25:00:00Z"),
        422,
        "invalid-request",
        "Invalid RFC3339 encoded datetime",
    ),
    BadInput(
        "a number for an instant",
        get(ORIGIN + "1772452800"),
        422,
        "invalid-request",
        "Invalid RFC3339 encoded datetime",
    ),
    BadInput(
        "an interval that ends before it begins",
        get(f"{HISTORY}?from=2026-03-02T12:00:00Z&to=2026-03-01T12:00:00Z"),
        422,
        "unusable-input",
        "the interval [from, to) needs an end after its start",
    ),
    BadInput(
        "a range of forecasts that ends before it begins",
        get("/v1/forecasts/bitcoin_close?from=2026-03-02T12:00:00Z&to=2026-03-01T12:00:00Z"),
        422,
        "unusable-input",
        "the interval [from, to) needs an end after its start",
    ),
    BadInput(
        "an interval up to the year 1, east of Greenwich",
        get(f"{HISTORY}?to=0001-01-01T00:00:00%2B23:00&from=0001-01-01T00:00:00%2B23:00"),
        422,
        "unusable-input",
        "the interval [from, to) needs an end after its start",
    ),
    BadInput(
        "an interval from the year 9999 without a zone",
        get(f"{CHAMPION}?from=9999-12-31T23:59:59"),
        422,
        "invalid-request",
        "an instant needs a zone; write it like 2026-03-02T12:00:00Z",
    ),
)
"""When."""

PAGES: Final = (
    BadInput(
        "a page of 0 rows",
        get(f"{HISTORY}?limit=0"),
        422,
        "invalid-request",
        "Input should be greater than or equal to 1",
    ),
    BadInput(
        "a page of -1 rows",
        get(f"{HISTORY}?limit=-1"),
        422,
        "invalid-request",
        "Input should be greater than or equal to 1",
    ),
    BadInput(
        "a page of 10^9 rows",
        get(f"{HISTORY}?limit=1000000000"),
        422,
        "invalid-request",
        "Input should be less than or equal to 1000000",
    ),
    BadInput(
        "a page of more rows than an answer has",
        get(f"{HISTORY}?limit=5001"),
        422,
        "unusable-input",
        "one answer has at most 5000 rows",
    ),
    BadInput(
        "a page of many rows",
        get(f"{HISTORY}?limit=many"),
        422,
        "invalid-request",
        "Input should be a valid integer, unable to parse string as an integer",
    ),
    BadInput(
        "a cursor that nobody gave",
        get(f"{HISTORY}?after=%F0%9F%98%80"),
        422,
        "unusable-input",
        "it must be `next` of an earlier answer of the same endpoint",
    ),
    BadInput(
        "a cursor of another endpoint",
        get(f"{HISTORY}?after=WyJidGMiXQ"),
        422,
        "unusable-input",
        "it must be `next` of an earlier answer of the same endpoint",
    ),
    BadInput(
        "a cursor that decodes to 100,000 brackets",
        get(f"{HISTORY}?after={'W1tb' * 250}"),
        422,
        "unusable-input",
        "it must be `next` of an earlier answer of the same endpoint",
    ),
    BadInput(
        "an unknown parameter",
        get(f"{HISTORY}?lmit=1"),
        422,
        "invalid-request",
        "Extra inputs are not permitted",
    ),
    BadInput(
        "an unknown parameter of a forecast",
        get(f"{LATEST}?serie=btc"),
        422,
        "invalid-request",
        "Object contains unknown field `serie`",
    ),
    BadInput(
        "a parameter twice",
        get(f"{LATEST}?series=btc&series=btc"),
        422,
        "invalid-request",
        "Expected one value, got two",
    ),
    BadInput(
        "a parameter twice, of a table",
        get(f"{HISTORY}?limit=1&limit=2"),
        422,
        "unusable-input",
        "a parameter is given once",
    ),
    BadInput(
        "a parameter that is no UTF-8",
        get(f"{LATEST}?series=%FF"),
        400,
        "bad-request",
        "a query must be UTF-8, percent-encoded",
    ),
    BadInput(
        "a parameter that is no UTF-8, of a table",
        get(f"{HISTORY}?series=%FF"),
        422,
        "unusable-input",
        "it must be UTF-8, percent-encoded: invalid start byte",
    ),
    BadInput(
        "a thousand parameters",
        get(f"{LATEST}?{'a=1&' * 1000}"),
        422,
        "invalid-request",
        "Expected at most 20 parameters",
    ),
    BadInput(
        "a query of 60,000 characters",
        get(f"{LATEST}?series={'a' * 60000}"),
        422,
        "invalid-request",
        "Expected `str` of length <= 200",
    ),
    BadInput(
        "columns of different lengths",
        batch(last_value=[60000.0]),
        422,
        "unusable-input",
        "every column must be as long as last_value, which has 1",
    ),
    BadInput(
        "a batch of no rows",
        batch(last_value=[]),
        422,
        "invalid-request",
        "Expected `array` of length >= 1",
    ),
    BadInput(
        "a batch of too many rows",
        batch(last_value=[1.0] * 5001),
        422,
        "unusable-input",
        "one request may have 5000",
    ),
)
"""How much."""
