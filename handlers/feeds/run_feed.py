"""The feed of a run: its versions, each once, without a gap, in order.

The version of a run grows by one with each change, under the lock of its row, so nothing can be
missing between two that follow each other. For each run that somebody watches here, the last
version that was told is kept. The next one is told at once. A higher one means that another process
wrote, or that two tasks came back in another order: what is between is read. A lower one was told.

What if it is lost? Whatever did not reach this process (a notice, a listener) is found by the
sweep, which compares the versions with the database.
"""

import asyncio
from collections import deque
from typing import Final
from uuid import UUID
from weakref import WeakSet

import msgspec

from channel_server.log import get_logger
from channel_server.pubsub import PubSub, StandIn
from handlers.feeds.following import PAGE, REPLAY_LIMIT, Sink, Start, Tasks, Told
from schema import run_events, views
from schema.log_lines import EVENT as LOGS
from schema.outcomes import Event
from schema.refusals import UNKNOWN_RUN
from schema.refused import Refused
from schema.repo import Repo
from schema.run_events import Head
from schema.runs import EVENT as UPDATED

LOGS_AVAILABLE: Final = "logs:available"
"""What a dashboard that is behind gets in place of log lines: from where to fetch them."""

TAIL: Final = 1000
"""Events kept for followers that are about to go live; older ones are read again."""

BEHIND: Final = Refused(kind="busy", retryable=True, code="busy")

log = get_logger(__name__)


class RunWatch:
    """A run that somebody watches.

    Attributes:
        run_id: The run.
        told: The last version that was told here; -1 until it is known.
        heard: The highest version that was heard of.
        readers: Followers that are not live yet.
        tail: What was told since the first of those came.
        filling: Reads what is missing.
    """

    __slots__ = ("filling", "heard", "readers", "run_id", "tail", "told")

    def __init__(self, run_id: UUID) -> None:
        self.run_id = run_id
        self.told = -1
        self.heard = -1
        self.readers: WeakSet[RunReader] = WeakSet()
        self.tail: deque[tuple[int, Told]] = deque(maxlen=TAIL)
        self.filling: asyncio.Task[None] | None = None

    @property
    def topic(self) -> str:
        """Where it is told."""
        return f"run:{self.run_id}"


class RunFeed:
    """The runs that are watched in this process.

    Args:
        repo: Where what is missing is read.
        pubsub: Where it is told.
    """

    def __init__(self, repo: Repo, pubsub: PubSub) -> None:
        self._repo = repo
        self._pubsub = pubsub
        self._watches: dict[UUID, RunWatch] = {}
        self._tasks = Tasks()

    @property
    def watched(self) -> int:
        """How many runs are watched."""
        return len(self._watches)

    def publish(self, event: Event) -> None:
        """Tell of a committed change, if it was not told; in its turn, if it came too early."""
        watch = self._watches.get(event.run_id)
        if watch is None:
            return
        if event.version == watch.told + 1 and watch.told >= 0:
            self._tell(watch, event)
        else:
            self.heard(event.run_id, event.version)

    def heard(self, run_id: UUID, version: int) -> None:
        """A run has come to a version; tell what of it was not told."""
        watch = self._watches.get(run_id)
        if watch is None or version <= watch.heard:
            return
        watch.heard = version
        if watch.heard > watch.told >= 0 and watch.filling is None:
            watch.filling = self._tasks.start(self._fill(watch))

    async def read_from(self, run_id: UUID) -> "tuple[RunReader, Head] | Refused":
        """Begin to watch a run.

        Returns:
            Somebody who follows it, to be started or closed; or why not.
        """
        watch = self._watches.setdefault(run_id, RunWatch(run_id))
        reader = RunReader(self, self._repo, watch)
        # Watched before it is asked where the run is: what changes meanwhile is heard of.
        head = await run_events.head(self._repo, run_id)
        if head is None or isinstance(head, Refused):
            reader.close()
            self._drop_idle(watch)
            return UNKNOWN_RUN if head is None else head
        if watch.told < 0:
            watch.told = head.version
            heard, watch.heard = watch.heard, head.version
            self.heard(run_id, heard)
        return reader, head

    async def filled(self, watch: RunWatch) -> None:
        """Wait until what was heard of is told, or could not be read."""
        filling = watch.filling
        if filling is not None:
            await asyncio.wait([filling])

    async def sweep(self) -> None:
        """Forget what nobody watches, and tell what nobody told us of."""
        for watch in list(self._watches.values()):
            self._drop_idle(watch)
        if not self._watches:
            return
        found = await run_events.versions(self._repo, list(self._watches))
        if isinstance(found, Refused):
            return
        for run_id, version in found.items():
            watch = self._watches.get(run_id)
            if watch is not None and watch.told >= 0:
                # Also when a read of what was heard of had failed.
                watch.heard = min(watch.heard, watch.told)
                self.heard(run_id, version)

    async def settle(self) -> None:
        """Wait until nothing is under way. For tests."""
        await self._tasks.settle()

    async def stop(self) -> None:
        """End what is under way."""
        await self._tasks.stop()

    def _drop_idle(self, watch: RunWatch) -> None:
        if not watch.readers and not self._pubsub.subscribers(watch.topic):
            self._watches.pop(watch.run_id, None)

    def _tell(self, watch: RunWatch, event: Event) -> None:
        version, name = event.version, event.name
        payload = event.payload_json.encode()
        watch.told = version
        if watch.heard < version:
            watch.heard = version
        if watch.readers:
            watch.tail.append((version, Told(name, payload, str(version))))
        elif watch.tail:
            watch.tail.clear()
        coalesce, stand_in = None, None
        if name == LOGS:
            where = {"after": version - 1, "until": version, "version": version}
            stand_in = StandIn(LOGS_AVAILABLE, where, ("after",))
        elif name == UPDATED:
            coalesce = UPDATED
        self._pubsub.broadcast(
            watch.topic, name, msgspec.Raw(payload), coalesce=coalesce, stand_in=stand_in
        )

    async def _fill(self, watch: RunWatch) -> None:
        try:
            while watch.heard > watch.told:
                found = await run_events.after(self._repo, watch.run_id, watch.told, PAGE)
                if isinstance(found, Refused):
                    log.debug("feed_read_refused", run=str(watch.run_id), kind=found.kind)
                    return
                if self._watches.get(watch.run_id) is not watch:
                    return  # forgotten meanwhile; whoever came back is told by another
                if not found:
                    watch.heard = watch.told  # pruned, or never committed
                for event in found:
                    if event.version > watch.told:
                        self._tell(watch, event)
        finally:
            watch.filling = None


