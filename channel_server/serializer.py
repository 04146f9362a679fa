"""The two wire formats of Phoenix: V1 (JSON objects) and V2 (JSON arrays and binary frames); pure.

A payload's type decides the frame: `bytes` make a binary frame, everything else a text frame.
`msgspec.Raw` values, also inside a payload, are JSON already and are embedded as they are.
Everything here is deterministic and keeps no state, so one instance serves all connections.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple, Protocol, TypeVar, cast

import msgspec

from channel_server.binary_frames import (
    decode_push,
    encode_broadcast,
    encode_push,
    encode_reply,
    is_binary,
)
from channel_server.errors import EncodeError, MalformedFrame
from channel_server.json_input import check_depth, is_shallow, repair_surrogates, too_deep
from channel_server.message import REPLY, Message

DEFAULT_JSON_DEPTH: Final = 64
_VSN = re.compile(r"([12])\.0\.(?:0|[1-9][0-9]*)")


class Encoded(NamedTuple):
    """One message as it goes on the wire.

    Attributes:
        binary: Whether it is a binary frame.
        data: The payload of the frame.
    """

    binary: bool
    data: bytes


_encode: Final = msgspec.json.Encoder().encode
_make: Final = cast(
    # Half the cost of calling Encoded().
    "Callable[[type[Encoded], tuple[bool, bytes]], Encoded]",
    tuple.__new__,  # pyright: ignore[reportUnknownMemberType] its stub is generic
)


def _text(value: object) -> Encoded:
    try:
        return _make(Encoded, (False, _encode(value)))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise EncodeError("payload", str(error)) from error


class Serializer(Protocol):
    """How messages look on the wire.

    Attributes:
        vsn: The version that names it, `"1.0.0"` or `"2.0.0"`.
    """

    @property
    def vsn(self) -> str:
        """The version that names this serializer."""
        ...

    def decode_text(self, data: bytes) -> Message:
        """Decode a text frame; raises MalformedFrame."""
        ...

    def decode_binary(self, data: bytes) -> Message:
        """Decode a binary frame; raises MalformedFrame."""
        ...

    def encode_push(self, join_ref: Any, topic: Any, event: str, payload: Any) -> Encoded:
        """Encode a message of a channel; raises EncodeError."""
        ...

    def encode_reply(
        self, join_ref: Any, ref: Any, topic: Any, status: str, response: Any
    ) -> Encoded:
        """Encode the answer to a message; raises EncodeError."""
        ...

    def encode_broadcast(self, topic: str, event: str, payload: Any) -> Encoded:
        """Encode a message to all subscribers of a topic; raises EncodeError."""
        ...

    def encode_control(self, join_ref: Any, topic: str, event: str, payload: Any) -> Encoded:
        """Encode `phx_close` or `phx_error`, whose ref is the raw join_ref."""
        ...


def negotiate(vsn: object, json_depth: int = DEFAULT_JSON_DEPTH) -> Serializer | None:
    """Choose the serializer for the `vsn` that a client asked for.

    Args:
        vsn: The request's parameter; None, when it is absent, means 1.0.0.
        json_depth: Deepest JSON to accept.

    Returns:
        V1 for 1.0.z, V2 for 2.0.z, None for anything else: refuse the connection.
    """
    if vsn is None:
        return _serializer("1", json_depth)
    match = _VSN.fullmatch(vsn) if isinstance(vsn, str) else None
    return None if match is None else _serializer(match.group(1), json_depth)


@cache
def _serializer(major: str, json_depth: int) -> Serializer:
    return V1(json_depth) if major == "1" else V2(json_depth)


def check_payload(payload: object) -> None:
    """Refuse a payload of a push or broadcast that is neither an object nor binary.

    Raises:
        EncodeError: For lists, strings, numbers, None and the like.
    """
    if not is_binary(payload):
        _object(payload)


def _object(payload: object) -> object:
    """The payload, if it encodes to a JSON object; clients cannot read anything else."""
    if type(payload) is dict:
        return cast("object", payload)
    raw = bytes(payload).lstrip() if isinstance(payload, msgspec.Raw) else _text(payload).data
    if not raw.startswith(b"{"):
        raise EncodeError("payload", f"must be an object or bytes, not {type(payload).__name__}")
    return msgspec.Raw(raw)


_COUNTED: Final = 16 * 1024
"""Bytes of a message up to which its brackets are counted before anything else."""

_Frame = TypeVar("_Frame", bound=msgspec.Struct)


def _decode(decoder: msgspec.json.Decoder[_Frame], data: bytes, depth: int) -> _Frame:
    try:
        frame = decoder.decode(data)
    except RecursionError:
        raise too_deep(depth) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        # What is too deep is told so, whatever else is wrong with it.
        check_depth(data, depth)
        frame = _decode_repaired(decoder, repair_surrogates(data))
    # To look at what was built costs a large message less than to look at its text.
    few = len(data) <= _COUNTED and data.count(b"[") + data.count(b"{") <= depth
    if not few and not is_shallow(list(msgspec.structs.astuple(frame)), depth):
        raise too_deep(depth)
    return frame


def _decode_repaired(decoder: msgspec.json.Decoder[_Frame], data: bytes) -> _Frame:
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise _misshapen(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedFrame(f"no JSON: {_brief(error)}", 1007, "json") from None


def _misshapen(error: msgspec.ValidationError) -> MalformedFrame:
    # Where in the message is as long as the nesting that the client chose.
    return MalformedFrame(str(error).partition(" - at ")[0], 1008, "shape")


def _brief(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    return str(error).removeprefix("JSON is malformed: ")


class V2:
    """Serializer 2.0.z: JSON arrays `[join_ref, ref, topic, event, payload]`, and binary frames.

    Args:
        json_depth: Deepest JSON to accept, the frame itself included.
    """

    __slots__ = ("_decoder", "json_depth")

    @property
    def vsn(self) -> str:
        """Version that names this serializer."""
        return "2.0.0"

    def __init__(self, json_depth: int = DEFAULT_JSON_DEPTH) -> None:
        self.json_depth = json_depth
        self._decoder = msgspec.json.Decoder(Message)

    def decode_text(self, data: bytes) -> Message:
        """Decode `[join_ref, ref, topic, event, payload]`; further elements are ignored.

        Raises:
            MalformedFrame: 1007 for what is no JSON, 1008 for another shape or too deep nesting.
        """
        return _decode(self._decoder, data, self.json_depth)

    def decode_binary(self, data: bytes) -> Message:
        """Decode a binary push; an empty join_ref or ref is None.

        Raises:
            MalformedFrame: 1003 for an unknown kind, 1008 for a truncated frame, 1007 for text
                that is not UTF-8.
        """
        return decode_push(data)

    def encode_push(self, join_ref: Any, topic: Any, event: str, payload: Any) -> Encoded:
        """Encode a message of a channel; raises EncodeError."""
        if is_binary(payload):
            return Encoded(True, encode_push(join_ref, topic, event, payload))
        return _text((join_ref, None, topic, event, _object(payload)))

    def encode_reply(
        self, join_ref: Any, ref: Any, topic: Any, status: str, response: Any
    ) -> Encoded:
        """Encode the answer to a message; raises EncodeError."""
        if is_binary(response):
            return Encoded(True, encode_reply(join_ref, ref, topic, status, response))
        return _text((join_ref, ref, topic, REPLY, {"response": response, "status": status}))

    def encode_broadcast(self, topic: str, event: str, payload: Any) -> Encoded:
        """Encode a message to all subscribers of a topic; raises EncodeError."""
        if is_binary(payload):
            return Encoded(True, encode_broadcast(topic, event, payload))
        return _text((None, None, topic, event, _object(payload)))

    def encode_control(self, join_ref: Any, topic: str, event: str, payload: Any) -> Encoded:
        """Encode `phx_close` or `phx_error`; join_ref and ref are both the raw join_ref."""
        return _text((join_ref, join_ref, topic, event, payload))


class _V1Frame(msgspec.Struct, frozen=True, gc=False):
    topic: Any
    event: Any
    payload: Any
    ref: Any
    join_ref: Any = None


class V1:
    """Serializer 1.0.z: JSON objects `{topic, event, payload, ref}`, without join_ref on output.

    Args:
        json_depth: Deepest JSON to accept, the frame itself included.
    """

    __slots__ = ("_decoder", "json_depth")

    @property
    def vsn(self) -> str:
        """Version that names this serializer."""
        return "1.0.0"

    def __init__(self, json_depth: int = DEFAULT_JSON_DEPTH) -> None:
        self.json_depth = json_depth
        self._decoder = msgspec.json.Decoder(_V1Frame)

    def decode_text(self, data: bytes) -> Message:
        """Decode an object with at least topic, event, payload and ref.

        Raises:
            MalformedFrame: 1007 for what is no JSON, 1008 for another shape or too deep nesting.
        """
        frame = _decode(self._decoder, data, self.json_depth)
        return Message(frame.join_ref, frame.ref, frame.topic, frame.event, frame.payload)

    def decode_binary(self, data: bytes) -> Message:
        """Decode JSON text that came in a binary frame, as Phoenix does.

        Raises:
            MalformedFrame: 1003 if it is anything else: V1 has no binary messages.
        """
        try:
            return self.decode_text(data)
        except MalformedFrame as error:
            if error.close_code != 1007:
                raise
            reason = "binary frame, but serializer 1.0.0 has text only"
            raise MalformedFrame(reason, 1003, "binary") from None

    def encode_push(self, join_ref: Any, topic: Any, event: str, payload: Any) -> Encoded:
        """Encode a message of a channel; raises EncodeError, for binary payloads too."""
        return self._encode(topic, event, _v1_payload(payload), None)

    def encode_reply(
        self, join_ref: Any, ref: Any, topic: Any, status: str, response: Any
    ) -> Encoded:
        """Encode the answer to a message; raises EncodeError, for binary responses too."""
        if is_binary(response):
            raise _no_binary()
        return self._encode(topic, REPLY, {"response": response, "status": status}, ref)

    def encode_broadcast(self, topic: str, event: str, payload: Any) -> Encoded:
        """Encode a message to all subscribers of a topic; raises EncodeError."""
        return self._encode(topic, event, _v1_payload(payload), None)

    def encode_control(self, join_ref: Any, topic: str, event: str, payload: Any) -> Encoded:
        """Encode `phx_close` or `phx_error`; ref is the raw join_ref, hence usually null."""
        return self._encode(topic, event, payload, join_ref)

    def _encode(self, topic: Any, event: str, payload: Any, ref: Any) -> Encoded:
        return _text({"topic": topic, "event": event, "payload": payload, "ref": ref})


def _v1_payload(payload: object) -> object:
    if is_binary(payload):
        raise _no_binary()
    return _object(payload)


def _no_binary() -> EncodeError:
    return EncodeError("payload", "binary, but serializer 1.0.0 has text only")
