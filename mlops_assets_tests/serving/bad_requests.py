"""What is wrong with a request whatever it asks; see `bad_input`."""

from __future__ import annotations

from typing import Final

from mlops_assets_tests.serving.bad_input import (
    ASK,
    HISTORY,
    INFER,
    LATEST,
    NOTHING,
    PROTOCOL,
    ROLLBACK,
    SERVER,
    TRAFFIC,
    BadInput,
)
from mlops_assets_tests.serving.wire import (
    PREDICT,
    administer,
    chunked,
    get,
    post,
    request,
)

ACCESS: Final = (
    BadInput(
        "a key that is not in force",
        get(LATEST, X_Api_Key="nobody.secret"),
        401,
        "key-needed",
        "the key that was sent is unknown, revoked or expired",
    ),
    BadInput(
        "administration with a password instead of a key",
        post("/reload", b"", Authorization="Basic YTpi"),
        401,
        "key-needed",
        "administration needs a key with the role admin, from this machine too",
    ),
    BadInput(
        "administration without a key",
        post("/v1/admin/reload", b""),
        401,
        "key-needed",
        "administration needs a key with the role admin, from this machine too",
    ),
    BadInput(
        "administration with the key in the address",
        post("/v1/admin/reload?api_key={ADMIN}", b""),
        401,
        "key-needed",
        "administration needs a key with the role admin, from this machine too",
    ),
    BadInput(
        "administration with a key that may only predict",
        post("/reload", b"", X_Api_Key=PREDICT.decode()),
        403,
        "not-allowed",
        "its role is predict, and administration needs admin",
    ),
    BadInput(
        "a host of another site",
        get(LATEST, Host="forecasts.example"),
        401,
        "key-needed",
        "the request names a host that is not this machine, and only programs on this",
    ),
    BadInput(
        "a page of another site",
        get(LATEST, Origin="https://forecasts.example"),
        401,
        "key-needed",
        "a page of another site sent the request, and only programs on this machine",
    ),
    BadInput(
        "a request that a proxy passed on",
        get(LATEST, X_Forwarded_For="127.0.0.1"),
        401,
        "key-needed",
        "the request was forwarded by a proxy, and only programs on this machine need",
    ),
    BadInput(
        "weights that do not sum to 1",
        administer("PUT", TRAFFIC, {"weights": {"champion": 0.5}}),
        422,
        "unusable-input",
        "they must sum to 1",
    ),
    BadInput(
        "a weight below zero",
        administer("PUT", TRAFFIC, {"weights": {"champion": -1.0}}),
        422,
        "invalid-request",
        "Input should be greater than 0",
    ),
    BadInput(
        "a weight that is NaN",
        administer("PUT", TRAFFIC, '{"weights": {"champion": NaN}}'),
        422,
        "invalid-request",
        "Input should be less than or equal to 1",
    ),
    BadInput(
        "traffic for an unknown alias",
        administer("PUT", TRAFFIC, {"weights": {"../x": 1.0}}),
        422,
        "unusable-input",
        "it must be an alias of sample.bitcoin_close, or its share of the callers has",
    ),
    BadInput(
        "a roll back without a reason",
        administer("POST", ROLLBACK, {"reason": ""}),
        422,
        "invalid-request",
        "String should have at least 1 character",
    ),
    BadInput(
        "a roll back to an unknown version",
        administer("POST", ROLLBACK, {"reason": "test", "version": "99"}),
        404,
        "unknown-name",
        "it must be a registered version of sample.bitcoin_close",
    ),
)
"""Who asks, and what only an admin may."""

