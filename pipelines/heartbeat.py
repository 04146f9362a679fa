"""Keeping the lock of a running job, and telling the runner when it must stop.

Each beat has a timeout shorter than the interval, and time is counted from the moment a beat that
succeeded was sent, so that a database that hangs counts like one that fails.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final

import structlog

log = structlog.stdlib.get_logger(__name__)

_TIMEOUT: Final = 0.8
"""Part of the interval that a beat may take."""

_LAST_TIMEOUT: Final = 0.05
"""Part of the interval that a beat gets when the deadline is there."""


class Abort(StrEnum):
    """Why a running job must stop."""

    LOST = "lost"
    """The row is not ours any more."""
    STALLED = "stalled"
    """The lock could not be refreshed; soon somebody else may take the job."""


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


class Heartbeat:
    """Beats until it must abort or is cancelled.

    Args:
        job_id: For logs.
        beat: Refreshes the lock; returns the number of rows.
        interval: Seconds between beats.
        abort_after: Seconds since the last success after which :attr:`aborted` is set.
        clock: Monotonic seconds.
        wait: Waits for an event at most some seconds.

    Attributes:
        aborted: Set when the job must stop; :attr:`reason` says why.
        reason: Why; None before.
        beats: Number of beats so far.
    """

    def __init__(
        self,
        job_id: int,
        beat: Callable[[], Awaitable[int]],
        *,
        interval: float,
        abort_after: float,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[asyncio.Event, float], Awaitable[None]] = _wait,
    ) -> None:
        self.aborted = asyncio.Event()
        self.reason: Abort | None = None
        self.beats = 0
        self._job_id = job_id
        self._beat = beat
        self._interval = interval
        self._abort_after = abort_after
        self._clock = clock
        self._wait = wait
        self._kicked = asyncio.Event()
        self._held = False
        self._last = clock()

    def abort(self, reason: Abort) -> None:
        """Make the job stop; the first reason stays."""
        if self.reason is None:
            self.reason = reason
            self.aborted.set()

    def kick(self) -> None:
        """Beat now: somebody may have changed the row."""
        self._kicked.set()

    def hold(self) -> None:
        """Beat no more, but go on counting: a transaction of ours holds the row."""
        self._held = True

    def resume(self) -> None:
        """Beat again."""
        self._held = False

    async def run(self) -> None:
        """Beat at fixed times until the job must stop."""
        due = self._last + self._interval
        while self.reason is None:
            await self._wait(self._kicked, max(0.0, due - self._clock()))
            self._kicked.clear()
            now = self._clock()
            while due <= now:
                due += self._interval
            if not self._held:
                await self._beat_once(now)
            if self.reason is None and self._clock() - self._last >= self._abort_after:
                log.warning("job_heartbeat_stalled", job_id=self._job_id, beats=self.beats)
                self.abort(Abort.STALLED)

    async def _beat_once(self, now: float) -> None:
        self.beats += 1
        left = self._last + self._abort_after - now
        seconds = min(self._interval * _TIMEOUT, max(left, self._interval * _LAST_TIMEOUT))
        try:
            async with asyncio.timeout(seconds):
                rows = await self._beat()
        except Exception as error:  # whatever it is, the lock was not refreshed
            log.warning("job_heartbeat_failed", job_id=self._job_id, error=repr(error))
            return
        if rows:
            self._last = now
        else:
            log.warning("job_lock_lost", job_id=self._job_id)
            self.abort(Abort.LOST)
