"""Faults for the tests of the job engine."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

from pipelines import Job


class AnswerLost:
    """A proxy before PostgreSQL that, once armed, loses the answer to one statement.

    The statement reaches the server and is answered; then both sides are cut.

    Args:
        url: URL of the database.
        statement: Bytes of the statement.

    Attributes:
        url: URL through the proxy.
        lost: Number of answers that were lost.
    """

    def __init__(self, url: str, statement: bytes) -> None:
        self.url = ""
        self.lost = 0
        self._target = urlsplit(url)
        self._statement = statement
        self._armed = False
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def arm_at(self, step: str) -> Callable[[str, Job], Awaitable[None]]:
        """Return a step hook that arms the proxy when ``step`` is reached."""

        async def hook(name: str, _job: Job) -> None:
            self._armed = self._armed or name == step

        return hook

    async def __aenter__(self) -> "AnswerLost":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        user = self._target.username or "postgres"
        password = f":{self._target.password}" if self._target.password else ""
        database = self._target.path
        self.url = f"postgresql://{user}{password}@127.0.0.1:{port}{database}?sslmode=disable"
        return self

    async def __aexit__(self, *_error: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._serve(reader, writer)
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = parse_qs(self._target.query)
        if "host" in query:
            path = f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}"
            back, forth = await asyncio.open_unix_connection(path)
        else:
            back, forth = await asyncio.open_connection(self._target.hostname, self._target.port)
        losing = asyncio.Event()

        async def requests() -> None:
            while data := await reader.read(65536):
                if self._armed and self._statement in data:
                    losing.set()
                forth.write(data)
                await forth.drain()

        async def answers() -> None:
            while data := await back.read(65536):
                if losing.is_set():
                    self._armed = False
                    self.lost += 1
                    return
                writer.write(data)
                await writer.drain()

        pumps = [asyncio.create_task(requests()), asyncio.create_task(answers())]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.wait(pumps)
            forth.close()