HTTP: Final = (
    BadInput("an unknown address", get("/v1/nope"), 404, "not-found", "Not Found"),
    BadInput(
        "an address that leaves the service",
        get("/v1/../../etc/passwd"),
        404,
        "not-found",
        "Not Found",
    ),
    BadInput(
        "an address with a slash in a name",
        get("/v1/forecasts/a%2Fb/latest"),
        404,
        "not-found",
        "Not Found",
    ),
    BadInput(
        "an address with NUL",
        get("/v1/forecasts/%00/latest"),
        404,
        "unknown-name",
        "it must be published",
    ),
    BadInput(
        "an address that is no UTF-8",
        get("/v1/forecasts/%FF/latest"),
        404,
        "unknown-name",
        "it must be published",
    ),
    BadInput("HEAD", request("HEAD", LATEST), 405, NOTHING, ""),
    BadInput(
        "OPTIONS", request("OPTIONS", LATEST), 405, "method-not-allowed", "Method Not Allowed"
    ),
    BadInput("TRACE", request("TRACE", LATEST), 405, "method-not-allowed", "Method Not Allowed"),
    BadInput(
        "TRACE of a table",
        request("TRACE", HISTORY),
        405,
        "method-not-allowed",
        "Method Not Allowed",
    ),
    BadInput(
        "CONNECT",
        request("CONNECT", "example.com:443"),
        400,
        SERVER,
        "Invalid HTTP request received.",
    ),
    BadInput(
        "a method that does not exist",
        request("BREW", LATEST),
        400,
        SERVER,
        "Invalid HTTP request received.",
    ),
    BadInput(
        "a line that is no HTTP", b"hello\r\n\r\n", 400, SERVER, "Invalid HTTP request received."
    ),
    BadInput(
        "the first bytes of TLS",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        400,
        SERVER,
        "Invalid HTTP request received.",
    ),
    BadInput(
        "a body announced as 10^18 bytes",
        request("POST", ASK, b"", {"Content-Length": str(10**18)}),
        413,
        "content-too-large",
        "a body may have 1000000 bytes",
    ),
    BadInput(
        "a body of 2 MB",
        post(ASK, b" " * 2_000_000),
        413,
        "content-too-large",
        "a body may have 1000000 bytes",
    ),
    BadInput(
        "a body of 2 MB in chunks",
        request(
            "POST", ASK, chunked(b" " * 2_000_000, size=10_000), {"Transfer-Encoding": "chunked"}
        ),
        413,
        "content-too-large",
        "a body may have 1000000 bytes",
    ),
    BadInput(
        "a body of 2 MB of tensors",
        post(INFER, b" " * 2_000_000),
        413,
        PROTOCOL,
        "a body may have 1000000 bytes",
    ),
    BadInput(
        "a negative length of the body",
        request("POST", ASK, b"", {"Content-Length": "-1"}),
        400,
        SERVER,
        "Invalid HTTP request received.",
    ),
    BadInput(
        "a length of the body that is no number",
        request("POST", ASK, b"", {"Content-Length": "x"}),
        400,
        SERVER,
        "Invalid HTTP request received.",
    ),
    BadInput(
        "a body in chunks with a length beside",
        request(
            "POST",
            ASK,
            chunked(b"{}", size=2),
            {"Transfer-Encoding": "chunked", "Content-Length": "4"},
        ),
        400,
        SERVER,
        "Invalid HTTP request received.",
    ),
    BadInput(
        "a chunk whose size is no number",
        request("POST", ASK, b"zz\r\n{}\r\n0\r\n\r\n", {"Transfer-Encoding": "chunked"}),
        400,
        SERVER,
        "Invalid HTTP request received.",
    ),
    BadInput(
        "5,000 headers",
        request("GET", LATEST, headers={f"X-{n}": "1" for n in range(5000)}),
        431,
        "large-head",
        "a request may have 100 headers, and 65536 bytes in path, query and headers",
    ),
    BadInput(
        "a header of 1 MB",
        get(LATEST, X_Long="a" * 1_000_000),
        431,
        "large-head",
        "a request may have 100 headers, and 65536 bytes in path, query and headers",
    ),
    BadInput(
        "an address of 1 MB",
        get(f"{LATEST}?series={'a' * 1_000_000}"),
        400,
        SERVER,
        "Invalid HTTP request received.",
    ),
    BadInput(
        "a header with NUL",
        get(LATEST, X_Nul="a\0b"),
        400,
        SERVER,
        "Invalid HTTP request received.",
    ),
    BadInput(
        "a body that does not arrive",
        request("POST", ASK, b"{", {"Content-Length": "100"}),
        408,
        "slow-request",
        "a request must arrive within 0.5 s",
        service="empty",
    ),
    BadInput(
        "a forecast before anything is published",
        get(LATEST),
        503,
        "not-ready",
        "no snapshot of any problem is published",
        service="empty",
    ),
)
"""Addresses, methods, sizes, and what is no HTTP."""
