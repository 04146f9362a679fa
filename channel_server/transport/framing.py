"""Frames of the server: never masked, never fragmented, so their bytes fit every client."""

from struct import Struct
from typing import Final

TEXT: Final = 0x81
BINARY: Final = 0x82

_SHORT: Final = tuple(bytes((TEXT, length)) for length in range(126))
_SHORT_BINARY: Final = tuple(bytes((BINARY, length)) for length in range(126))
_MEDIUM: Final = Struct("!BBH").pack
_LONG: Final = Struct("!BBQ").pack


def frame(data: bytes, binary: bool) -> bytes:
    """The whole frame of one message."""
    size = len(data)
    if size < 126:
        return (_SHORT_BINARY[size] if binary else _SHORT[size]) + data
    head = BINARY if binary else TEXT
    if size < 65536:
        return _MEDIUM(head, 126, size) + data
    return _LONG(head, 127, size) + data
