"""Commands as processes: started, read line by line, signalled, and always ended."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from channel_server.__main__ import main
from tests.programs import Program, program

PATIENCE = 60.0
"""Seconds until something that should have happened counts as missing."""

NAMES = ("CHANNEL_SERVER_", "WORKER_", "DATABASE_URL")


class Process:
    """A running command; its output and errors are one stream."""

    def __init__(
        self, process: asyncio.subprocess.Process | Program, said: asyncio.StreamReader | None
    ) -> None:
        assert said is not None
        self._process = process
        self._stream = said
        self.said: list[str] = []

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def text(self) -> str:
        """What it has said so far."""
        return "\n".join(self.said)

    async def line_with(self, part: str) -> str:
        """Wait for a line that contains ``part``."""
        async with asyncio.timeout(PATIENCE):
            while raw := await self._stream.readline():
                self.said.append(raw.decode().rstrip("\n"))
                if part in self.said[-1]:
                    return self.said[-1]
        raise AssertionError(f"it ended without saying {part!r}:\n{self.text}")

    def tell(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    async def end(self, number: signal.Signals | None = None) -> int:
        """Send a signal, wait for the end, and return the exit code."""
        if number is not None:
            self._process.send_signal(number)
        async with asyncio.timeout(PATIENCE):
            self.said += (await self._stream.read()).decode().splitlines()
            return await self._process.wait()

    async def kill(self) -> None:
        """End what a failed test has left, and everything that it started."""
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGINT)
            try:
                await self.end()
            except TimeoutError:
                os.killpg(self._process.pid, signal.SIGKILL)
                await self._process.wait()


@asynccontextmanager
async def command(
    *words: str, folder: Path, env: Mapping[str, str] | None = None, interpreter: bool = False
) -> AsyncGenerator[Process]:
    """Run ``channel-server`` with ``words`` in a folder, with these settings and no others.

    It is forked, which is as much of a process, unless it is to have an ``interpreter`` of its own.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(NAMES)}
    variables = clean | dict(env or {})
    async with AsyncExitStack() as stack:
        if interpreter:
            process = await _started(words, folder, variables)
        else:
            forked = program(main, "channel-server", *words, env=variables, folder=folder)
            running = await stack.enter_async_context(forked)
            process = Process(running, running.said)
        stack.push_async_callback(process.kill)
        yield process


async def _started(words: tuple[str, ...], folder: Path, env: Mapping[str, str]) -> Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "channel_server", *words),
        cwd=folder,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    return Process(process, process.stdout)


def names(folder: Path) -> set[str]:
    """The names of what is in a folder."""
    return {path.name for path in folder.iterdir()}
