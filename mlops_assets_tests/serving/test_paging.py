from __future__ import annotations

import base64

import pytest

from serving.domain_errors import UnusableInputError
from serving.paging import DEFAULT_LIMIT, decode, encode, page_size


def test_a_cursor_brings_its_key_back() -> None:
    key = ("게토레이/female/20대", -5, 2**62)

    assert decode(encode(key), (str, int, int)) == key
    assert encode(key).isascii()
    assert not set(encode(key)) & set("+/=&?#")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "*",
        "ü",
        "bm90IGpzb24",
        encode(("a",)),
        encode(("a", 1, 2)),
        encode((1, 1)),
        encode(("a", "1")),
        encode(("a", 2**63)),
        base64.urlsafe_b64encode(b'["a", true]').decode().rstrip("="),
        base64.urlsafe_b64encode(b'["a", 1.5]').decode().rstrip("="),
        base64.urlsafe_b64encode(b"[" * 700).decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)
def test_what_is_no_cursor_is_refused_with_where_one_comes_from(cursor: str) -> None:
    with pytest.raises(UnusableInputError, match="must be `next` of an earlier answer"):
        decode(cursor, (str, int))


def test_a_page_has_a_thousand_rows_or_fewer_where_less_is_allowed() -> None:
    assert page_size(None, 5000) == DEFAULT_LIMIT == 1000
    assert page_size(None, 10) == 10
    assert page_size(5000, 5000) == 5000


def test_a_page_beyond_the_limit_of_an_answer_is_refused() -> None:
    with pytest.raises(UnusableInputError, match="at most 10 rows; use a smaller limit"):
        page_size(11, 10)
