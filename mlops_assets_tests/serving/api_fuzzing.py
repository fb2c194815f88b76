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
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from mlops_assets_tests.serving.published import AS_OF, PROBLEM
from mlops_assets_tests.serving.published_past import instant
from mlops_assets_tests.serving.published_shares import LEVEL, SHARES
from serving.contract.snapshot import BAND_QUANTILE

Case = schemathesis.Case[Any]
APIOperation = schemathesis.APIOperation[Any, Any, Any, Any]

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
    "date": ("2026-03-03",),
    "age_group": ("20s",),
    "gender": ("female",),
    "brand": ("게토레이",),
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

_OPTIONAL: Final = frozenset(KNOWN) - {
    "problem",
    "model",
    "date",
    "age_group",
    "gender",
    "brand",
    "features",
    "last_value",
    "inputs",
    "weights",
}
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
        assert isinstance(found, Ok), f"the document cannot be read: {found.err()}"
        yield found.ok()


def fuzz(
    client: httpx.Client, *, key: str | None, examples: int, secrets: Sequence[str]
) -> Outcome:
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
    caller = _Caller(str(client.base_url), key, examples, ("Traceback", *secrets))
    for operation in operations_of(client):
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _fuzz_operation(operation, mode, caller, outcome)
    return outcome


@dataclass(frozen=True)
class _Caller:
    address: str
    key: str | None
    examples: int
    secrets: Sequence[str]

    def call(self, case: Case, outcome: Outcome) -> None:
        """Send a case and judge the answer."""
        headers = {} if self.key is None else {"X-Api-Key": self.key}
        answer = case.call(base_url=self.address, headers=headers, allow_redirects=False)
        status = answer.status_code
        # Tensors may be raw bytes.
        text = answer.content.decode("utf-8", "replace")
        outcome.cases += 1
        outcome.statuses[(case.operation.label, status)] += 1
        for secret in self.secrets:
            if secret in text:
                outcome.note(case, status, f"tells {secret}", text)
        try:
            case.validate_response(answer, checks=CHECKS)
        except BaseExceptionGroup as group:
            for fault in group.exceptions:
                outcome.note(case, status, type(fault).__name__, str(fault))


def _fuzz_operation(
    operation: APIOperation, mode: GenerationMode, caller: _Caller, outcome: Outcome
) -> None:
    @settings(
        max_examples=caller.examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(
        case=operation.as_strategy(generation_mode=mode),
        seasoning=_SEASONING,
        tame=st.booleans(),
    )
    def call(case: Case, seasoning: dict[str, Any], tame: bool) -> None:
        _season(case, seasoning, tame=tame)
        caller.call(case, outcome)

    try:
        call()
    except Unsatisfiable:
        # An operation without parameters and body has no input that could be bad.
        assert mode is GenerationMode.NEGATIVE, operation.label
        assert not operation.definition.raw.get("parameters"), operation.label


def _season(case: Case, seasoning: Mapping[str, Any], *, tame: bool) -> None:
    """Put known values in the place of generated ones; a tame case has no others at all."""
    for part in (case.path_parameters, case.query, case.body):
        if not isinstance(part, MutableMapping):
            continue
        named = cast("MutableMapping[str, Any]", part)
        for name in [name for name in named if name in KNOWN]:
            if seasoning[name] is not None:
                named[name] = seasoning[name]
            elif tame and name in _OPTIONAL and part is not case.path_parameters:
                del named[name]
            elif tame:
                named[name] = _first(name, case)


def _first(name: str, case: Case) -> object:
    """A known value that goes with those of the other names; of a batch it is the second."""
    values = KNOWN[name]
    is_column = name in {"features", "last_value"} and case.operation.path.endswith("/batch")
    return values[1 if is_column else 0]


def home_of(path: Path) -> tuple[str, ...]:
    """What would tell where the service keeps its state, and where its code is."""
    return (str(path), str(Path(__file__).parents[2]))
