"""Somebody who follows a project: first what was missed, then what happens."""

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

from channel_server.log import get_logger
from handlers.feeds.following import PAGE, REPLAY_LIMIT, Sink, Start, Told
from schema import project_events
from schema.outcomes import Event
from schema.positions import BadCursorError, Position
from schema.project_events import Page
from schema.refused import Refused, invalid
from schema.repo import Repo

if TYPE_CHECKING:
    from handlers.feeds.project_feed import ProjectFeed, ProjectWatch

BAD_CURSOR = invalid("since", "is invalid")

log = get_logger(__name__)


def with_cursor(payload_json: str, cursor: str) -> bytes:
    """Return the payload of an event with the position after it."""
    return f'{payload_json[:-1]}, "cursor": "{cursor}"}}'.encode()


def told(event: Event, position: Position) -> Told:
    """Return an event as a follower takes it, with the position after it."""
    cursor = position.cursor
    return Told(event.name, with_cursor(event.payload_json, cursor), cursor)


def replay(sink: Sink, position: Position, page: Page) -> Position:
    """Send a page to a follower; return the position after it."""
    known = set(position.told)
    for event in page.events:
        if event.seq is not None and event.seq not in known:
            sink.take(told(event, position.reached(page.target, event.seq)))
    if page.full:
        return position.reached(page.target, page.events[-1].seq or 0)
    # What was told one by one before a snapshot of now is in it.
    return position.completed(page.target, () if position.stage is None else position.told)


class Arrival:
    """A follower that wants to go live with the next sweep.

    Args:
        sink: The follower.
        position: What it knows.

    Attributes:
        done: True when it is live; False when it must ask again, None when it must come back.
    """

    def __init__(self, sink: Sink, position: Position) -> None:
        self.sink = sink
        self.position = position
        self.done: asyncio.Future[bool | None] = asyncio.get_running_loop().create_future()

    def settle(self, result: bool | None) -> None:
        """Say how it went; the first time counts."""
        if not self.done.done():
            self.done.set_result(result)

    def arrive(self, page: Page, later: list[Event] | None) -> None:
        """Take what the sweep found, and go live if the feed is there.

        Args:
            page: What the follower misses of what the sweep saw.
            later: What was told since the sweep was sent; None if the feed has not told all that
                the sweep saw.
        """
        if self.done.done():
            return  # it went away
        if page.gap:
            self.settle(None)
            return
        staged = self.position.stage is not None
        self.position = replay(self.sink, self.position, page)
        if page.full or staged or later is None:
            self.settle(False)
            return
        for event in later:
            self.position = self.position.plus(event.seq or 0)
            self.sink.take(told(event, self.position))
        self.sink.go_live()
        self.settle(True)


class ProjectReader:
    """Follows one project.

    Attributes:
        position: What the follower knows.
    """

    def __init__(self, feed: "ProjectFeed", repo: Repo, watch: "ProjectWatch") -> None:
        self.position: Position | None = None
        self._feed = feed
        self._repo = repo
        self._watch = watch
        self._first: Page | None = None
        watch.readers.add(self)

    @property
    def caught_up(self) -> bool:
        """Whether it may go live now, in this turn of the event loop."""
        return self._first is None and self.position == self._watch.position

    async def start(self, since: object) -> Start | Refused:
        """Find out what was missed.

        Args:
            since: The cursor that the follower has; None to begin now.
        """
        if since is None:
            self.position = self._watch.position
            return self._complete()
        try:
            self.position = Position.parse(since)
        except BadCursorError:
            return BAD_CURSOR
        if self.position == self._watch.position:
            # Nothing was told since; another process may have news all the same.
            self._feed.ask(self._watch.project_id)
            return self._complete()
        page = await self._read(self.position)
        if isinstance(page, Refused):
            return page
        if not page.gap and page.full:
            size = await self._count(self.position)
            if isinstance(size, Refused):
                return size
            if size > REPLAY_LIMIT:
                return await self._snapshot()
        if page.gap:
            return await self._snapshot()
        self._first = page
        return self._complete()

    async def follow(self, sink: Sink) -> bool:
        """Replay to ``sink`` what was missed and let it go live, without a gap or a repeat.

        Returns:
            False if that was impossible: the follower must come back with its last cursor.
        """
        page, self._first = self._first, None
        position = self.position
        assert position is not None  # noqa: S101 (it was started)
        try:
            while sink.connected:
                if page is not None:
                    position = replay(sink, position, page)
                    await sink.keep_pace()
                if page is not None and page.full:
                    found = await self._read(position)
                    if isinstance(found, Refused) or found.gap:
                        return False
                    page = found
                    continue
                page = None
                arrival = Arrival(sink, position)
                result = await self._feed.arrive(self._watch, arrival)
                if result is not False:
                    return result is True
                position = arrival.position
                await sink.keep_pace()
            return True
        finally:
            self.close()

    def close(self) -> None:
        """Follow no longer; what is live stays live. Twice is fine."""
        self._watch.readers.discard(self)

    def _complete(self) -> Start:
        assert self.position is not None  # noqa: S101 (a watch has one once it is read from)
        return Start(complete=True, position=self.position.cursor)

    async def _snapshot(self) -> Start | Refused:
        seen = await project_events.snapshot(self._repo, self._watch.project_id)
        if isinstance(seen, Refused):
            return seen
        self.position = seen.position
        return Start(complete=False, position=seen.position.cursor, snapshot_json=seen.payload_json)

    async def _read(self, position: Position) -> Page | Refused:
        asked = [(self._watch.project_id, position)]
        pages = await project_events.missing(self._repo, asked, PAGE)
        return pages if isinstance(pages, Refused) else pages[0]

    async def _count(self, position: Position) -> int | Refused:
        project_id: UUID = self._watch.project_id
        return await project_events.count(self._repo, project_id, position, REPLAY_LIMIT + 1)
