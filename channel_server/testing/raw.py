"""A websocket client that does exactly what it is told, wrong things included.

For tests of what a server does on the wire. It neither answers pings nor closes by itself.
"""

import asyncio
import json
import os
import socket
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, cast

TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

_KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="

UPGRADE: Final[Mapping[str, str]] = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": _KEY,
    "Sec-WebSocket-Version": "13",
}
"""The headers of a valid upgrade request, besides `Host`."""


class Response(NamedTuple):
    """The response to a request; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: str


class RawFrame(NamedTuple):
    """A frame of the server, with its bytes as they came."""

    opcode: int
    payload: bytes
    fin: bool
    rsv1: bool
    raw: bytes

    @property
    def close_code(self) -> int:
        """The code of a close frame; 1005 if it has none."""
        return int.from_bytes(self.payload[:2]) if self.payload else 1005

    @property
    def reason(self) -> str:
        """The reason of a close frame."""
        return self.payload[2:].decode()


def make_frame(
    opcode: int,
    payload: bytes,
    *,
    fin: bool = True,
    masked: bool = True,
    rsv: int = 0,
    length: int | None = None,
) -> bytes:
    """The bytes of one frame.

    Args:
        opcode: 0 to 15.
        payload: Not masked yet.
        fin: Whether it is the last of its message.
        masked: Clients must mask; a server must refuse a client that does not.
        rsv: The three reserved bits.
        length: What the header says, if it should lie.
    """
    size = len(payload) if length is None else length
    head = bytearray([(0x80 if fin else 0) | rsv << 4 | opcode])
    mask_bit = 0x80 if masked else 0
    if size < 126:
        head.append(mask_bit | size)
    elif size < 65536:
        head += bytes([mask_bit | 126]) + size.to_bytes(2)
    else:
        head += bytes([mask_bit | 127]) + size.to_bytes(8)
    if not masked:
        return bytes(head) + payload
    mask = os.urandom(4)
    key = int.from_bytes((mask * (len(payload) // 4 + 1))[: len(payload)])
    body = (int.from_bytes(payload) ^ key).to_bytes(len(payload))
    return bytes(head) + mask + body


class RawClient:
    """One TCP connection to a server.

    Args:
        host: Of the server.
        port: Of the server.
        timeout: Seconds after which anything that waits raises TimeoutError.
        receive_buffer: Bytes that the kernel may hold for this client; the smaller, the sooner
            a server notices that it does not read. The system's default if None.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def __init__(
        self, host: str, port: int, *, timeout: float = 10.0, receive_buffer: int | None = None
    ) -> None:
        self._host = host
        self._port = port
        self._timeout = timeout
        self._receive_buffer = receive_buffer

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Connect by TCP."""
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        connection = socket.socket(family)
        connection.setblocking(False)
        if self._receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        await loop.sock_connect(connection, (self._host, self._port))
        self.reader, self.writer = await asyncio.open_connection(sock=connection, limit=2**16)

    def stop_reading(self) -> None:
        """Read nothing more, so that the kernel's buffers fill."""
        cast("asyncio.ReadTransport", self.writer.transport).pause_reading()

    def read_again(self) -> None:
        """Undo `stop_reading`."""
        cast("asyncio.ReadTransport", self.writer.transport).resume_reading()

    async def close(self) -> None:
        """Cut the connection, without a closing handshake."""
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except OSError:
            pass

    async def request(
        self,
        target: str,
        headers: Sequence[tuple[str, str]] = (),
        *,
        method: str = "GET",
    ) -> Response:
        """Send an HTTP request with exactly these headers and `Host`, and read the response."""
        lines = [f"{method} {target} HTTP/1.1"]
        if not any(name.lower() == "host" for name, _ in headers):
            lines.append(f"Host: {self._host}:{self._port}")
        lines += [f"{name}: {value}" for name, value in headers]
        self.writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
        return await self.response(head_only=method == "HEAD")

    async def upgrade(self, target: str, headers: Sequence[tuple[str, str]] = ()) -> Response:
        """Ask for a websocket."""
        return await self.request(target, [*UPGRADE.items(), *headers])

    async def response(self, *, head_only: bool = False) -> Response:
        """Read the response to a request."""
        async with asyncio.timeout(self._timeout):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines if line)
            }
            size = 0 if head_only else int(headers.get("content-length", "0"))
            body = await self.reader.readexactly(size)
        return Response(int(status.split()[1]), headers, body.decode())

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)

    def send(self, opcode: int, payload: bytes, **options: Any) -> None:
        """Send one frame; see `make_frame` for the options."""
        self.writer.write(make_frame(opcode, payload, **options))

    def send_json(self, message: Any) -> None:
        """Send a text message."""
        self.send(TEXT, json.dumps(message).encode())

    async def frame(self) -> RawFrame:
        """The next frame.

        Raises:
            EOFError: The server closed the connection.
        """
        async with asyncio.timeout(self._timeout):
            raw = await self.reader.readexactly(2)
            size = raw[1] & 0x7F
            if size == 126:
                more = await self.reader.readexactly(2)
            elif size == 127:
                more = await self.reader.readexactly(8)
            else:
                more = b""
            size = int.from_bytes(more) if more else size
            payload = await self.reader.readexactly(size)
        head = raw[0]
        return RawFrame(
            head & 0x0F, payload, bool(head & 0x80), bool(head & 0x40), raw + more + payload
        )

    async def json(self) -> Any:
        """The next message, which must be text."""
        frame = await self.frame()
        if frame.opcode != TEXT:
            raise AssertionError(f"not a text frame: {frame}")
        return json.loads(frame.payload)

    async def closed(self) -> RawFrame:
        """The next frame, which must be a close frame."""
        frame = await self.frame()
        if frame.opcode != CLOSE:
            raise AssertionError(f"not a close frame: {frame}")
        return frame

    async def ended(self) -> None:
        """Wait until the server has closed the connection; what it still sends is dropped."""
        async with asyncio.timeout(self._timeout):
            try:
                while await self.reader.read(65536):
                    pass
            except ConnectionResetError:
                pass
