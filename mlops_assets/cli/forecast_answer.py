"""Reads the API's answer to `GET /forecasts/<problem>/latest` for the terminal.

Here: the one forecast that is shown. Not here: the answer's schema, which the service owns.
"""

from __future__ import annotations

import json

from mlops_assets.cli.summary import FirstForecast


def first_forecast(answer: bytes) -> FirstForecast:
    """The first forecast of an answer.

    Args:
        answer: the body, JSON with the list `forecasts`.
    """
    document = json.loads(answer)
    fields = {**document, **document["forecasts"][0]}
    return FirstForecast.model_validate({n: fields[n] for n in FirstForecast.model_fields})
