"""`workers:changed` on `project:<id>`: who is connected, told to dashboards that watch.

Changes come in bursts, as when a server restarts: they are told together, and only what differs
from what the project was told last. Every heartbeat looks too, because nobody tells of a server
that was killed, nor of the runs that workers took or ended.

What if it is lost? The next change, or the next heartbeat, tells the whole list again.
"""

import asyncio
from typing import Final
from uuid import UUID

import msgspec

from channel_server.log import get_logger
from channel_server.pubsub import PubSub
from handlers.config import Settings
from handlers.run_tokens import as_uuid
from schema import workers
from schema.refused import Refused
from schema.repo import Repo

EVENT: Final = "workers:changed"
TOPIC: Final = "project:"

DEBOUNCE: Final = 0.5
"""Seconds that changes are collected."""

log = get_logger(__name__)


class WorkersFeed:
    """Tells projects that are watched of their workers.

    Args:
        settings: the configuration.
        repo: the door to the database.
        pubsub: where dashboards are subscribed.
    """

    def __init__(self, settings: Settings, repo: Repo, pubsub: PubSub) -> None:
        self._settings = settings
        self._repo = repo
        self._pubsub = pubsub
        self._told: dict[UUID, bytes] = {}
        self._task: asyncio.Task[None] | None = None
        self._again = False
        self._closed = False

    def changed(self) -> None:
        """Workers came or went, or may have; never blocks."""
        if self._closed or not self._watched():
            return
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        else:
            self._again = True

    async def close(self) -> None:
        """Tell nobody any more."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def tell(self) -> None:
        """Tell every watched project what differs from what it was told last."""
        watched = self._watched()
        self._told = {project: told for project, told in self._told.items() if project in watched}
        if not watched:
            return
        roster = await workers.roster(
            self._repo, watched, gone_after_s=self._settings.worker_gone_after
        )
        if isinstance(roster, Refused):
            log.debug("workers_refused", kind=roster.kind)
            return
        for project in watched:
            payload = msgspec.json.encode({"workers": roster.of(project)})
            # A heartbeat alone, which moves `seen_at`, is no news.
            news = msgspec.json.encode([_timeless(worker) for worker in roster.of(project)])
            if self._told.get(project) != news:
                self._told[project] = news
                self._pubsub.broadcast(
                    f"{TOPIC}{project}", EVENT, msgspec.Raw(payload), coalesce=EVENT
                )

    async def _work(self) -> None:
        self._again = True
        while self._again:
            self._again = False
            await asyncio.sleep(DEBOUNCE)
            try:
                await self.tell()
            except Exception:
                log.exception("workers_feed_failed")

    def _watched(self) -> set[UUID]:
        names = [name for name in self._pubsub.topics() if name.startswith(TOPIC)]
        found = {as_uuid(name.removeprefix(TOPIC)) for name in names}
        return {project for project in found if project is not None}


def _timeless(worker: workers.Worker) -> workers.Worker:
    return msgspec.structs.replace(worker, seen_at=worker.connected_at)
