"""Calls every operation of the OpenAPI document with generated input, good and bad.

schemathesis generates from the document alone, so nearly all names would be unknown: a part of them
is replaced by names of `whole_world`, which takes the requests past the first look-up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, cast

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from mlops_assets_tests.serving.published import AS_OF, BAND_QUANTILE, PROBLEM
from mlops_assets_tests.serving.published_past import instant
from mlops_assets_tests.serving.published_shares import LEVEL, SHARES

CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
_FEATURES: Final = {"ret": 0.01, "vol": 0.005, BAND_QUANTILE: 1.6}
_INPUTS: Final = [
    {"name": "features", "datatype": "FP64", "shape": [1, 3], "data": [0.01, 0.005, 1.6]},
    {"name": "last_value", "datatype": "FP64", "shape": [1], "data": [60000.0]},
]
KNOWN: Final[Mapping[str, Sequence[Any]]] = {
    "problem": (PROBLEM, SHARES),
    "model": (PROBLEM, SHARES),
    "version": ("1", "2"),
    "alias": ("champion", "challenger"),
    "replay": ("spring",),
    "series": ("btc", next(iter(LEVEL)), ["btc"]),
    "horizon": (1, 2),
    "step": (1,),
    "limit": (1, 5),
    "origin": (instant(AS_OF),),
    "from": (instant(AS_OF - timedelta(days=1)),),
    "to": (instant(AS_OF + timedelta(hours=1)),),
    "features": (_FEATURES, {name: [value] * 2 for name, value in _FEATURES.items()}),
    "last_value": (60000.0, [60000.0, 60100.0]),
    "inputs": (_INPUTS,),
    "weights": ({"champion": 1.0}, {"champion": 0.75, "challenger": 0.25}),
    "shadow": (["challenger"],),
}
"""Name of a parameter or of a field of a body -> values that mean something in the world."""

_SEASONING: Final = st.fixed_dictionaries(
    {name: st.none() | st.sampled_from(list(values)) for name, values in KNOWN.items()}
)


@dataclass
class Outcome:
    """What a run came to."""

    cases: int = 0
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Operation and status -> answers."""
    faults: dict[tuple[str, int, str], str] = field(default_factory=dict)
    """Operation, status and kind of fault -> the first of its kind, with the call that shows it."""

    @property
    def by_status(self) -> dict[int, int]:
        """Status -> answers."""
        found: Counter[int] = Counter()
        for (_, status), count in self.statuses.items():
            found[status] += count
        return dict(sorted(found.items()))

    def note(self, case: Case, status: int, kind: str, message: str) -> None:
        """Keep the first fault of its kind."""
        place = (case.operation.label, status, kind)
        self.faults.setdefault(place, f"{message}\n{case.as_curl_command()}"[:2000])


def operations_of(client: httpx.Client) -> Iterator[APIOperation]:
    """The operations of a running service's document."""
    schema = schemathesis.openapi.from_url(str(client.base_url.join("/openapi.json")))
    for found in schema.get_all_operations():
        yield found.ok()


def fuzz(client: httpx.Client, *, key: str | None, examples: int, secrets: Sequence[str]) -> Outcome:
    """Call every operation, with good input and with bad, `examples` times each.

    Args:
        client: of a running service.
        key: the API key that is sent; None for none.
        examples: the most generated requests for each operation and each kind of input.
        secrets: what no answer may hold.

    Returns:
        Counts, and one fault of each kind.
    """
    outcome = Outcome()
    for operation in operations_of(client):
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _fuzz_operation(operation, mode, client, outcome, key, examples, secrets)
    return outcome


def _fuzz_operation(
    operation: APIOperation,
    mode: GenerationMode,
    client: httpx.Client,
    outcome: Outcome,
    key: str | None,
    examples: int,
    secrets: Sequence[str],
) -> None:
    headers = {} if key is None else {"X-Api-Key": key}

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=operation.as_strategy(generation_mode=mode), seasoning=_SEASONING)
    def call(case: Case, seasoning: dict[str, Any]) -> None:
        _season(case, seasoning)
        answer = case.call(base_url=str(client.base_url), headers=headers, allow_redirects=False)
        outcome.cases += 1
        outcome.statuses[(operation.label, answer.status_code)] += 1
        for secret in ("Traceback", *secrets):
            if secret in answer.text:
                outcome.note(case, answer.status_code, f"tells {secret}", answer.text)
        try:
            case.validate_response(answer, checks=CHECKS)
        except BaseExceptionGroup as group:
            for fault in group.exceptions:
                outcome.note(case, answer.status_code, type(fault).__name__, str(fault))

    try:
        call()
    except Unsatisfiable:
        # An operation without parameters and body has no input that could be bad.
        assert mode is GenerationMode.NEGATIVE, operation.label
        assert not operation.definition.raw.get("parameters"), operation.label


def _season(case: Case, seasoning: Mapping[str, Any]) -> None:
    """Put known values where the case has a value of that name, or a body could have one."""
    for part in (case.path_parameters, case.query, case.body):
        if isinstance(part, MutableMapping):
            named = cast("MutableMapping[str, Any]", part)
            for name in list(named):
                if seasoning.get(name) is not None:
                    named[name] = seasoning[name]


def home_of(path: Path) -> tuple[str, ...]:
    """What would tell where the service keeps its state, and where its code is."""
    return (str(path), str(Path(__file__).parents[2]))
