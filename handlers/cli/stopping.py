"""How a serving process ends: by a first signal it drains, by a second one it stops at once."""

import asyncio
import os
import signal
import threading
from typing import Final, Protocol

from channel_server.log import get_logger

LONGEST: Final = 27.0
"""Seconds that a drain may take before it is cut short; supervisors kill after 30."""

LAST_WORD: Final = 1.5
"""Seconds that what was cut may take to end; then the process leaves without it."""

log = get_logger(__name__)


class Stoppable(Protocol):
    """What is stopped: the application."""

    async def stop(self) -> None:
        """Drain and end."""
        ...

    def abort(self) -> None:
        """Let go of everything now."""
        ...


class StopSignals(asyncio.Event):
    """Set by the first SIGTERM or Ctrl-C; `again` by the next one."""

    def __init__(self) -> None:
        super().__init__()
        self.again = asyncio.Event()

    def received(self) -> None:
        """Take a signal."""
        if self.is_set():
            self.again.set()
        self.set()


def stop_signals() -> StopSignals:
    """Take SIGTERM and Ctrl-C from now on, instead of what they do by themselves."""
    signals = StopSignals()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signals.received)
    return signals


async def end(application: Stoppable, signals: StopSignals, *, leave: bool = True) -> None:
    """Drain; cut it short at a second signal, or when it takes too long.

    Nothing that was acknowledged is lost by that: it is committed.

    Args:
        application: What to stop.
        signals: Where a second signal shows.
        leave: Whether the process ends soon after a cut, whatever still runs in it.
    """
    stopping = asyncio.ensure_future(application.stop())
    again = asyncio.ensure_future(signals.again.wait())
    await asyncio.wait({stopping, again}, timeout=LONGEST, return_when=asyncio.FIRST_COMPLETED)
    again.cancel()
    if stopping.done():
        stopping.result()
        return
    log.warning("stopped_at_once", told_again=signals.again.is_set())
    if leave:
        _leave_after(2 * LAST_WORD)
    application.abort()
    await asyncio.wait({stopping}, timeout=LAST_WORD)


def _leave_after(seconds: float) -> None:
    # A handler that swallows its cancellation, or a thread, would keep the interpreter for ever.
    timer = threading.Timer(seconds, os._exit, (0,))
    timer.daemon = True
    timer.start()
