"""A small TCP proxy that makes a network misbehave, before any server: websocket or PostgreSQL.

```python
async with FaultProxy("127.0.0.1", port) as proxy:
    client = Client(f"ws://127.0.0.1:{proxy.port}/socket")
    proxy.to_client.delay = 0.2           # seconds, for every chunk
    proxy.to_client.rate = 64             # bytes per second: a slow reader
    proxy.to_server.cut_after = 100       # bytes, then both sides are reset
    proxy.to_client.stalled = True        # half-open: nothing passes, nobody is told
    proxy.to_server.swallowing = True     # bytes are taken and lost
    proxy.to_client.duplicate_frames = 1  # the next websocket message is sent twice
    proxy.cut()                           # reset every connection now

async with FaultProxy.before_database(dsn) as proxy:
    repo = await Repo.connect(proxy.dsn)
    proxy.lose_answer_to(run_id.bytes)    # committed, and nobody hears of it
```

Chunks are what the operating system delivers, at most 64 KiB; they have no relation to frames.
Settings are read for each chunk, hold for all connections, and may change at any time.
"""

import asyncio
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from channel_server.testing.frame_splitter import FrameSplitter

_CHUNK: Final = 64 * 1024
_BEAT: Final = 0.05
"""Seconds of a rate that pass as one piece."""


class Faults:
    """What happens to the bytes of one direction, over all connections.

    Attributes:
        delay: Seconds that each chunk is held back; order is kept.
        rate: Bytes per second; None is as fast as possible. Kernels buffer some hundred KiB before
            the sender notices, unless the proxy is given a small `receive_buffer`.
        cut_after: Both sides are reset once this many more bytes have passed; None is never.
        cut_before: Both sides are reset when a chunk with these bytes comes, which does not pass;
            once. What a websocket client sends is masked and cannot be found.
        duplicate: How many of the next chunks are sent twice, which no correct peer survives.
        duplicate_frames: How many of the next whole websocket messages are sent twice, as by a
            client that sends again; only by a proxy that knows `websockets`.
        swallowing: Whether bytes are taken and lost; what comes after it is turned off again finds
            a torn stream, so end the connection.
        passed: Bytes that have passed.
    """

    def __init__(self) -> None:
        self.delay = 0.0
        self.rate: float | None = None
        self.cut_after: int | None = None
        self.cut_before: bytes | None = None
        self.duplicate = 0
        self.duplicate_frames = 0
        self.swallowing = False
        self.passed = 0
        self._flowing = asyncio.Event()
        self._flowing.set()

    @property
    def stalled(self) -> bool:
        """Whether nothing passes, not even an end; connections stay open, and are read no further.

        With both directions stalled a connection is half-open: each side may be gone, and the
        other is not told.
        """
        return not self._flowing.is_set()

    @stalled.setter
    def stalled(self, value: bool) -> None:
        if value:
            self._flowing.clear()
        else:
            self._flowing.set()

    async def flowing(self) -> None:
        """Wait until the direction is not stalled."""
        await self._flowing.wait()

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """A chunk as it passes: whole, or in small pieces at a rate."""
        size = len(chunk) if self.rate is None else max(1, int(self.rate * _BEAT))
        for start in range(0, len(chunk), size):
            yield chunk[start : start + size]

    async def admit(self, chunk: bytes) -> tuple[bytes, bool]:
        """Hold a chunk as long as the settings say.

        Returns:
            What to pass on, and whether the connection is to be cut after it.
        """
        await self._flowing.wait()
        if self.delay or self.rate:
            await asyncio.sleep(self.delay + (len(chunk) / self.rate if self.rate else 0.0))
            await self._flowing.wait()
        if self.swallowing:
            return b"", False
        if self.cut_before is not None and self.cut_before in chunk:
            self.cut_before = None
            return b"", True
        cut = self.cut_after is not None and len(chunk) >= self.cut_after
        if self.cut_after is not None:
            chunk = chunk[: self.cut_after]
            self.cut_after = None if cut else self.cut_after - len(chunk)
        if self.duplicate and chunk:
            self.duplicate -= 1
            chunk += chunk
        self.passed += len(chunk)
        return chunk, cut

    def repeat_frames(self, splitter: FrameSplitter, chunk: bytes) -> bytes:
        """A chunk with the messages that end in it sent twice, as many as are to be."""
        repeated = bytearray()
        for part, message in splitter.split(chunk):
            repeated += part
            if message is not None and self.duplicate_frames:
                self.duplicate_frames -= 1
                repeated += message
        return bytes(repeated)


class _Line:
    """One connection through the proxy.

    Attributes:
        losing: Whether the server's next answer is lost, and the connection with it.
        ends: The writers of both sides.
    """

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.losing = False
        self.ends = (client, server)

    def cut(self) -> None:
        """Reset both sides."""
        for writer in self.ends:
            writer.transport.abort()


