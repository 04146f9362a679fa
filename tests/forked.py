"""Child processes for tests, forked from a process that has imported the project already.

They are processes of their own, with everything that can be done to one; what they are spared is
the second of work that an interpreter needs to import it all.
"""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from typing import Any

context = multiprocessing.get_context("forkserver")
PROGRAMS = (
    "alembic.command",
    "channel_server.client",
    "handlers.application",
    "handlers.cli.demo",
    "handlers.cli.dev",
    "handlers.cli.loop",
    "handlers.cli.serve",
    "handlers.http.app",
    "uvloop",
)
"""What the programs of :mod:`tests.programs` import."""

context.set_forkserver_preload(["structlog", "handlers.emissions.service", "pipelines", *PROGRAMS])

Main = Callable[..., Coroutine[Any, Any, None]]
"""What a child runs: it is given a :class:`Parent`, and the arguments."""


class Parent:
    """The other side, for the child."""

    def __init__(self, connection: "Connection[Any, Any]") -> None:
        self._connection = connection

    def ready(self) -> None:
        """Tell that the child works."""
        self._connection.send_bytes(b"ready")

    async def leave(self) -> None:
        """Return when the child is told to end."""
        await readable(self._connection.fileno())


class Child:
    """A process, for its parent.

    Attributes:
        pid: Its number.
    """

    def __init__(self, process: Any, connection: "Connection[Any, Any]") -> None:
        self.pid: int = process.pid
        self._process = process
        self._connection = connection

    async def ready(self) -> None:
        """Return when it works."""
        async with asyncio.timeout(30):
            await readable(self._connection.fileno())
        assert self._connection.recv_bytes() == b"ready"

    def leave(self) -> None:
        """Tell it to end."""
        self._connection.close()

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it, if it lives."""
        self._process.kill()

    async def wait(self, patience: float = 60) -> int:
        """Wait for its end and return its exit code, negative for a signal."""
        async with asyncio.timeout(patience):
            await readable(self._process.sentinel)
        self._process.join()
        return self._process.exitcode


@asynccontextmanager
async def forked(main: Main, *args: Any) -> AsyncGenerator[Child]:
    """Run a coroutine function in a process, told to end at the end of the block.

    Args:
        main: Named in a module that the process imports.
        args: Its arguments, after the :class:`Parent`.
    """
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, main, args))
    process.start()
    theirs.close()
    child = Child(process, ours)
    try:
        yield child
        child.leave()
        await child.wait()
    finally:
        child.leave()
        process.kill()
        process.join()
        process.close()


def _run(connection: "Connection[Any, Any]", main: Main, args: tuple[Any, ...]) -> None:
    asyncio.run(main(Parent(connection), *args))


async def readable(descriptor: int) -> None:
    """Wait until a file descriptor has something to read, or its end."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(descriptor, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(descriptor)
