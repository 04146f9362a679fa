"""Commands as processes: started, read line by line, signalled, and always ended."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

PATIENCE = 60.0
"""Seconds until something that should have happened counts as missing."""

NAMES = ("CHANNEL_SERVER_", "WORKER_", "DATABASE_URL")


class Process:
    """A running command; its output and errors are one stream."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
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
        stream = self._process.stdout
        assert stream is not None
        async with asyncio.timeout(PATIENCE):
            while raw := await stream.readline():
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
        stream = self._process.stdout
        assert stream is not None
        async with asyncio.timeout(PATIENCE):
            self.said += (await stream.read()).decode().splitlines()
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
    *words: str, folder: Path, env: Mapping[str, str] | None = None
) -> AsyncGenerator[Process]:
    """Run ``channel-server`` with ``words`` in a folder, with these settings and no others."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(NAMES)}
    process = Process(
        await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "channel_server", *words),
            cwd=folder,
            env=clean | dict(env or {}),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    )
    try:
        yield process
    finally:
        await process.kill()


def names(folder: Path) -> set[str]:
    """The names of what is in a folder."""
    return {path.name for path in folder.iterdir()}
