"""Example requests of the forecast operations, for the OpenAPI document.

Here: requests as a stranger would send them to a service of Bitcoin prices. Not here: the live
values that the document puts in their place (`documentation.live_examples`).
"""

from __future__ import annotations

from typing import Final

from serving.operations import Example

_FEATURES: Final = {"return_1h": 0.001, "volume_24h": None, "band_quantile": 1.8}
_SHARE: Final = {
    "date": "2026-01-02",
    "age_group": "20대",
    "gender": "female",
    "brand": "게토레이",
}

LATEST: Final = {"newest": Example("The newest origin of every series", {})}
ORIGINS: Final = {
    "range": Example("All origins of a range", {"from": "2026-01-01T00:00:00Z", "horizon": 1})
}
SERIES: Final = {
    "series": Example("Some series, the next step", {"series": ["btc"], "horizon": 1}),
}
PREDICT: Final = {
    "newest": Example("From the newest origin", {"problem": "bitcoin_close"}),
    "origin": Example(
        "From a published origin", {"problem": "bitcoin_close", "origin": "2026-01-01T00:00:00Z"}
    ),
    "features": Example(
        "From features",
        {"problem": "bitcoin_close", "features": _FEATURES, "last_value": 60000.0},
    ),
    "alias": Example(
        "By the version of an alias", {"problem": "bitcoin_close", "alias": "champion"}
    ),
}
BATCH: Final = {
    "rows": Example(
        "Two rows of features",
        {
            "problem": "bitcoin_close",
            "features": {name: [value, value] for name, value in _FEATURES.items()},
            "last_value": [60000.0, 60100.0],
        },
    )
}
SHARE: Final = {"share": Example("A share on a day", _SHARE)}
PREDICT_OR_SHARE: Final = PREDICT | SHARE
