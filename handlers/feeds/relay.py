"""Tells other processes what this one has changed, so that they look at once.

A notification inside the statement of a change would make commits wait for each other, so changes
are collected for a few milliseconds and sent together by a statement of its own. Nothing is sent
unless another process said within the last seconds that somebody watches there.

What if it is lost? The sweep of the other process finds the change within a second.
"""

import asyncio
import os
from typing import Any, Final
from uuid import UUID, uuid4

import msgspec

from channel_server.log import get_logger
from handlers.feeds.following import Tasks
from handlers.feeds.project_feed import ProjectFeed
from handlers.feeds.run_feed import RunFeed
from schema import notifications
from schema.outcomes import Event
from schema.repo import Repo
from schema.tables import PROJECT_EVENTS

DELAY: Final = 0.01
"""Seconds that changes are collected."""

BATCH: Final = 60
"""Runs and projects in one notification, which PostgreSQL limits to 8 000 bytes."""

REMEMBERED: Final = 3.5
"""Seconds for which a process that says that somebody watches is believed."""

log = get_logger(__name__)


class _Told(msgspec.Struct, frozen=True):
    told_by: str
    runs: dict[UUID, int]
    projects: list[UUID]


class Relay:
    """What goes to other processes, and what comes from them.

    Args:
        repo: Where notifications are sent.
        runs: The feeds to tell.
        projects: The feeds to tell.

    Attributes:
        name: Of this process among all.
        sent: Notifications sent.
    """

    def __init__(self, repo: Repo, runs: RunFeed, projects: ProjectFeed) -> None:
        self.sent = 0
        self._repo = repo
        self._runs = runs
        self._projects = projects
        self.name = f"{os.getpid()}-{uuid4().hex[:8]}"
        self._changed: dict[str, int] = {}
        self._touched: set[str] = set()
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks = Tasks()

    @property
    def wanted(self) -> bool:
        """Whether somebody watches in another process."""
        return self._until > 0 and asyncio.get_running_loop().time() < self._until

    def changed(self, event: Event) -> None:
        """This process has committed a change."""
        if self.wanted:
            self._changed[str(event.run_id)] = event.version
            if event.name in PROJECT_EVENTS:
                self._touched.add(str(event.project_id))
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(DELAY, self._flush)

    async def watching(self) -> None:
        """Say that somebody watches here; true for some seconds."""
        await self._send({"watching": self.name})

    def received(self, notice: dict[str, Any]) -> bool:
        """Act on a notification; whether it was for us."""
        if "watching" in notice:
            if notice["watching"] != self.name:
                self._until = asyncio.get_running_loop().time() + REMEMBERED
            return True
        if "told_by" not in notice:
            return False
        if notice["told_by"] != self.name:
            self._heard(notice)
        return True

    async def settle(self) -> None:
        """Send what was collected, and wait for it. For tests."""
        if self._timer is not None:
            self._flush()
        await self._tasks.settle()

    async def stop(self) -> None:
        """Send nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._tasks.stop()

    def _heard(self, notice: dict[str, Any]) -> None:
        try:
            told = msgspec.convert(notice, _Told)
        except msgspec.ValidationError:
            log.warning("notice_ignored")
            return
        for run_id, version in told.runs.items():
            self._runs.heard(run_id, version)
        for project_id in told.projects:
            self._projects.ask(project_id)

    def _flush(self) -> None:
        self._timer = None
        runs, projects = list(self._changed.items()), list(self._touched)
        self._changed, self._touched = {}, set()
        self._tasks.start(self._send_all(runs, projects))

    async def _send_all(self, runs: list[tuple[str, int]], projects: list[str]) -> None:
        while runs or projects:
            some, runs = runs[:BATCH], runs[BATCH:]
            room = BATCH - len(some)
            there, projects = projects[:room], projects[room:]
            await self._send({"told_by": self.name, "runs": dict(some), "projects": there})

    async def _send(self, notice: dict[str, Any]) -> None:
        self.sent += 1
        await notifications.send(self._repo, notice)
