"""Loops beside the jobs: started and stopped at will, kept up when they crash.

The same contract as other services of the application (start, started, stop), so that one owner can
hold them all; this package depends on none of them.
"""

import asyncio
from typing import Protocol

import structlog

from pipelines.outcome import RetryJob
from pipelines.storage.connection import is_outage

log = structlog.stdlib.get_logger(__name__)


class Service(Protocol):
    """Something that runs in the background until it is stopped."""

    async def start(self) -> None:
        """Begin; again is fine."""
        ...

    async def stop(self) -> None:
        """End and wait for the end; twice and before ``start`` are fine."""
        ...


class Loop:
    """Calls :meth:`pass_once` again and again: when woken, and after an interval at the latest.

    A pass that fails is logged once; so is the first one after that succeeds.

    Args:
        name: For logs.
        interval: Seconds between passes when nobody wakes it.

    Attributes:
        passes: Number of passes that succeeded.
    """

    def __init__(self, name: str, interval: float) -> None:
        self.name = name
        self.passes = 0
        self._interval = interval
        self._wake = asyncio.Event()
        self._first = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._failing = False

    async def pass_once(self) -> float | None:
        """Do the work once. Returns in how many seconds there will be more, if that is known."""
        raise NotImplementedError

    def wake(self) -> None:
        """Make the next pass begin now, or right after the one under way."""
        self._wake.set()

    async def start(self) -> None:
        """Begin in the background; nothing happens if it runs."""
        if self._task is None:
            self._first.clear()
            self._task = asyncio.create_task(self._run(), name=f"pipelines:{self.name}")

    async def started(self) -> None:
        """Return when a pass has succeeded."""
        await self._first.wait()

    async def stop(self) -> None:
        """End it and wait; nothing happens if it does not run."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            seconds = await self._guarded()
            # A cancellation that comes with an answer is lost in a wait_for of Python 3.11.
            if self._task is not asyncio.current_task():
                return
            try:
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _log_failure(self, error: Exception) -> None:
        if is_outage(error) or isinstance(error, RetryJob):
            log.warning("pipeline_loop_waits", loop=self.name, reason=str(error))
        else:
            log.error("pipeline_loop_failing", loop=self.name, exc_info=error)

    async def _guarded(self) -> float:
        try:
            soon = await self.pass_once()
        except Exception as error:  # a loop outlives whatever happens in a pass
            if not self._failing:
                self._log_failure(error)
            self._failing = True
            return self._interval
        if self._failing:
            log.info("pipeline_loop_recovered", loop=self.name)
        self._failing = False
        self.passes += 1
        self._first.set()
        return self._interval if soon is None else min(self._interval, max(0.0, soon))
