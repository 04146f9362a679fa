"""Frames as a client writes and reads them, for both serializers; pure.

The server's own side of the wire format is `channel_server.serializer`. The two sides differ in
the binary layouts (a client's push carries a ref, a server's does not) and in what may be absent,
so a client needs its own half.
"""

import json
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, cast

import msgspec

from channel_server.message import REPLY

V1 = "1.0.0"
V2 = "2.0.0"

_PUSH, _REPLY, _BROADCAST = 0, 1, 2
_V1_KEYS = ("topic", "event", "payload", "ref")


class Frame(NamedTuple):
    """One message, in either direction.

    Attributes:
        join_ref: Which join of the topic it belongs to; always None in V1 frames of a server.
        ref: What a reply answers; None in pushes and broadcasts of a server.
        topic: The topic.
        event: The event, `phx_reply` for replies.
        payload: Any JSON value, or `bytes` for a binary push or broadcast. A binary reply is
            `{"status": str, "response": bytes}`.
    """

    join_ref: Any
    ref: Any
    topic: Any
    event: Any
    payload: Any


class Observer(Protocol):
    """Sees what a client sends and receives, e.g. to record it. Must not block or raise."""

    def opened(self) -> None:
        """There is a new connection."""
        ...

    def sent(self, frame: Frame) -> None:
        """A frame was sent."""
        ...

    def received(self, frame: Frame) -> None:
        """A frame came."""
        ...

    def closing(self, code: int) -> None:
        """The client closes the connection; 1006 drops it."""
        ...

    def closed(self, code: int) -> None:
        """The connection is gone."""
        ...


class FrameError(ValueError):
    """What the server sent is no Phoenix frame.

    Attributes:
        reason: What is wrong with it, in words.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def encode(frame: Frame, vsn: str = V2) -> str | bytes:
    """Encode what a client sends.

    Args:
        frame: The message. A `bytes` payload makes a binary frame, anything else a text frame.
        vsn: `"2.0.0"` or `"1.0.0"`.

    Returns:
        A `str` for a text frame, `bytes` for a binary one.

    Raises:
        FrameError: The payload is binary and the serializer is V1, or a field of a binary frame
            is longer than 255 bytes.
        TypeError: The payload is no JSON value.
    """
    payload: Any = frame.payload
    if isinstance(payload, bytes | bytearray | memoryview):
        if vsn == V1:
            raise FrameError("V1 has no binary frames")
        return _encode_binary(frame, bytes(cast("bytes", payload)))
    if vsn == V1:
        body: Any = {name: getattr(frame, name) for name in _V1_KEYS}
        if frame.join_ref is not None:
            body["join_ref"] = frame.join_ref
        return dump(body)
    return dump(list(frame))


def decode(data: str | bytes, vsn: str = V2) -> Frame:
    """Decode what a server sent.

    Args:
        data: A text frame as `str`, a binary frame as `bytes`.
        vsn: `"2.0.0"` or `"1.0.0"`.

    Raises:
        FrameError: It is no Phoenix frame of this serializer.
    """
    if isinstance(data, bytes) and vsn != V1:
        return _decode_binary(data)
    try:
        value = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise FrameError(f"not JSON: {error}") from error
    return _from_v1(value) if vsn == V1 else _from_v2(value)


def dump(value: Any) -> str:
    r"""Write JSON text; lone surrogates, which UTF-8 cannot hold, become `\ud800` escapes."""
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))


def _from_v2(value: Any) -> Frame:
    if not isinstance(value, list):
        raise FrameError("a V2 frame is an array of five")
    fields = cast("list[Any]", value)
    if len(fields) != len(Frame._fields):
        raise FrameError(f"a V2 frame is an array of five, this one has {len(fields)}")
    return Frame(*fields)


def _from_v1(value: Any) -> Frame:
    if not isinstance(value, dict):
        raise FrameError("a V1 frame is an object")
    fields = cast("dict[str, Any]", value)
    missing = [name for name in _V1_KEYS if name not in fields]
    if missing:
        raise FrameError(f"a V1 frame without {', '.join(missing)}")
    return Frame(
        fields.get("join_ref"), fields["ref"], fields["topic"], fields["event"], fields["payload"]
    )


def _encode_binary(frame: Frame, payload: bytes) -> bytes:
    fields = [
        "" if value is None else str(value)
        for value in (frame.join_ref, frame.ref, frame.topic, frame.event)
    ]
    encoded = [field.encode() for field in fields]
    if any(len(field) > 255 for field in encoded):
        raise FrameError("a field of a binary frame has at most 255 bytes")
    return bytes([_PUSH, *map(len, encoded)]) + b"".join(encoded) + payload


def _decode_binary(data: bytes) -> Frame:
    reader = _READERS.get(data[0]) if data else None
    if reader is None:
        raise FrameError(f"a binary frame of unknown kind: {data[:1].hex() or 'empty'}")
    try:
        return reader(data)
    except (IndexError, UnicodeDecodeError) as error:
        raise FrameError(f"a broken binary frame: {error}") from error


def _read_push(data: bytes) -> Frame:
    (join_ref, topic, event), payload = _split(data, 3)
    return Frame(join_ref or None, None, topic, event, payload)


def _read_reply(data: bytes) -> Frame:
    (join_ref, ref, topic, status), payload = _split(data, 4)
    return Frame(
        join_ref or None, ref or None, topic, REPLY, {"status": status, "response": payload}
    )


def _read_broadcast(data: bytes) -> Frame:
    (topic, event), payload = _split(data, 2)
    return Frame(None, None, topic, event, payload)


def _split(data: bytes, count: int) -> tuple[list[str], bytes]:
    fields: list[str] = []
    offset = 1 + count
    for length in data[1:offset]:
        fields.append(data[offset : offset + length].decode())
        offset += length
    if len(fields) < count or offset > len(data):
        raise IndexError("it ends too early")
    return fields, data[offset:]


_READERS: dict[int, Callable[[bytes], Frame]] = {
    _PUSH: _read_push,
    _REPLY: _read_reply,
    _BROADCAST: _read_broadcast,
}
