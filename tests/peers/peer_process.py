"""A real client as a process that is told what to do and says what it sees."""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from typing import Any

from channel_server.endpoint import Endpoint

PATIENCE = 30.0


class PeerProcess:
    """A driver: commands go to its stdin, lines come from its stdout."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lines: list[dict[str, Any]] = []
        self._ids = itertools.count(1)

    async def ask(self, do: str, **arguments: Any) -> tuple[str, Any]:
        """Give a command and wait for its answer: status and response."""
        number = self.tell(do, **arguments)
        line = await self.wait(id=number)
        return line["status"], line.get("response")

    def tell(self, do: str, **arguments: Any) -> int:
        """Give a command; returns its id."""
        number = next(self._ids)
        assert self._process.stdin is not None
        command = {"id": number, "do": do} | arguments
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        return number

    async def wait(self, **wanted: Any) -> dict[str, Any]:
        """Wait for a line that has these values, and take it."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for index, line in enumerate(self._lines):
                    if wanted.items() <= line.items():
                        return self._lines.pop(index)
                await self._read()

    async def stop(self) -> None:
        """Let it end, or make it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(10):
                await self._process.communicate()
        except TimeoutError:
            self._process.kill()
            await self._process.communicate()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        text = await self._process.stdout.readline()
        if not text:
            raise AssertionError(f"the client ended; it said {self._lines}")
        self._lines.append(json.loads(text))


StartPeer = Callable[..., Awaitable[PeerProcess]]


class Everybody:
    """Clients and their server, shared by the tests of a module: each has a room of its own.

    Attributes:
        rooms: The server.
    """

    def __init__(self, rooms: Endpoint, start: StartPeer) -> None:
        self.rooms = rooms
        self._start = start
        self._started: dict[str, PeerProcess] = {}

    async def peer(self, library: str) -> PeerProcess:
        """The client of a library."""
        if library not in self._started:
            self._started[library] = await self._start(library, f"{self.rooms.url}/socket")
        return self._started[library]

    def topics(self) -> list[str]:
        """The topics that are joined."""
        return [topic for each in self.rooms.connections() for topic in each.topics()]
