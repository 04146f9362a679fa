"""Bounded nesting, and repaired surrogates."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channel_server.errors import MalformedFrame
from channel_server.json_input import check_depth, repair_surrogates
from channel_server.serializer import V2

LIMIT = 4
nested: st.SearchStrategy[Any] = st.recursive(
    st.integers(0, 9) | st.text('[]{}"\\a'),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text('[}"\\'), inner, max_size=3)
    ),
    max_leaves=20,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())  # pyright: ignore[reportUnknownArgumentType,reportUnknownVariableType] any JSON
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0  # pyright: ignore[reportUnknownArgumentType] any JSON


def is_refused(data: bytes) -> bool:
    try:
        check_depth(data, LIMIT)
    except MalformedFrame:
        return True
    return False


def test_too_deep_is_a_policy_violation() -> None:
    with pytest.raises(MalformedFrame) as caught:
        check_depth(b"[[[[[]]]]]", LIMIT)
    assert caught.value.close_code == 1008


@given(nested)
def test_json_is_refused_exactly_when_it_is_nested_deeper_than_the_limit(value: Any) -> None:
    assert is_refused(json.dumps(value).encode()) == (depth(value) > LIMIT)


@pytest.mark.parametrize("padding", ["", " " * 20_000], ids=["small", "large"])
@given(value=nested)
def test_a_message_is_refused_exactly_when_it_is_nested_deeper_than_the_limit(
    padding: str, value: Any
) -> None:
    message = ["1", "2", "t", "e", value]
    data = (json.dumps(message) + padding).encode()
    if depth(message) > LIMIT:
        with pytest.raises(MalformedFrame, match="nested deeper"):
            V2(LIMIT).decode_text(data)
    else:
        assert V2(LIMIT).decode_text(data).payload == value


@pytest.mark.parametrize("rest", [b"", b"nonsense", b'"\\ud800"'])
def test_what_is_too_deep_is_told_so_whatever_else_is_wrong_with_it(rest: bytes) -> None:
    with pytest.raises(MalformedFrame) as caught:
        V2(LIMIT).decode_text(b'["1","2","t","e",' + b"[" * LIMIT + rest)
    assert (caught.value.close_code, caught.value.kind) == (1008, "json_depth")


@pytest.mark.parametrize(
    "data",
    [
        b'"' + b"[" * 99 + b'"',
        rb'["\"[[[[[[[[", "\\", {"a": "}}}}"}]',
        b"[" + b"[]," * 99 + b"[]]",
    ],
)
def test_brackets_in_strings_and_siblings_do_not_count(data: bytes) -> None:
    assert not is_refused(data)


def test_a_million_open_brackets_are_refused_at_once() -> None:
    assert is_refused(b"[" * 1_000_000)


@pytest.mark.parametrize(
    ("given_text", "repaired"),
    [
        (rb'"\ud800"', rb'"\ufffd"'),
        (rb'"\uDC00x"', rb'"\ufffdx"'),
        (rb'"\uD83D\uDE00"', rb'"\uD83D\uDE00"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\\ud800"', rb'"\\ud800"'),
        (rb'"\\\ud800"', rb'"\\\ufffd"'),
        (rb'"\n\ud800\n"', rb'"\n\ufffd\n"'),
    ],
)
def test_only_lone_surrogates_are_replaced(given_text: bytes, repaired: bytes) -> None:
    assert repair_surrogates(given_text) == repaired


def test_text_without_surrogates_is_returned_as_it_is() -> None:
    data = rb'"\u00e9"'
    assert repair_surrogates(data) is data


@given(st.text(st.characters(), max_size=20))
def test_repaired_text_is_what_json_says_with_lone_surrogates_replaced(value: str) -> None:
    expected = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert json.loads(repair_surrogates(json.dumps(value).encode())) == expected
