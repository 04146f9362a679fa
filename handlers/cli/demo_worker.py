"""The example worker as a child process of the demo."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

from channel_server.endpoint import Endpoint
from handlers.cli.dev_folder import DevFolder

PACE: Final = 0.3
"""Seconds that each step takes at least, so that one can watch."""

PATIENCE: Final = 10.0
"""Seconds that the worker may take to finish what it runs."""


class DemoWorker:
    """The worker; nothing happens until :meth:`start`.

    Args:
        folder: Where its log goes.
        endpoint: The server.
        script: The program.

    Attributes:
        log: Its log file.
    """

    def __init__(self, folder: DevFolder, endpoint: Endpoint, script: Path) -> None:
        self.log = folder.path / "worker.log"
        self._folder = folder
        self._endpoint = endpoint
        self._script = script
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start the process."""
        log = self._folder.open_log("worker.log")
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(self._script),
            f"--pace={PACE}",
            env={
                **os.environ,
                **self._folder.worker_variables(self._endpoint),
                "WORKER_NAME": "demo",
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Ctrl-C in the terminal is for us; the worker is told when its time has come.
            start_new_session=True,
        )

    @property
    def running(self) -> bool:
        """Whether it was started and lives."""
        return self._process is not None and self._process.returncode is None

    async def wait(self) -> None:
        """Wait until the process ends by itself; for ever if there is none."""
        if self._process is None:
            await asyncio.Event().wait()
        else:
            await self._process.wait()

    async def stop(self) -> None:
        """Let the process finish its runs, and end it."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(PATIENCE):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
