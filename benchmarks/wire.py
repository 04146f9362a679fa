"""A websocket client that costs next to nothing, so that the server is what is measured.

It talks over blocking sockets while it connects, and over `epoll` afterwards. Frames are masked
with zeros, which makes them constants; replies are counted by their length.
"""

import base64
import os
import socket
from typing import Final

import msgspec

HANDSHAKE_END: Final = b"\r\n\r\n"
READ: Final = 1 << 18


class PeerError(Exception):
    """The server did not do what a benchmark relies on."""


def frame(payload: bytes) -> bytes:
    """A text frame as a client sends it."""
    size = len(payload)
    if size < 126:
        head = bytes((0x81, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((0x81, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x81, 0xFF)) + size.to_bytes(8, "big")
    return head + bytes(4) + payload


def text(*parts: object) -> bytes:
    """The frame of one V2 message."""
    return frame(msgspec.json.encode(parts))


class Peer:
    """One connection.

    Args:
        port: Where the server listens on loopback.
        path: Request path with query.
    """

    __slots__ = ("_buffer", "sock")

    def __init__(self, port: int, path: str) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        while HANDSHAKE_END not in self._buffer:
            self._read()
        head, self._buffer = self._buffer.split(HANDSHAKE_END, 1)
        if b" 101 " not in head:
            raise PeerError(head.decode(errors="replace"))

    def _read(self) -> None:
        data = self.sock.recv(READ)
        if not data:
            raise PeerError("the server closed the connection")
        self._buffer += data

    def send(self, *parts: object) -> None:
        """Send one message and wait until the kernel has it."""
        self.sock.sendall(text(*parts))

    def receive(self) -> tuple[bytes, int]:
        """Wait for one frame.

        Returns:
            Its payload, and its length with the header.
        """
        while True:
            found = split(self._buffer)
            if found is not None:
                payload, used = found
                self._buffer = self._buffer[used:]
                return payload, used
            self._read()

    def call(self, *parts: object) -> object:
        """Send a message and wait for its reply, which must be ok; other frames are skipped."""
        self.send(*parts)
        while True:
            _, ref, _, event, body = msgspec.json.decode(self.receive()[0])
            if event == "phx_reply" and ref == parts[1]:
                if body["status"] != "ok":
                    raise PeerError(str(body))
                return body["response"]

    def join(self, topic: str, payload: object | None = None) -> object:
        """Join a topic."""
        return self.call("1", "1", topic, "phx_join", {} if payload is None else payload)

    def close(self) -> None:
        """Close the connection."""
        self.sock.close()


def split(buffer: bytes) -> tuple[bytes, int] | None:
    """The first frame of a buffer: its payload and how long it is, or None if it is not whole."""
    if len(buffer) < 2:
        return None
    size, start = buffer[1], 2
    if size == 126:
        size, start = int.from_bytes(buffer[2:4], "big"), 4
    elif size == 127:
        size, start = int.from_bytes(buffer[2:10], "big"), 10
    if len(buffer) < start + size:
        return None
    return buffer[start : start + size], start + size
