"""The binary frames of serializer V2; pure.

All lengths are one unsigned byte, all strings UTF-8, and the data is the rest of the frame::

    client push   0 | len join_ref | len ref | len topic | len event  | ... | data
    server push   0 | len join_ref | len topic | len event            | ... | data
    reply         1 | len join_ref | len ref | len topic | len status | ... | data
    broadcast     2 | len topic | len event                           | ... | data
"""

from typing import Any, Final, TypeAlias, TypeGuard

import msgspec

from channel_server.errors import EncodeError, EncodeField, MalformedFrame
from channel_server.message import Message

PUSH: Final = 0
REPLY: Final = 1
BROADCAST: Final = 2
MAX_FIELD_BYTES: Final = 255
Data: TypeAlias = "bytes | bytearray | memoryview[int]"
_HEADER_BYTES: Final = 5


def is_binary(value: object) -> TypeGuard[Data]:
    """Whether a payload travels in a binary frame: `bytes`, `bytearray` or `memoryview`."""
    return isinstance(value, bytes | bytearray | memoryview)


def decode_push(data: bytes) -> Message:
    """Decode a client's push; absent refs have length 0 and are None.

    Raises:
        MalformedFrame: 1003 for an unknown kind, 1008 for a truncated frame, 1007 for text that is
            not UTF-8.
    """
    if data and data[0] != PUSH:
        raise MalformedFrame(f"binary frame of unknown kind {data[0]}", 1003, "binary")
    if len(data) < _HEADER_BYTES:
        raise _truncated()
    join_ref_end = _HEADER_BYTES + data[1]
    ref_end = join_ref_end + data[2]
    topic_end = ref_end + data[3]
    event_end = topic_end + data[4]
    if len(data) < event_end:
        raise _truncated()
    try:
        return Message(
            data[_HEADER_BYTES:join_ref_end].decode() or None,
            data[join_ref_end:ref_end].decode() or None,
            data[ref_end:topic_end].decode(),
            data[topic_end:event_end].decode(),
            bytes(data[event_end:]),
        )
    except UnicodeDecodeError:
        raise MalformedFrame("binary frame with text that is not UTF-8", 1007, "utf8") from None


def encode_push(join_ref: Any, topic: Any, event: str, data: Data) -> bytes:
    """Encode a server's push.

    Raises:
        EncodeError: A field is longer than 255 bytes.
    """
    return _frame(
        PUSH, (_ref("join_ref", join_ref), _ref("topic", topic), _str("event", event)), data
    )


def encode_reply(join_ref: Any, ref: Any, topic: Any, status: str, data: Data) -> bytes:
    """Encode a reply.

    Raises:
        EncodeError: A field is longer than 255 bytes.
    """
    fields = (
        _ref("join_ref", join_ref),
        _ref("ref", ref),
        _ref("topic", topic),
        _str("status", status),
    )
    return _frame(REPLY, fields, data)


def encode_broadcast(topic: str, event: str, data: Data) -> bytes:
    """Encode a broadcast.

    Raises:
        EncodeError: A field is longer than 255 bytes.
    """
    return _frame(BROADCAST, (_str("topic", topic), _str("event", event)), data)


def _frame(kind: int, fields: tuple[bytes, ...], data: Data) -> bytes:
    return b"".join((bytes((kind, *map(len, fields))), *fields, data))


def _ref(field: EncodeField, value: object) -> bytes:
    """A ref as text: clients choose its type, and only text fits into a binary frame."""
    if value is None:
        return b""
    if isinstance(value, str):
        return _str(field, value)
    return _bounded(field, msgspec.json.encode(value))


def _str(field: EncodeField, value: str) -> bytes:
    try:
        return _bounded(field, value.encode())
    except UnicodeEncodeError as error:
        raise EncodeError(field, str(error)) from None


def _bounded(field: EncodeField, value: bytes) -> bytes:
    if len(value) > MAX_FIELD_BYTES:
        raise EncodeError(field, f"{len(value)} bytes, more than {MAX_FIELD_BYTES}")
    return value


def _truncated() -> MalformedFrame:
    return MalformedFrame("truncated binary frame", 1008, "shape")