class RunReader:
    """Somebody who follows a run: first what was missed, then what happens.

    Attributes:
        position: The last version that the follower has.
    """

    def __init__(self, feed: RunFeed, repo: Repo, watch: RunWatch) -> None:
        self.position = -1
        self._feed = feed
        self._repo = repo
        self._watch = watch
        self._first: list[Told] = []
        watch.readers.add(self)

    @property
    def caught_up(self) -> bool:
        """Whether it may go live now, in this turn of the event loop."""
        return not self._first and self.position == self._watch.told

    async def start(self, since: int | None, head: Head) -> Start | Refused:
        """Find out what was missed.

        Args:
            since: The last version that the follower has; None to begin now.
            head: Where the run is.
        """
        if since is None:
            self.position = self._watch.told
            return Start(complete=True, position=self.position)
        if since == head.version:
            self.position = since
            return Start(complete=True, position=since)
        if head.version - REPLAY_LIMIT <= since < head.version:
            self.position = since
            first = await self.read()
            if isinstance(first, Refused):
                return first
            if first is not None:
                self._first = first
                return Start(complete=True, position=since)
        view = await views.run(self._repo, self._watch.run_id)
        if view is None or isinstance(view, Refused):
            return view or UNKNOWN_RUN
        self.position = view.version
        return Start(complete=False, position=view.version, snapshot_json=view.payload_json)

    async def follow(self, sink: Sink) -> bool:
        """Replay to ``sink`` what was missed and let it go live, without a gap or a repeat.

        Returns:
            False if that was impossible: the follower must come back with its last position.
        """
        page, self._first = self._first, []
        try:
            while True:
                if not page:
                    found = await self.read() if sink.connected else None
                    if found is None or isinstance(found, Refused):
                        return not sink.connected
                    if not found:
                        # In the turn in which the feed was found to be where the follower is.
                        sink.go_live()
                        return True
                    page = found
                for told in page:
                    sink.take(told)
                page = []
                await sink.keep_pace()
        finally:
            self.close()

    async def read(self) -> list[Told] | Refused | None:
        """Return what follows the position, and move on.

        Returns:
            An empty list when there is nothing more and the follower may go live, in this turn of
            the event loop; None when the next version is gone.
        """
        watch = self._watch
        while self.position != watch.told:
            if self.position > watch.told:
                # The database is ahead of what was told here.
                self._feed.heard(watch.run_id, self.position)
                await self._feed.filled(watch)
                if self.position > watch.told:
                    return BEHIND
                continue
            page = self._from_tail() or await self._from_database()
            if isinstance(page, Refused):
                return page
            if not page or page[0][0] != self.position + 1:
                return None
            self.position = page[-1][0]
            return [told for _, told in page]
        return []

    def close(self) -> None:
        """Follow no longer; what is live stays live. Twice is fine."""
        self._watch.readers.discard(self)

    def _from_tail(self) -> list[tuple[int, Told]]:
        tail = self._watch.tail
        if not tail or tail[0][0] > self.position + 1:
            return []
        return [item for item in tail if item[0] > self.position]

    async def _from_database(self) -> list[tuple[int, Told]] | Refused:
        found = await run_events.after(self._repo, self._watch.run_id, self.position, PAGE)
        if isinstance(found, Refused):
            return found
        page: list[tuple[int, Told]] = []
        for event in found:
            if event.version != self.position + 1 + len(page):
                break  # pruned: what is before the hole may still be told
            told = Told(event.name, event.payload_json.encode(), str(event.version))
            page.append((event.version, told))
        return page
