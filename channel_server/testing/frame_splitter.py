"""Finds the messages in one direction of a websocket connection, head of the HTTP request included.

For a proxy that repeats whole messages. Bytes pass as they come; only where a message ends in them
is of interest.
"""

from collections.abc import Iterator
from typing import Final

_HEAD_END: Final = b"\r\n\r\n"


class FrameSplitter:
    """The messages of one direction of one connection; it must be given every byte of it."""

    def __init__(self) -> None:
        self._open = False
        self._held = bytearray()  # of what has begun: the head, or the message so far
        self._frame = 0  # where in it the current frame begins

    def split(self, chunk: bytes) -> Iterator[tuple[bytes, bytes | None]]:
        """Cut a chunk where messages end.

        Yields:
            A part, and the whole message of data that ends with it, frames and masks and all; None
            if none does.
        """
        position = 0
        while position < len(chunk):
            start = position
            position, message = self._take(chunk, position)
            yield chunk[start:position], message

    def _take(self, chunk: bytes, position: int) -> tuple[int, bytes | None]:
        before = len(self._held)
        self._held += chunk[position:]
        end = self._end()
        if end is None:
            return len(chunk), None
        message = self._complete(end)
        return position + end - before, message

    def _end(self) -> int | None:
        """Where the current head or frame ends, once it is all here."""
        held = self._held
        if not self._open:
            found = held.find(_HEAD_END)
            return None if found < 0 else found + len(_HEAD_END)
        start = self._frame
        if len(held) < start + 2:
            return None
        length = held[start + 1] & 0x7F
        extra = {126: 2, 127: 8}.get(length, 0)
        head = start + 2 + extra
        if len(held) < head:
            return None
        if extra:
            length = int.from_bytes(held[start + 2 : head])
        end = head + (4 if held[start + 1] & 0x80 else 0) + length
        return end if len(held) >= end else None

    def _complete(self, end: int) -> bytes | None:
        if not self._open:
            self._open = True
            self._held.clear()
            return None
        first = self._held[self._frame]
        control, final = bool(first & 0x08), bool(first & 0x80)
        if control:
            # It may come between the fragments of a message, and is no part of it.
            del self._held[self._frame :]
            return None
        del self._held[end:]
        if not final:
            self._frame = end
            return None
        message = bytes(self._held)
        self._held.clear()
        self._frame = 0
        return message
