"""The client's end of a websocket: how addresses and tokens are written."""

import base64
from typing import Any

import pytest

from channel_server.transport.wire import bearer, socket_url


@pytest.mark.parametrize("token", ["secret", "a/b+c?=é", "ÿÿÿ", "\xfb\xff"])
def test_a_token_is_unpadded_base64_without_a_slash(token: str) -> None:
    prefix, _, encoded = bearer(token).rpartition(".")
    assert prefix == "base64url.bearer.phx"
    assert not set("/=") & set(encoded)
    standard = encoded.replace("-", "+").replace("_", "/")
    assert base64.b64decode(standard + "=" * (-len(standard) % 4)).decode() == token


@pytest.mark.parametrize(
    ("url", "params", "expected"),
    [
        ("ws://h/socket", {}, "ws://h/socket/websocket?vsn=2.0.0"),
        ("ws://h/socket/", {}, "ws://h/socket/websocket?vsn=2.0.0"),
        ("ws://h/socket/websocket?a=1", {}, "ws://h/socket/websocket?a=1&vsn=2.0.0"),
        (
            "wss://h:1/s",
            {"a": {"b": 1, "c": [True, "ü&"]}, "none": None},
            "wss://h:1/s/websocket?a%5Bb%5D=1&a%5Bc%5D%5B%5D=true&a%5Bc%5D%5B%5D=%C3%BC%26&vsn=2.0.0",
        ),
    ],
)
def test_the_address_of_a_socket(url: str, params: dict[str, Any], expected: str) -> None:
    assert socket_url(url, params, "2.0.0") == expected
