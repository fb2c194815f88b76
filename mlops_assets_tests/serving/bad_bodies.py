"""Bodies that cannot be read, and numbers that cannot be used; see `bad_input`."""

from __future__ import annotations

from typing import Final

from mlops_assets_tests.serving.bad_input import (
    ASK,
    HISTORY,
    INFER,
    LATEST,
    PROTOCOL,
    TRAFFIC,
    BadInput,
    ask,
    given,
    literal,
)
from mlops_assets_tests.serving.wire import (
    administer,
    get,
    post,
)

VERY_DEEP: Final = "[" * 100_000

BODIES: Final = (
    BadInput("an empty body", post(ASK, b""), 400, "bad-request", "it is empty"),
    BadInput(
        "an array for a body",
        post(ASK, []),
        422,
        "invalid-request",
        "Expected `object`, got `array`",
    ),
    BadInput(
        "null for a body", post(ASK, None), 422, "invalid-request", "Expected `object`, got `null`"
    ),
    BadInput("text that is no JSON", post(ASK, "hello"), 400, "bad-request", "JSON is malformed"),
    BadInput(
        "JSON that ends too early",
        post(ASK, '{"problem": '),
        400,
        "bad-request",
        "Input data was truncated",
    ),
    BadInput(
        "something behind the JSON",
        post(ASK, '{"problem": "bitcoin_close"} x'),
        400,
        "bad-request",
        "JSON is malformed",
    ),
    BadInput(
        "100,000 brackets",
        post(ASK, VERY_DEEP),
        422,
        "invalid-request",
        "Expected `object`, got `array`",
    ),
    BadInput(
        "100,000 brackets in a field",
        post(ASK, '{"problem": ' + VERY_DEEP),
        422,
        "invalid-request",
        "Expected `str`, got `array`",
    ),
    BadInput(
        "100,000 brackets to the framework",
        administer("PUT", TRAFFIC, VERY_DEEP),
        400,
        "bad-request",
        "There was an error parsing the body",
    ),
    BadInput(
        "100,000 brackets in a tensor",
        post(
            INFER,
            '{"inputs": [{"name": "f", "datatype": "FP64", "shape": [1], "data": ' + VERY_DEEP,
        ),
        400,
        PROTOCOL,
        "it must be an inference request of the protocol",
    ),
    BadInput(
        "a key twice, the second unknown",
        post(ASK, '{"problem": "bitcoin_close", "problem": "x"}'),
        404,
        "unknown-name",
        "it must be published",
    ),
    BadInput(
        "an unknown field",
        ask(prblem=1),
        422,
        "invalid-request",
        "Object contains unknown field `prblem`",
    ),
    BadInput(
        "no problem",
        post(ASK, {}),
        422,
        "invalid-request",
        "Object missing required field `problem`",
    ),
    BadInput(
        "a number for a name",
        post(ASK, {"problem": 5}),
        422,
        "invalid-request",
        "Expected `str`, got `int`",
    ),
    BadInput(
        "a byte that is no UTF-8",
        post(ASK, b'{"problem": "\xff"}'),
        400,
        "bad-request",
        "can't decode byte 0xff",
    ),
    BadInput(
        "half a surrogate pair",
        post(ASK, '{"problem": "\\ud800"}'),
        400,
        "bad-request",
        "Input data was truncated",
    ),
    BadInput(
        "a byte order mark",
        post(ASK, b'\xef\xbb\xbf{"problem": "bitcoin_close"}'),
        400,
        "bad-request",
        "JSON is malformed",
    ),
    BadInput(
        "UTF-16",
        post(ASK, '{"problem": "bitcoin_close"}'.encode("utf-16")),
        400,
        "bad-request",
        "JSON is malformed",
    ),
    BadInput(
        "a compressed body",
        post(ASK, b"\x1f\x8b\x08\x00abc", Content_Encoding="gzip"),
        400,
        "bad-request",
        "JSON is malformed",
    ),
    BadInput(
        "a compressed tensor",
        post(INFER, b"\x1f\x8b\x08\x00abc", Content_Encoding="gzip"),
        400,
        PROTOCOL,
        "bodies are read as they are",
    ),
    BadInput(
        "settings that are not sent as JSON",
        administer("PUT", TRAFFIC, {"weights": {"champion": 1.0}}, Content_Type="text/plain"),
        422,
        "invalid-request",
        "Input should be a valid dictionary or object to extract fields from",
    ),
    BadInput(
        "a form instead of JSON",
        post(ASK, b"problem=bitcoin_close", Content_Type="application/x-www-form-urlencoded"),
        400,
        "bad-request",
        "JSON is malformed",
    ),
)
"""What is no JSON of the documented form."""

NUMBERS: Final = (
    BadInput("NaN", literal("NaN"), 400, "bad-request", "JSON is malformed"),
    BadInput("Infinity", literal("-Infinity"), 400, "bad-request", "JSON is malformed"),
    BadInput(
        "a number beyond every float",
        literal("1e400"),
        422,
        "invalid-request",
        "Number out of range",
    ),
    BadInput(
        "an integer of 5,000 digits",
        literal("9" * 5000),
        422,
        "invalid-request",
        "Number out of range",
    ),
    BadInput(
        "a return that no price has",
        literal("-1e300"),
        422,
        "unusable-input",
        "they must give a finite forecast: row 0 gives a forecast that is not finite",
    ),
    BadInput(
        "text for a number",
        literal('"0.01"'),
        422,
        "invalid-request",
        "Expected `float | null`, got `str`",
    ),
    BadInput(
        "true for a number",
        literal("true"),
        422,
        "invalid-request",
        "Expected `float | null`, got `bool`",
    ),
    BadInput(
        "a list for a number",
        literal("[0.01]"),
        422,
        "invalid-request",
        "Expected `float | null`, got `array`",
    ),
    BadInput(
        "a last value below zero",
        given(last_value=-1.0),
        422,
        "unusable-input",
        "it must be greater than 0, since the model of bitcoin_close forecasts its",
    ),
    BadInput("a horizon of 0", ask(horizon=0), 422, "invalid-request", "Expected `int` >= 1"),
    BadInput(
        "a horizon longer than the model's",
        ask(horizon=2),
        422,
        "unusable-input",
        "version 2 forecasts 1 steps ahead",
    ),
    BadInput(
        "a horizon of 30 digits",
        ask(horizon=10**30),
        422,
        "unusable-input",
        "version 2 forecasts 1 steps ahead",
    ),
    BadInput(
        "a horizon and a half",
        ask(horizon=1.5),
        422,
        "invalid-request",
        "Expected `int | null`, got `float`",
    ),
    BadInput(
        "a horizon of 30 digits in an address",
        get(f"{LATEST}?horizon={10**30}"),
        422,
        "invalid-request",
        "Expected `int | null`, got `str`",
    ),
    BadInput(
        "a step beyond 64 bits",
        get(f"{HISTORY}?step={10**30}"),
        422,
        "invalid-request",
        "Input should be less than or equal to 100000",
    ),
)
"""What is no number, or none that a forecast can have."""
