"""Deadlines of all connections of a process behind one timer.

A deadline that moves with every message would cost more than the message. So a connection only
notes when it last heard something, and is asked *at* its deadline whether it is still due: it acts,
or answers when to ask again.
"""

import asyncio
from heapq import heappop, heappush
from math import ceil
from typing import Final, Protocol

RESOLUTION: Final = 1 / 16
"""Seconds; a deadline is noticed at most this much late (plus the lag of the loop)."""


class Expiring(Protocol):
    """Something with a deadline."""

    bucket: int | None
    """Owned by :class:`Deadlines`; None while nothing is scheduled."""

    def deadline_reached(self, now: float) -> float | None:
        """Act if it is due; return the next time to be asked, or None for never."""
        ...


class Deadlines:
    """The deadlines of many connections, each with at most one at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._buckets: dict[int, set[Expiring]] = {}
        self._order: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_bucket = 0

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def now(self) -> float:
        """The time, in seconds, that deadlines are measured with."""
        return self._loop.time()

    def schedule(self, item: Expiring, when: float) -> None:
        """Ask ``item`` at ``when``, instead of at the time scheduled before."""
        bucket = ceil(when / RESOLUTION)
        if bucket == item.bucket:
            return
        self.cancel(item)
        item.bucket = bucket
        items = self._buckets.get(bucket)
        if items is not None:
            items.add(item)
            return
        self._buckets[bucket] = {item}
        heappush(self._order, bucket)
        if self._timer is None or bucket < self._timer_bucket:
            self._arm()

    def schedule_within(self, item: Expiring, when: float) -> None:
        """Like :meth:`schedule`, but keep an earlier time."""
        if item.bucket is None or item.bucket * RESOLUTION > when + RESOLUTION:
            self.schedule(item, when)

    def cancel(self, item: Expiring) -> None:
        """Forget ``item``; does nothing if it is not scheduled."""
        if item.bucket is None:
            return
        self._buckets[item.bucket].discard(item)
        item.bucket = None

    def close(self) -> None:
        """Forget everything and stop the timer."""
        for items in self._buckets.values():
            for item in items:
                item.bucket = None
        self._buckets.clear()
        self._order.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._order:
            self._timer_bucket = self._order[0]
            self._timer = self._loop.call_at(self._timer_bucket * RESOLUTION, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = self._loop.time()
        while self._order and self._order[0] * RESOLUTION <= now:
            for item in self._buckets.pop(heappop(self._order)):
                item.bucket = None
                again = item.deadline_reached(now)
                if again is not None:
                    self.schedule(item, max(again, now + RESOLUTION))
        if self._timer is None:
            self._arm()
