"""Programs of ours as processes, forked from one that has imported what they need.

See :mod:`tests.forked`. They have arguments, an environment, a folder and a session of their own.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.forked import context, readable

STDOUT, STDERR = 1, 2


class Program:
    """A running program, with what those of :mod:`asyncio.subprocess` have.

    Attributes:
        pid: Its number.
        said: What it writes to the streams that were asked for.
    """

    def __init__(self, process: Any, said: asyncio.StreamReader) -> None:
        self.pid: int = process.pid
        self.said = said
        self._process = process

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self.returncode is None:
            os.kill(self.pid, number)

    async def wait(self) -> int:
        """Wait for its end and return its exit code."""
        if self.returncode is None:
            await readable(self._process.sentinel)
            self._process.join()
        return self._process.exitcode


@asynccontextmanager
async def program(
    main: Callable[[], None],
    *words: str,
    env: Mapping[str, str],
    folder: Path | None = None,
    streams: tuple[int, ...] = (STDOUT, STDERR),
) -> AsyncGenerator[Program]:
    """Run a program, which is killed at the end of the block if it runs then.

    Args:
        main: Named in a module that the process imports.
        words: Its command line, the name of the program first.
        env: All of its environment.
        folder: Where it works; here by default.
        streams: Which of its outputs are read, as one.
    """
    ours, theirs = context.Pipe(duplex=False)
    setting = (theirs, streams, folder or Path.cwd(), dict(env), words, main)
    process = context.Process(target=_run, args=setting)
    process.start()
    theirs.close()
    said = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(said), os.fdopen(os.dup(ours.fileno()), "rb")
    )
    ours.close()
    try:
        yield Program(process, said)
    finally:
        process.kill()
        process.join()
        process.close()
        transport.close()


def _run(
    output: "Connection[Any, Any]",
    streams: tuple[int, ...],
    folder: Path,
    env: dict[str, str],
    words: tuple[str, ...],
    main: Callable[[], None],
) -> None:
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = list(words)
    for stream in streams:
        os.dup2(output.fileno(), stream)
    output.close()
    # As an interpreter makes them whose output is no terminal.
    sys.stdout = os.fdopen(STDOUT, "w", closefd=False)
    sys.stderr = os.fdopen(STDERR, "w", buffering=1, errors="backslashreplace", closefd=False)
    main()
