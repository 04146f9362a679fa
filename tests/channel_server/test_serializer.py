"""The wire format: phoenix-protocol sections 1.2, 2.1, 2.3 and 2.4."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from channel_server.errors import EncodeError, MalformedFrame
from channel_server.message import Message
from channel_server.serializer import V1, V2, Encoded, Serializer, check_payload, negotiate

V1_FRAME: dict[str, Any] = {"topic": "t", "event": "e", "payload": {}, "ref": "1"}

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc"), inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(st.text("abc"), json_values, max_size=4)


def text(encoded: Encoded) -> Any:
    assert not encoded.binary
    return json.loads(encoded.data)


@pytest.mark.parametrize("vsn", ["2.0.0", "2.0.5", "2.0.12"])
def test_any_2_0_z_is_v2(vsn: str) -> None:
    assert isinstance(negotiate(vsn), V2)


@pytest.mark.parametrize("vsn", [None, "1.0.0", "1.0.9"])
def test_absent_vsn_and_any_1_0_z_are_v1(vsn: str | None) -> None:
    assert isinstance(negotiate(vsn), V1)


@pytest.mark.parametrize(
    "vsn",
    [
        "2.1.0",
        "2.0",
        "2",
        "abc",
        "",
        "123.1.1",
        "2.0.0-dev",
        "2.0.00",
        " 2.0.0",
        "2.0.0\n",
        "2.0.\u0660",
        ["2.0.0"],
        {"a": "2.0.0"},
        2,
    ],
)
def test_other_vsn_are_refused(vsn: object) -> None:
    assert negotiate(vsn) is None


def test_one_instance_serves_all_connections_of_a_depth() -> None:
    assert negotiate("2.0.0") is negotiate("2.0.1")
    assert negotiate("2.0.0", 64) is not negotiate("2.0.0", 32)


def test_v2_reads_an_array() -> None:
    message = V2().decode_text(b'["1","2","room:1","shout",{"body":"hi"}]')
    assert message == Message("1", "2", "room:1", "shout", {"body": "hi"})


def test_v2_ignores_elements_past_the_fifth() -> None:
    assert V2().decode_text(b'[null,1,"t","e",{},6,[7]]').payload == {}


@pytest.mark.parametrize("ref", ["1", 1, None, 2**80, -1.5, True, {"a": [1]}, [], ""], ids=repr)
def test_refs_of_any_type_are_echoed_verbatim(ref: object) -> None:
    message = V2().decode_text(msgspec.json.encode([ref, ref, "t", "e", {}]))
    reply = V2().encode_reply(message.join_ref, message.ref, "t", "ok", {})
    assert text(reply)[:2] == [ref, ref]
    assert type(text(reply)[1]) is type(ref)


@pytest.mark.parametrize("payload", ["text", 1, None, [1], {}, False])
def test_any_json_payload_is_handed_on_as_it_is(payload: object) -> None:
    data = msgspec.json.encode([None, None, "t", "e", payload])
    assert V2().decode_text(data).payload == payload


@pytest.mark.parametrize("topic", [1, None, [], {}])
def test_topic_and_event_of_any_type_are_not_malformed(topic: object) -> None:
    message = V2().decode_text(msgspec.json.encode([None, None, topic, topic, {}]))
    assert (message.topic, message.event) == (topic, topic)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", 1007),
        (b"nope", 1007),
        (b"NaN", 1007),
        (b"[NaN,1,2,3,4]", 1007),
        (b'["1","2","t","e",{}', 1007),
        (b'["1","2","t","e",{}] x', 1007),
        (b'["1","2","t","e","\xff"]', 1007),
        (b'["1","2","t\xff","e",{}]', 1007),
        (b'\xef\xbb\xbf["1","2","t","e",{}]', 1007),
        (b'["1","2","t","e","\\ud800', 1007),
        (b"12", 1008),
        (b"null", 1008),
        (b'"text"', 1008),
        (b"{}", 1008),
        (b"[]", 1008),
        (b'["1","2","t","e"]', 1008),
        (b'["\\ud800","2","t","e"]', 1008),
        (b'[1e999,"2","t","e",{}]', 1008),
        (b'[null,"2","t","e",' + b"[" * 64 + b"]" * 64 + b"]", 1008),
        (b"[" * 100_000, 1008),
        (b"[" * 50_000 + b"]" * 50_000, 1008),
    ],
)
def test_v2_refuses_malformed_text_with_a_precise_code(data: bytes, code: int) -> None:
    with pytest.raises(MalformedFrame) as caught:
        V2().decode_text(data)
    assert caught.value.close_code == code
    assert caught.value.reason in str(caught.value)


def test_recursion_of_the_decoder_is_refused_like_depth() -> None:
    with pytest.raises(MalformedFrame) as caught:
        V2(json_depth=1_000_000).decode_text(b"[" * 50_000 + b"]" * 50_000)
    assert caught.value.kind == "json_depth"


def test_lone_surrogates_become_replacement_characters() -> None:
    message = V2().decode_text(rb'["1","2","t","e",{"log":"a\ud800b\ud83d\ude00\udc00"}]')
    assert message.payload == {"log": "a\ufffdb\U0001f600\ufffd"}


def test_nul_characters_are_accepted() -> None:
    assert V2().decode_text(rb'["1","2","t","e","\u0000"]').payload == "\0"


def test_v2_reply() -> None:
    reply = V2().encode_reply("1", "2", "t", "ok", {"a": 1})
    assert text(reply) == ["1", "2", "t", "phx_reply", {"status": "ok", "response": {"a": 1}}]


@pytest.mark.parametrize("response", ["text", 1, None, [1], {}, False])
def test_a_response_may_be_any_json_value(response: object) -> None:
    for serializer in (V1(), V2()):
        body = text(serializer.encode_reply("1", "2", "t", "ok", response))
        payload = body["payload"] if serializer.vsn == "1.0.0" else body[4]
        assert payload == {"status": "ok", "response": response}


def test_v2_push_has_join_ref_and_no_ref() -> None:
    assert text(V2().encode_push("1", "t", "e", {"a": 1})) == ["1", None, "t", "e", {"a": 1}]


def test_v2_broadcast_has_neither() -> None:
    assert text(V2().encode_broadcast("t", "e", {})) == [None, None, "t", "e", {}]


def test_v2_control_frames_carry_the_join_ref_twice() -> None:
    assert text(V2().encode_control("1", "t", "phx_close", {})) == ["1", "1", "t", "phx_close", {}]


def test_non_ascii_is_raw_utf8() -> None:
    assert "é😀".encode() in V2().encode_push("1", "t", "e", {"x": "é😀"}).data


def test_raw_json_is_embedded_as_it_is() -> None:
    raw = msgspec.Raw(b' {"b": 1,  "a": 2}')
    assert b'{"b": 1,  "a": 2}' in V2().encode_broadcast("t", "e", raw).data
    assert b'[{"b": 1}]' in V2().encode_push("1", "t", "e", {"x": [msgspec.Raw(b'{"b": 1}')]}).data


class _Point(msgspec.Struct):
    x: int


@pytest.mark.parametrize("serializer", [V1(), V2()], ids=["v1", "v2"])
def test_structs_are_objects(serializer: Serializer) -> None:
    assert b'{"x":1}' in serializer.encode_push("1", "t", "e", _Point(1)).data


@pytest.mark.parametrize("serializer", [V1(), V2()], ids=["v1", "v2"])
@pytest.mark.parametrize(
    "payload",
    [None, "text", 1, [], [{}], msgspec.Raw(b"[]"), {"x": object()}, {"x": "\ud800"}, {(1, 2): 3}],
)
def test_push_and_broadcast_payloads_must_be_objects(
    serializer: Serializer, payload: object
) -> None:
    with pytest.raises(EncodeError) as caught:
        serializer.encode_push("1", "t", "e", payload)
    with pytest.raises(EncodeError):
        serializer.encode_broadcast("t", "e", payload)
    assert caught.value.field == "payload"
    assert not caught.value.by_client


def test_a_cyclic_payload_is_refused() -> None:
    payload: dict[str, Any] = {}
    payload["self"] = payload
    with pytest.raises(EncodeError):
        V2().encode_push("1", "t", "e", payload)


def test_check_payload_takes_what_can_be_broadcast() -> None:
    goods: tuple[object, ...] = ({}, b"", _Point(1), msgspec.Raw(b"{}"))
    for good in goods:
        check_payload(good)
    with pytest.raises(EncodeError):
        check_payload([])


def test_v1_reads_an_object_with_optional_join_ref() -> None:
    assert V1().decode_text(msgspec.json.encode(V1_FRAME)) == Message(None, "1", "t", "e", {})
    joined = V1().decode_text(msgspec.json.encode({**V1_FRAME, "join_ref": "7", "more": 1}))
    assert joined.join_ref == "7"


@pytest.mark.parametrize("key", ["topic", "event", "payload", "ref"])
def test_v1_requires_four_keys_whose_values_may_be_null(key: str) -> None:
    assert getattr(V1().decode_text(msgspec.json.encode({**V1_FRAME, key: None})), key) is None
    missing = {name: value for name, value in V1_FRAME.items() if name != key}
    with pytest.raises(MalformedFrame) as caught:
        V1().decode_text(msgspec.json.encode(missing))
    assert caught.value.close_code == 1008


def test_v1_refuses_arrays() -> None:
    with pytest.raises(MalformedFrame) as caught:
        V1().decode_text(b'["1","2","t","e",{}]')
    assert caught.value.close_code == 1008


def test_v1_output_has_exactly_four_keys_ref_included() -> None:
    keys = {"topic", "event", "payload", "ref"}
    for encoded in (
        V1().encode_push("1", "t", "e", {}),
        V1().encode_broadcast("t", "e", {}),
        V1().encode_reply("1", "2", "t", "ok", {}),
        V1().encode_control(None, "t", "phx_close", {}),
    ):
        assert set(text(encoded)) == keys
    assert text(V1().encode_push("1", "t", "e", {}))["ref"] is None
    assert text(V1().encode_reply("1", "2", "t", "ok", {}))["ref"] == "2"


def test_v1_control_frames_carry_the_join_ref_as_ref() -> None:
    assert text(V1().encode_control("9", "t", "phx_close", {}))["ref"] == "9"


def test_v1_reads_json_text_from_a_binary_frame() -> None:
    assert V1().decode_binary(msgspec.json.encode(V1_FRAME)).topic == "t"


@pytest.mark.parametrize(("data", "code"), [(b"\0\1\2", 1003), (b"", 1003), (b"[]", 1008)])
def test_v1_refuses_other_binary_frames(data: bytes, code: int) -> None:
    with pytest.raises(MalformedFrame) as caught:
        V1().decode_binary(data)
    assert caught.value.close_code == code


def test_v1_has_no_binary_output() -> None:
    for encode in (
        lambda: V1().encode_push("1", "t", "e", b"x"),
        lambda: V1().encode_broadcast("t", "e", b"x"),
        lambda: V1().encode_reply("1", "2", "t", "ok", b"x"),
    ):
        with pytest.raises(EncodeError):
            encode()


def test_serializers_name_their_version() -> None:
    assert (V1().vsn, V2().vsn) == ("1.0.0", "2.0.0")


@given(json_values, json_values, json_values, json_values, json_values)
def test_v2_reads_whatever_a_client_may_write(
    join_ref: Any, ref: Any, topic: Any, event: Any, payload: Any
) -> None:
    data = json.dumps([join_ref, ref, topic, event, payload], ensure_ascii=False).encode()
    assert V2().decode_text(data) == Message(join_ref, ref, topic, event, payload)


@given(json_values, json_values, st.text("abc:"), json_values)
def test_both_serializers_answer_with_the_same_reply(
    join_ref: Any, ref: Any, status: str, response: Any
) -> None:
    v1 = text(V1().encode_reply(join_ref, ref, "t", status, response))
    v2 = text(V2().encode_reply(join_ref, ref, "t", status, response))
    assert v2 == [join_ref, ref, v1["topic"], v1["event"], v1["payload"]]
    assert v1["ref"] == ref


@given(objects)
def test_pushes_round_trip(payload: dict[str, Any]) -> None:
    assert text(V2().encode_push("1", "t", "e", payload))[4] == payload
    assert text(V1().encode_push("1", "t", "e", payload))["payload"] == payload


@given(st.binary() | st.text('[]{}",:\\u0d8 1').map(str.encode))
def test_decoders_give_a_message_or_a_malformed_frame(data: bytes) -> None:
    decoders = (V1().decode_text, V1().decode_binary, V2().decode_text, V2().decode_binary)
    for decode in decoders:
        try:
            message = decode(data)
        except MalformedFrame as error:
            assert error.close_code in {1003, 1007, 1008}  # noqa: PT017 - either is right
        else:
            assert type(message) is Message
