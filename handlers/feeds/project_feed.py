"""The feed of a project: `run:created` and `run:updated` of all its runs, each once.

Runs commit in any order, so what was told is a position (:mod:`schema.positions`), not a number.
A *sweep* asks the database for everything beyond it and tells that, in the order of the events'
numbers. Between two sweeps an event that this process wrote is told at once if nothing of its run
can be missing: its version is the next one after all that is known of the run. Everything else
waits for the sweep that it asks for, a few milliseconds.

What if it is lost? A sweep does not depend on any notice, and one comes every second at the latest.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final
from uuid import UUID
from weakref import WeakSet

import msgspec

from channel_server.log import get_logger
from channel_server.pubsub import PubSub
from handlers.feeds.following import PAGE, Tasks
from handlers.feeds.project_reader import Arrival, ProjectReader, with_cursor
from schema import project_events
from schema.outcomes import Event
from schema.positions import Position
from schema.project_events import Page
from schema.refused import Refused
from schema.repo import Repo
from schema.runs import EVENT as UPDATED
from schema.tables import PROJECT_EVENTS

SOON: Final = 32
"""Events told one by one after which a sweep is asked for: each makes the cursor longer."""

MOST: Final = 512
"""After so many, sweeps alone tell, until one has come through."""

KNOWN: Final = 1000
"""Runs of a project that can be told of at once; those of others wait for a sweep."""

log = get_logger(__name__)


class ProjectWatch:
    """A project that somebody watches.

    Attributes:
        project_id: The project.
        position: What was told here; None until it is known where to begin.
        known: Versions of runs: all that watchers of the project are told up to there was told.
        meanwhile: What was told since the sweep under way was sent.
        readers: Followers that are not live yet.
        arriving: Those of them that want to go live with the next sweep.
    """

    __slots__ = ("arriving", "known", "meanwhile", "position", "project_id", "readers")

    def __init__(self, project_id: UUID) -> None:
        self.project_id = project_id
        self.position: Position | None = None
        self.known: OrderedDict[UUID, int] = OrderedDict()
        self.meanwhile: list[Event] = []
        self.readers: WeakSet[ProjectReader] = WeakSet()
        self.arriving: list[Arrival] = []

    @property
    def topic(self) -> str:
        """Where it is told."""
        return f"project:{self.project_id}"

    def learn(self, run_id: UUID, version: int) -> None:
        """All of a run up to a version was told."""
        self.known[run_id] = max(version, self.known.pop(run_id, 0))
        if len(self.known) > KNOWN:
            self.known.popitem(last=False)


class ProjectFeed:
    """The projects that are watched in this process.

    Args:
        repo: Where what is missing is read.
        pubsub: Where it is told.
    """

    def __init__(self, repo: Repo, pubsub: PubSub) -> None:
        self._repo = repo
        self._pubsub = pubsub
        self._watches: dict[UUID, ProjectWatch] = {}
        self._asked: set[UUID] = set()
        self._sweeping: asyncio.Task[None] | None = None
        self._tasks = Tasks()

    @property
    def watched(self) -> int:
        """How many projects are watched."""
        return len(self._watches)

    def publish(self, event: Event) -> None:
        """Tell of a committed change of a run; in its turn, if something may come before it."""
        watch = self._watches.get(event.project_id)
        if watch is None or watch.position is None:
            return  # in the latter case somebody is about to look
        known = watch.known.get(event.run_id, -1)
        if event.version <= known:
            return
        told = event.name in PROJECT_EVENTS
        next_one = known >= 0 and event.version == known + 1
        if next_one and not told:
            watch.learn(event.run_id, event.version)
        elif next_one and event.seq is not None and len(watch.position.told) < MOST:
            watch.meanwhile.append(event)
            self._tell(watch, event, watch.position.plus(event.seq))
            if len(watch.position.told) >= SOON:
                self.ask(event.project_id)
        elif told:
            self.ask(event.project_id)

    def ask(self, project_id: UUID) -> None:
        """Something happened in a project: look, if somebody watches it."""
        watch = self._watches.get(project_id)
        if watch is not None and watch.position is not None:
            self._asked.add(project_id)
            if self._sweeping is None:
                self._sweeping = self._tasks.start(self._sweep_asked())

    async def read_from(self, project_id: UUID) -> "ProjectReader | Refused":
        """Begin to watch a project; the follower is to be started or closed."""
        watch = self._watches.setdefault(project_id, ProjectWatch(project_id))
        reader = ProjectReader(self, self._repo, watch)
        if watch.position is None:
            now = await project_events.now(self._repo)
            if isinstance(now, Refused):
                reader.close()
                self._drop_idle(watch)
                return now
            if watch.position is None:
                watch.position = now
                # What was published while we asked was not told, and may not be in it.
                self.ask(project_id)
        return reader

    async def sweep(self) -> None:
        """Forget what nobody watches, and tell what nobody told us of."""
        for watch in list(self._watches.values()):
            self._drop_idle(watch)
            self.ask(watch.project_id)
        sweeping = self._sweeping
        if sweeping is not None:
            await asyncio.wait([sweeping])

    async def arrive(self, watch: ProjectWatch, arrival: Arrival) -> bool | None:
        """Let a follower go live with the next sweep.

        Returns:
            True when it is live; False when it must ask again, None when that is of no use.
        """
        watch.arriving.append(arrival)
        self.ask(watch.project_id)
        return await arrival.done

    async def settle(self) -> None:
        """Wait until nothing is under way. For tests."""
        await self._tasks.settle()

    async def stop(self) -> None:
        """End what is under way."""
        await self._tasks.stop()

    def _drop_idle(self, watch: ProjectWatch) -> None:
        if not watch.readers and not self._pubsub.subscribers(watch.topic):
            self._watches.pop(watch.project_id, None)

    async def _sweep_asked(self) -> None:
        try:
            while self._asked:
                asked = [self._watches.get(project_id) for project_id in self._asked]
                self._asked.clear()
                # One that was forgotten since it was asked for, and is begun anew, asks by itself.
                watches = [watch for watch in asked if watch and watch.position is not None]
                await self._sweep_some(watches)
        finally:
            self._sweeping = None

    async def _sweep_some(self, watches: list[ProjectWatch]) -> None:
        """Bring some projects, and those who arrive there, to one moment of the database."""
        asked: list[tuple[UUID, Position]] = []
        arrivals: list[list[Arrival]] = []
        for watch in watches:
            assert watch.position is not None  # noqa: S101 (the caller sees to it)
            watch.meanwhile = []
            arrivals.append(watch.arriving)
            watch.arriving = []
            asked.append((watch.project_id, watch.position))
            asked += [(watch.project_id, arrival.position) for arrival in arrivals[-1]]
        pages: list[Page] | Refused = Refused(kind="unavailable")
        try:
            pages = await project_events.missing(self._repo, asked, PAGE)
        finally:
            if isinstance(pages, Refused):
                for arrival in (each for some in arrivals for each in some):
                    arrival.settle(None)
        if isinstance(pages, Refused):
            log.debug("feed_sweep_refused", kind=pages.kind)
            return
        following = iter(pages)
        for watch, arriving in zip(watches, arrivals, strict=True):
            self._catch_up(watch, next(following), arriving, following)

    def _catch_up(
        self,
        watch: ProjectWatch,
        page: Page,
        arriving: list[Arrival],
        theirs: Iterator[Page],
    ) -> None:
        """Tell what the sweep found, then let in who arrives; all in one turn of the event loop."""
        found = {event.seq for event in page.events}
        # Not in what the sweep saw, so committed after it.
        later = [event for event in watch.meanwhile if event.seq not in found]
        if self._watches.get(watch.project_id) is watch:
            self._tell_page(watch, page, later)
        # Else it was forgotten meanwhile; whoever came back is told by another.
        for arrival in arriving:
            arrival.arrive(next(theirs), None if page.full else later)

    def _tell_page(self, watch: ProjectWatch, page: Page, later: list[Event]) -> None:
        before = watch.position
        assert before is not None  # noqa: S101 (a sweep has one)
        told = set(before.told)
        for event in page.events:
            watch.learn(event.run_id, event.version)
            if event.seq not in told and event.seq is not None:
                self._tell(watch, event, before.reached(page.target, event.seq))
        beyond = [event.seq for event in later if event.seq is not None]
        if page.gap:
            log.warning("feed_gap", project=str(watch.project_id))
            watch.position = Position(page.now)
        elif page.full:
            watch.position = before.reached(page.target, page.events[-1].seq or 0)
            self.ask(watch.project_id)
        elif before.stage is None:
            watch.position = before.completed(page.target, beyond)
        else:
            # The snapshot is an old one: what was told since may or may not be in it.
            watch.position = before.completed(page.target, before.told)
            self.ask(watch.project_id)

    def _tell(self, watch: ProjectWatch, event: Event, position: Position) -> None:
        watch.position = position
        watch.learn(event.run_id, event.version)
        self._pubsub.broadcast(
            watch.topic,
            event.name,
            msgspec.Raw(with_cursor(event.payload_json, position.cursor)),
            coalesce=str(event.run_id) if event.name == UPDATED else None,
        )
