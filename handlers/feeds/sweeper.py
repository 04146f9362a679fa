"""The sweeper: what a process was not told of reaches its watchers within a second."""

import asyncio

from channel_server.log import get_logger
from channel_server.service import Service
from handlers.feeds.feeds import Feeds

log = get_logger(__name__)


class Sweeper(Service):
    """Sweeps the feeds from time to time; emits `swept` with how many things are watched.

    Args:
        feeds: The feeds.
        interval: Seconds between two sweeps.
    """

    name = "feeds"

    def __init__(self, feeds: Feeds, interval: float) -> None:
        super().__init__()
        self._feeds = feeds
        self._interval = interval

    async def run(self) -> None:
        """Sweep, wait, sweep again."""
        self.ready()
        while True:
            await self._feeds.sweep()
            watched = self._feeds.watched
            if watched:
                await self._feeds.relay.watching()
            self.signals.emit("swept", watched)
            await asyncio.sleep(self._interval)
