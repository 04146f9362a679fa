"""Whether new websockets are let in: the database answers and its tables are those of this release.

While it is not so, upgrades are refused with 503, and workers try again; websockets that are open
stay open.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

import migrations
from channel_server.log import get_logger
from channel_server.service import Service
from schema.refused import Refused
from schema.repo import Repo, Statement

INTERVAL: Final = 1.0
"""Seconds between two looks while the database is there."""

SOON: Final = 0.2
"""Seconds between two looks while it is not."""

ALIVE: Final = Statement(
    "readiness.alive", "SELECT current_setting('transaction_read_only') = 'off' AS writable"
)

log = get_logger(__name__)


class Readiness(Service):
    """Looks at the database from time to time; emits `checked` with whether it is well.

    Any statement of the application that finds the database gone, or back, makes it look at once.

    Args:
        repo: the door to the database.
        dsn: its URL, to read the migrations.
        changed: told at each change, and at the first look.
    """

    name = "readiness"

    def __init__(self, repo: Repo, dsn: str, changed: Callable[[bool], None]) -> None:
        super().__init__()
        self._repo = repo
        self._dsn = dsn
        self._changed = changed
        self._migrated = False
        self._last: bool | None = None
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Look, wait, look again."""
        self._repo.changed = self._woken.set
        while True:
            self._woken.clear()
            well = await self.check()
            if well is not self._last:
                self._last = well
                self._changed(well)
                log.info("readiness_changed", ready=well)
            self.ready()
            self.signals.emit("checked", well)
            await self._pause(INTERVAL if self._repo.reachable else SOON)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    async def check(self) -> bool:
        """Whether requests can be served now."""
        alive = await self._repo.fetchrow(ALIVE)
        if alive is None or isinstance(alive, Refused):
            return False
        if not alive["writable"]:
            # Connections of the time before a fail-over lead to what is a standby now.
            await self._repo.renew()
            return False
        if not self._migrated:
            status = await migrations.status(self._dsn)
            self._migrated = status.up_to_date
            if not self._migrated:
                log.warning("migrations_pending", pending=list(status.pending))
        return self._migrated
