"""Tells workers that there is work: `work-available` on `worker:queue`, at most one per interval.

The first event is passed on at once; events that follow within the interval are passed on together
at its end. Workers ask for one run per push and free slot, and go on asking while they find any, so
a lost push costs a back-off of theirs and nothing else.
"""

import asyncio

from channel_server.pubsub import PubSub

TOPIC = "worker:queue"
EVENT = "work-available"


class WorkAvailable:
    """One debounced broadcast to all workers of this process.

    Args:
        pubsub: where the worker channels are subscribed to `worker:queue`.
        interval: seconds between two pushes.
    """

    def __init__(self, pubsub: PubSub, interval: float) -> None:
        self._pubsub = pubsub
        self._interval = interval
        self._timer: asyncio.TimerHandle | None = None
        self._pending = False

    def notify(self) -> None:
        """A run may be claimable; call it from the event loop."""
        if self._timer is not None:
            self._pending = True
            return
        self._push()

    def close(self) -> None:
        """Forget what is pending; nothing is pushed afterwards until the next `notify`."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._pending = False

    def _push(self) -> None:
        self._pending = False
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._elapsed)
        self._pubsub.broadcast(TOPIC, EVENT, {}, coalesce=EVENT)

    def _elapsed(self) -> None:
        self._timer = None
        if self._pending:
            self._push()
