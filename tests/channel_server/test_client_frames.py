"""The client's half of the wire format, against the server's half."""

import json
from typing import Any

import pytest

from channel_server.client_frames import V1, V2, Frame, FrameError, decode, encode
from channel_server.serializer import Serializer, negotiate


def server(vsn: str) -> Serializer:
    serializer = negotiate(vsn)
    assert serializer is not None
    return serializer


@pytest.mark.parametrize("vsn", [V1, V2])
@pytest.mark.parametrize("payload", [{}, {"a": [1, "é☃😀"]}, None, "text", [1], 7])
def test_the_server_reads_what_the_client_writes(vsn: str, payload: Any) -> None:
    data = encode(Frame("1", "2", "room:1", "echo", payload), vsn)
    assert isinstance(data, str)
    message = server(vsn).decode_text(data.encode())
    assert (message.join_ref, message.ref, message.topic) == ("1", "2", "room:1")
    assert (message.event, message.payload) == ("echo", payload)


def test_the_server_reads_what_the_client_writes_in_binary() -> None:
    data = encode(Frame("12", "123", "room:bin", "bin", b"\x01\x02"))
    assert isinstance(data, bytes)
    assert data == b"\x00\x02\x03\x08\x0312123room:binbin\x01\x02"
    assert server(V2).decode_binary(data).payload == b"\x01\x02"
    empty = encode(Frame(None, None, "t", "e", b""))
    assert isinstance(empty, bytes)
    message = server(V2).decode_binary(empty)
    assert (message.join_ref, message.ref) == (None, None)


@pytest.mark.parametrize("vsn", [V1, V2])
def test_the_client_reads_what_the_server_writes(vsn: str) -> None:
    writer = server(vsn)
    join_ref = None if vsn == V1 else "1"
    reply = decode(writer.encode_reply("1", "2", "room:1", "ok", {"a": 1}).data.decode(), vsn)
    assert reply == (
        join_ref, "2", "room:1", "phx_reply", {"status": "ok", "response": {"a": 1}}
    )  # fmt: skip
    push = decode(writer.encode_push("1", "room:1", "said", {"a": 1}).data.decode(), vsn)
    assert push == (join_ref, None, "room:1", "said", {"a": 1})


def test_the_client_reads_what_the_server_writes_in_binary() -> None:
    writer = server(V2)
    assert decode(writer.encode_push("12", "room:bin", "bin_push", b"\x00\x01").data) == (
        "12", None, "room:bin", "bin_push", b"\x00\x01"
    )  # fmt: skip
    assert decode(writer.encode_reply("12", "123", "room:bin", "ok", b"\x09").data) == (
        "12", "123", "room:bin", "phx_reply", {"status": "ok", "response": b"\x09"}
    )  # fmt: skip
    assert decode(writer.encode_broadcast("room:bin", "b", b"").data) == (
        None, None, "room:bin", "b", b""
    )  # fmt: skip


def test_a_lone_surrogate_is_escaped() -> None:
    data = encode(Frame(None, "1", "t", "e", {"m": "a\ud800"}))
    assert isinstance(data, str)
    assert r"\ud800" in data
    assert json.loads(data)[4] == {"m": "a\ud800"}


def test_v1_has_no_binary_frames() -> None:
    with pytest.raises(FrameError, match="no binary"):
        encode(Frame(None, "1", "t", "e", b""), V1)


def test_a_field_of_a_binary_frame_is_at_most_255_bytes() -> None:
    assert encode(Frame(None, "1", "t" * 255, "e", b""))
    with pytest.raises(FrameError, match="255"):
        encode(Frame(None, "1", "é" * 128, "e", b""))


@pytest.mark.parametrize(
    ("data", "vsn"),
    [
        ("nonsense", V2),
        ("{}", V2),
        ("[1,2,3,4]", V2),
        ("[1,2,3,4,5,6]", V2),
        ("[]", V1),
        ('{"topic":"t","event":"e","payload":{}}', V1),
        (b"", V2),
        (b"\x07", V2),
        (b"\x00", V2),
        (b"\x00\x01\x01\x01abc"[:6], V2),
        (b"\x02\x01\x01\xff\xff", V2),
    ],
)
def test_what_is_no_frame_is_refused(data: str | bytes, vsn: str) -> None:
    with pytest.raises(FrameError):
        decode(data, vsn)
