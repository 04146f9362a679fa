"""Nested query strings."""

from typing import Any

import pytest

from channel_server.transport.query import BadQueryError, decode_query


@pytest.mark.parametrize(
    ("query", "params"),
    [
        ("", {}),
        ("&&", {}),
        ("a=1", {"a": "1"}),
        ("a", {"a": ""}),
        ("a=", {"a": ""}),
        ("a=1=2", {"a": "1=2"}),
        ("a=1&a=2", {"a": "2"}),
        ("a+b=c+d%20e", {"a b": "c d e"}),
        ("n=%C3%A9", {"n": "\u00e9"}),
        ("a[b]=1&a[c][]=2&a[c][]=3&d=&e", {"a": {"b": "1", "c": ["2", "3"]}, "d": "", "e": ""}),
        ("a%5Bb%5D=1", {"a": {"b": "1"}}),
        ("a[]=1", {"a": ["1"]}),
        ("a[][b]=1&a[][b]=2", {"a": [{"b": "1"}, {"b": "2"}]}),
        ("a[][]=1", {"a": [["1"]]}),
        ("a=1&a[b]=2", {"a": {"b": "2"}}),
        ("a[b]=1&a=2", {"a": "2"}),
        ("a[]=1&a[b]=2", {"a": {"b": "2"}}),
        ("a[b", {"a[b": ""}),
        ("[b]=1", {"[b]": "1"}),
        ("__proto__[x]=1", {"__proto__": {"x": "1"}}),
    ],
)
def test_decoding(query: str, params: dict[str, Any]) -> None:
    assert decode_query(query) == params


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("a=%ff", "not UTF-8"),
        ("%ff=a", "not UTF-8"),
        ("a=\u20ac", "not UTF-8"),
        ("&".join("a" for _ in range(600)), "more than 512"),
        ("a" + "[b]" * 20 + "=1", "deeper than 16"),
    ],
)
def test_refusing(query: str, reason: str) -> None:
    with pytest.raises(BadQueryError, match=reason):
        decode_query(query)
