from __future__ import annotations

from typing import Annotated

import msgspec
import pytest

from serving.faults import find_fault


class _Form(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(max_length=3)] = ""
    columns: dict[str, list[float | None]] = {}
    size: int = 0


@pytest.mark.parametrize(
    ("sent", "value", "words"),
    [
        ({"name": "long"}, "body.name = 'long'", "length <= 3"),
        ({"columns": {"a": [1.0], "b": [1.0, "x"]}}, "body.columns.b.1 = 'x'", "got `str`"),
        ({"columns": {"a": [1.0], "b": {"c": 1}}}, "body.columns.b", "got `object`"),
        ({"columns": {"a": [True]}}, "body.columns.a.0 = True", "got `bool`"),
        ({"size": 1.5}, "body.size = 1.5", "Expected `int`"),
        ({"colour": 1}, "body", "unknown field `colour`"),
        ([1], "body", "got `array`"),
    ],
)
def test_a_fault_names_the_place_with_what_stands_there(
    sent: object, value: str, words: str
) -> None:
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.json.decode(msgspec.json.encode(sent), type=_Form)
    fault = find_fault(raised.value, sent, part="body")
    assert fault.value == value
    assert words in fault.rule


def test_a_long_value_is_shown_in_part_and_in_ascii() -> None:
    sent = {"name": "대" * 5000}
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.convert(sent, _Form)
    fault = find_fault(raised.value, sent, part="query")
    assert len(fault.value) == 200
    assert fault.value.startswith(r"query.name = '\ub300")


def test_without_what_was_sent_the_place_alone_is_named() -> None:
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.json.decode(b'{"columns": {"a": [1e999]}}', type=_Form)
    fault = find_fault(raised.value, None, part="body")
    assert (fault.value, fault.rule) == ("body.columns[...][0]", "Number out of range")
