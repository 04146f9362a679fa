"""Schedules: cron expressions whose ticks become jobs. Pure."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from cronsim import CronSim, CronSimError

from pipelines.dedup import DedupConfig
from pipelines.model import NewJob

_MOST_TICKS: Final = 1_000


class InvalidScheduleError(ValueError):
    """A cron expression or time zone cannot be used.

    Attributes:
        expression: The expression.
        reason: What is wrong.
    """

    def __init__(self, expression: str, reason: str) -> None:
        super().__init__(expression, reason)
        self.expression = expression
        self.reason = reason

    def __str__(self) -> str:
        return f"cron expression {self.expression!r}: {self.reason}"


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A job to be created at each tick of a cron expression.

    Attributes:
        key: Names the schedule across processes and restarts; a tick is (key, time).
        cron: Five fields, as in crontab(5); six with seconds first. In the time zone.
        job: What to create; ``config["tick"]`` is set to the time of the tick.
        since: Ticks at or before this time are not created.
        timezone: IANA name. Around changes of daylight saving, ticks are as Debian's cron has them.
        dedup: A tick whose job's scope has an active job joins that one. None: each tick is a scope
            of its own, ``@`` and the tick being added to the job's ``scope_key``.
    """

    key: str
    cron: str
    job: NewJob
    since: datetime
    timezone: str = "UTC"
    dedup: DedupConfig | None = None

    def job_of(self, tick: datetime) -> NewJob:
        """Return the job to create at a tick."""
        moment, scope = tick.isoformat(), self.job.scope_key
        if self.dedup is None and scope is not None:
            scope = f"{scope}@{moment}"
        return msgspec.structs.replace(
            self.job, config={**self.job.config, "tick": moment}, scope_key=scope
        )


def check_cron(cron: str, timezone: str = "UTC") -> None:
    """Refuse a cron expression that cannot be used.

    Raises:
        InvalidScheduleError: It does not parse, has no tick, or the time zone is unknown.
    """
    next(_iterate(cron, timezone, datetime.now(UTC)), None)


def next_tick(schedule: Schedule, after: datetime) -> datetime | None:
    """Return the first tick after a time, in UTC; None if there is none for 50 years.

    Raises:
        InvalidScheduleError: See :func:`check_cron`.
    """
    return next(_iterate(schedule.cron, schedule.timezone, after), None)


def ticks_between(schedule: Schedule, after: datetime, until: datetime) -> list[datetime]:
    """Return the ticks in ``(after, until]``, in UTC, oldest first; the last 1000 at most.

    Raises:
        InvalidScheduleError: See :func:`check_cron`.
    """
    ticks: list[datetime] = []
    for tick in _iterate(schedule.cron, schedule.timezone, after):
        if tick > until:
            break
        ticks.append(tick)
    return ticks[-_MOST_TICKS:]


def _iterate(cron: str, timezone: str, after: datetime) -> Iterator[datetime]:
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidScheduleError(cron, f"unknown time zone {timezone!r}") from None
    try:
        simulation = CronSim(cron, after.astimezone(zone))
    except CronSimError as error:
        raise InvalidScheduleError(cron, str(error)) from None
    for tick in simulation:
        yield tick.astimezone(UTC)
