"""A small TCP proxy that makes a network misbehave.

```python
async with FaultProxy("127.0.0.1", port) as proxy:
    client = Client(f"ws://127.0.0.1:{proxy.port}/socket")
    proxy.to_client.delay = 0.2      # seconds, for every chunk
    proxy.to_server.cut_after = 100  # bytes, then both sides are reset
    proxy.to_client.stalled = True   # half-open: nothing passes, nobody is told
    proxy.cut()                      # reset every connection now
```

Chunks are what the operating system delivers, at most 64 KiB; they have no relation to websocket
frames. Settings are read for each chunk and may change at any time.
"""

import asyncio
from types import TracebackType
from typing import Self

_CHUNK = 64 * 1024


class Faults:
    """What happens to the bytes of one direction, over all connections.

    Attributes:
        delay: Seconds that each chunk is held back; order is kept.
        rate: Bytes per second; None is as fast as possible.
        cut_after: Both sides are reset once this many more bytes have passed; None is never.
        duplicate: How many of the next chunks are sent twice, which no correct peer survives.
        passed: Bytes that have passed.
    """

    def __init__(self) -> None:
        self.delay = 0.0
        self.rate: float | None = None
        self.cut_after: int | None = None
        self.duplicate = 0
        self.passed = 0
        self._flowing = asyncio.Event()
        self._flowing.set()

    @property
    def stalled(self) -> bool:
        """Whether nothing passes; connections stay open, and are read no further."""
        return not self._flowing.is_set()

    @stalled.setter
    def stalled(self, value: bool) -> None:
        if value:
            self._flowing.clear()
        else:
            self._flowing.set()

    async def admit(self, chunk: bytes) -> tuple[bytes, bool]:
        """Hold a chunk as long as the settings say.

        Returns:
            What to pass on, and whether the connection is to be cut after it.
        """
        await self._flowing.wait()
        if self.delay or self.rate:
            await asyncio.sleep(self.delay + (len(chunk) / self.rate if self.rate else 0.0))
            await self._flowing.wait()
        cut = self.cut_after is not None and len(chunk) >= self.cut_after
        if self.cut_after is not None:
            chunk = chunk[: self.cut_after]
            self.cut_after = None if cut else self.cut_after - len(chunk)
        if self.duplicate and chunk:
            self.duplicate -= 1
            chunk += chunk
        self.passed += len(chunk)
        return chunk, cut


class FaultProxy:
    """Listens on a free port of 127.0.0.1 and passes connections on to `host:port`.

    Attributes:
        to_server: The faults of what clients send.
        to_client: The faults of what the server sends.
        refusing: Reset new connections at once, as a server that is down does.
    """

    def __init__(self, host: str, port: int) -> None:
        self.to_server = Faults()
        self.to_client = Faults()
        self.refusing = False
        self.target = (host, port)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

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
        return len(self._writers) // 2

    def cut(self) -> None:
        """Reset every connection now; new ones are accepted."""
        for writer in tuple(self._writers):
            writer.transport.abort()

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
        if self.refusing:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._join(reader, writer), name="fault-proxy")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, server_writer}
        self._writers |= pair
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, server_writer, self.to_server, pair))
                group.create_task(self._pump(server_reader, writer, self.to_client, pair))
        finally:
            self._writers -= pair
            for each in pair:
                each.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        faults: Faults,
        pair: set[asyncio.StreamWriter],
    ) -> None:
        try:
            while chunk := await reader.read(_CHUNK):
                passed, cut = await faults.admit(chunk)
                writer.write(passed)
                await writer.drain()
                if cut:
                    for each in pair:
                        each.transport.abort()
                    return
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            for each in pair:
                each.transport.abort()