class FaultProxy:
    """Listens on a free port of 127.0.0.1 and passes connections on to a server.

    Args:
        host: Of the server; a path is that of its unix socket.
        port: Of the server; of no matter for a unix socket.
        receive_buffer: Bytes that the kernel holds for the proxy on the server's side, so that the
            server notices a slow reader soon; the system's default if None.
        websockets: Whether what passes are websockets, whose messages can be told apart.

    Attributes:
        to_server: The faults of what clients send.
        to_client: The faults of what the server sends.
        refusing: Reset new connections at once, as a server that is down does.
        accepted: Connections accepted so far.
        target: Host and port of the server; may be changed, for the connections to come.
    """

    def __init__(
        self,
        host: str,
        port: int = 0,
        *,
        receive_buffer: int | None = None,
        websockets: bool = False,
    ) -> None:
        self.to_server = Faults()
        self.to_client = Faults()
        self.refusing = False
        self.accepted = 0
        self.target = (host, port)
        self._receive_buffer = receive_buffer
        self._websockets = websockets
        self._dsn: str | None = None
        self._lose: bytes | None = None
        self._then_down = False
        self._lost = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines: set[_Line] = set()

    @classmethod
    def before_database(cls, dsn: str) -> "FaultProxy":
        """A proxy before the PostgreSQL server of a URL; `dsn` is then the way through it."""
        parts = urlsplit(dsn)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        host = query.pop("host", None) or parts.hostname or "127.0.0.1"
        port = int(query.pop("port", None) or parts.port or 5432)
        if host.startswith("/"):
            host = f"{host}/.s.PGSQL.{port}"
        made = cls(host, port)
        user = parts.netloc.rpartition("@")[0]
        query["sslmode"] = "disable"
        made._dsn = urlunsplit(("postgresql", f"{user}@{{}}", parts.path, urlencode(query), ""))
        return made

    @property
    def dsn(self) -> str:
        """The URL of the database through the proxy.

        Raises:
            RuntimeError: It is not started, or was not made by `before_database`.
        """
        if self._dsn is None:
            raise RuntimeError("the proxy was not made for a database")
        return self._dsn.replace("@{}", f"@127.0.0.1:{self.port}")

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def port(self) -> int:
        """The port that clients connect to."""
        if self._server is None:
            raise RuntimeError("the proxy is not started")
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def connections(self) -> int:
        """How many connections pass through now."""
        return len(self._lines)

    def cut(self) -> None:
        """Reset every connection now; new ones are accepted."""
        for line in tuple(self._lines):
            line.cut()

    def lose_answer_to(self, marker: bytes, *, then_down: bool = False) -> asyncio.Event:
        """Lose what the server answers to the next chunk that has `marker` in it.

        The chunk itself passes. The first chunk that the server sends after it on that connection
        is dropped, and both sides are reset: the server has done what it was asked, and the client
        cannot know. For PostgreSQL that is after the commit, if the answer is one of a few KiB.

        Args:
            marker: Such as the 16 bytes of a UUID argument. Websocket clients mask what they send.
            then_down: Whether every other connection is reset with it, and new ones are refused,
                until `refusing` is set to False.

        Returns:
            Set when it has happened.
        """
        self._lose = marker
        self._then_down = then_down
        self._lost = asyncio.Event()
        return self._lost

    async def stop(self) -> None:
        """Stop listening and reset every connection. Twice is fine."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self.cut()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.refusing:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._join(reader, writer), name="fault-proxy")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        line = _Line(writer, server_writer)
        self._lines.add(line)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, server_writer, self.to_server, line))
                group.create_task(self._pump(server_reader, writer, self.to_client, line))
        finally:
            self._lines.discard(line)
            line.cut()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self.target
        if host.startswith("/"):
            return await asyncio.open_unix_connection(host)
        if self._receive_buffer is None:
            return await asyncio.open_connection(host, port)
        opened = socket.socket()
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        await asyncio.get_running_loop().sock_connect(opened, (host, port))
        return await asyncio.open_connection(sock=opened, limit=self._receive_buffer)

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        faults: Faults,
        line: _Line,
    ) -> None:
        splitter = FrameSplitter() if self._websockets else None
        try:
            while chunk := await reader.read(_CHUNK):
                if not self._answered(chunk, faults, line):
                    return
                if splitter is not None:
                    chunk = faults.repeat_frames(splitter, chunk)
                if not await self._pass(chunk, writer, faults, line):
                    return
            await faults.flowing()
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            await faults.flowing()
            line.cut()

    def _answered(self, chunk: bytes, faults: Faults, line: _Line) -> bool:
        """Whether a chunk is to pass; not if it is the answer that is to be lost."""
        if faults is self.to_server and self._lose is not None and self._lose in chunk:
            self._lose = None
            line.losing = True
        elif faults is self.to_client and line.losing:
            line.cut()
            if self._then_down:
                self.refusing = True
                self.cut()
            self._lost.set()
            return False
        return True

    async def _pass(
        self, chunk: bytes, writer: asyncio.StreamWriter, faults: Faults, line: _Line
    ) -> bool:
        for piece in faults.pieces(chunk):
            passed, cut = await faults.admit(piece)
            writer.write(passed)
            await writer.drain()
            if cut:
                line.cut()
                return False
        return True
