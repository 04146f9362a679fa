"""Background services: one contract for everything that runs beside the connections.

States::

    new ──start──▶ running ──stop──▶ stopped
     │               │  ▲
     │             crash│ back-off (0.1 s doubling to 30 s, with jitter)
     │               ▼  │
     └──stop──▶ (nothing)  waiting

``start`` and ``stop`` may be called twice, and ``stop`` before ``start``. A service that was
stopped can be started again.
"""

import asyncio
import math
import random
from collections import deque
from typing import Final

from channel_server.log import get_logger

log = get_logger(__name__)

FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 30.0
CANCELLED_AGAIN: Final = 5.0
"""Seconds after which a service that goes on is told once more to end."""


class Signals:
    """Named notifications of what a service just did, for tests that would otherwise sleep.

    At most the last 64 unread values of each name are kept.
    """

    def __init__(self) -> None:
        self._values: dict[str, deque[object]] = {}
        self._changed: asyncio.Event | None = None

    def emit(self, name: str, value: object = None) -> None:
        """Tell that ``name`` happened; never blocks."""
        self._values.setdefault(name, deque(maxlen=64)).append(value)
        if self._changed is not None:
            self._changed.set()

    async def wait(self, name: str, *, timeout: float = 10.0) -> object:  # noqa: ASYNC109
        """Return the value of the oldest unread ``name``, waiting for one if need be.

        Raises:
            TimeoutError: Nothing was emitted within ``timeout`` seconds.
        """
        async with asyncio.timeout(timeout):
            while not (values := self._values.get(name)):
                if self._changed is None or self._changed.is_set():
                    self._changed = asyncio.Event()
                await self._changed.wait()
        return values.popleft()

    def clear(self) -> None:
        """Forget what nobody read."""
        self._values.clear()


class Service:
    """Something that runs in the background until it is stopped.

    Subclasses write :meth:`run`; they call :meth:`ready` once they do their work, and may emit
    :attr:`signals`. A crash of ``run`` is logged once with its traceback, and ``run`` is called
    again after a back-off; further crashes in a row are not logged, the recovery is. If ``run``
    returns, the service has finished and is not called again.
    """

    name: str = "service"

    def __init__(self) -> None:
        self.signals = Signals()
        self.crashes = 0
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._ready_since = math.inf

    async def run(self) -> None:
        """Do the work; cancelled by :meth:`stop`. The default does nothing."""
        self.ready()

    def ready(self) -> None:
        """Tell that the service does its work, after which ``started`` returns."""
        if self.crashes:
            log.info("service_recovered", service=self.name, crashes=self.crashes)
        self._ready_since = asyncio.get_running_loop().time()
        self._ready.set()

    @property
    def running(self) -> bool:
        """Whether the service was started and has neither finished nor been stopped."""
        return self._task is not None and not self._task.done()

    async def start(self) -> None:
        """Begin in the background; does nothing if it runs already."""
        if not self.running:
            self._ready.clear()
            self._task = asyncio.create_task(self._supervise(), name=f"service:{self.name}")

    async def started(self) -> None:
        """Return when the service does its work; waits for ever if it never comes up."""
        await self._ready.wait()

    async def stop(self) -> None:
        """End the service and wait for it; does nothing if it does not run."""
        task, self._task = self._task, None
        if task is None:
            return
        self._ready.clear()  # now: it may be started again while the old task ends
        # Again: a cancellation that comes with an answer is lost in a wait_for of Python 3.11.
        while not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=CANCELLED_AGAIN)

    async def _supervise(self) -> None:
        while True:
            try:
                await self.run()
            except Exception as error:
                self._log_crash(error)
            else:
                return
            self._ready.clear()
            self.signals.emit("crashed")
            await asyncio.sleep(self.restart_delay())

    def _log_crash(self, error: Exception) -> None:
        if asyncio.get_running_loop().time() - self._ready_since > LONGEST_DELAY:
            self.crashes = 0  # it was up long enough for this to be news
        self._ready_since = math.inf
        self.crashes += 1
        if self.crashes != 1:
            return
        if self.passing(error):
            log.warning(
                "service_waits", service=self.name, reason=f"{type(error).__name__}: {error}"
            )
        else:
            log.error("service_crashed", service=self.name, exc_info=error)

    def passing(self, error: Exception) -> bool:
        """Say whether a crash is no bug and ends by itself, such as a database that is away."""
        del error
        return False

    def restart_delay(self) -> float:
        """Seconds until the next attempt, with jitter."""
        delay = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(self.crashes - 1, 16))
        return delay * random.uniform(0.5, 1.0)  # noqa: S311 - spreads restarts, hides nothing
