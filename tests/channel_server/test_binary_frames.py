"""Binary frames: phoenix-protocol section 2.2, vectors included."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channel_server.binary_frames import decode_push, encode_broadcast, encode_push, encode_reply
from channel_server.errors import EncodeError, MalformedFrame
from channel_server.message import Message
from channel_server.serializer import V2, Encoded

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def test_vector_of_a_client_push() -> None:
    data = b"\x00\x02\x03\x08\x03" + b"12123room:binbin" + b"\x01\x02"
    assert decode_push(data) == Message("12", "123", "room:bin", "bin", b"\x01\x02")


def test_vector_of_a_reply() -> None:
    expected = b"\x01\x02\x03\x08\x02" + b"12123room:binok" + b"\x01\x02\x09"
    assert encode_reply("12", "123", "room:bin", "ok", b"\x01\x02\x09") == expected


def test_vector_of_a_server_push() -> None:
    expected = b"\x00\x02\x08\x08" + b"12room:binbin_push" + b"\x00\x01"
    assert encode_push("12", "room:bin", "bin_push", b"\x00\x01") == expected


def test_vector_of_a_broadcast() -> None:
    expected = b"\x02\x08\x09" + b"room:binbin_bcast" + b"\xff"
    assert encode_broadcast("room:bin", "bin_bcast", b"\xff") == expected


def test_empty_data_is_legal() -> None:
    assert decode_push(b"\x00\x00\x00\x01\x01te") == Message(None, None, "t", "e", b"")
    assert encode_broadcast("t", "e", b"") == b"\x02\x01\x01te"


def test_empty_refs_are_null_both_ways() -> None:
    message = decode_push(b"\x00\x00\x00\x01\x01te")
    assert (message.join_ref, message.ref) == (None, None)
    assert encode_reply(None, None, "t", "ok", b"") == b"\x01\x00\x00\x01\x02tok"


@pytest.mark.parametrize("event", ["phx_join", "heartbeat"])
def test_a_binary_frame_may_carry_any_event(event: str) -> None:
    data = bytes([0, 0, 0, 1, len(event)]) + b"t" + event.encode()
    assert decode_push(data).event == event


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", 1008),
        (b"\x00", 1008),
        (b"\x00\x00\x00\x00", 1008),
        (b"\x00\x01\x00\x00\x00", 1008),
        (b"\x00\x00\x00\x02\x02abc", 1008),
        (b"\x01\x00\x00\x00\x00", 1003),
        (b"\x02", 1003),
        (b"\xff\xff", 1003),
        (b"\x00\x00\x00\x01\x01\xffe", 1007),
    ],
)
def test_malformed_binary_frames_have_a_precise_code(data: bytes, code: int) -> None:
    with pytest.raises(MalformedFrame) as caught:
        V2().decode_binary(data)
    assert caught.value.close_code == code


def test_a_field_may_have_255_bytes_and_no_more() -> None:
    assert encode_broadcast("é" * 127 + "x", "e", b"")[1] == 255
    with pytest.raises(EncodeError) as caught:
        encode_broadcast("é" * 128, "e", b"")
    assert caught.value.field == "topic"
    assert "256 bytes" in str(caught.value)


def test_an_oversized_ref_is_the_clients_doing() -> None:
    with pytest.raises(EncodeError) as caught:
        encode_reply("1", "x" * 256, "t", "ok", b"")
    assert caught.value.by_client


def test_refs_that_are_no_text_become_text() -> None:
    assert encode_push(12, "t", "e", b"") == encode_push("12", "t", "e", b"")


def test_lone_surrogates_have_no_wire_format() -> None:
    with pytest.raises(EncodeError):
        encode_broadcast("t", "\ud800", b"")


@pytest.mark.parametrize("data", [b"x", bytearray(b"x"), memoryview(b"x")])
def test_the_type_of_the_payload_decides_the_kind_of_the_frame(
    data: bytes | bytearray | memoryview,
) -> None:
    assert V2().encode_push("1", "t", "e", data) == Encoded(True, b"\0\1\1\x011tex")
    assert V2().encode_broadcast("t", "e", data) == Encoded(True, b"\2\1\1tex")
    assert V2().encode_reply("1", "2", "t", "ok", data) == Encoded(True, b"\1\1\1\1\x0212tokx")


@given(names, names, names, names, st.binary())
def test_client_pushes_round_trip(
    join_ref: str, ref: str, topic: str, event: str, data: bytes
) -> None:
    fields = [value.encode() for value in (join_ref, ref, topic, event)]
    frame = bytes([0, *map(len, fields)]) + b"".join(fields) + data
    assert decode_push(frame) == Message(join_ref or None, ref or None, topic, event, data)
