"""Schedules: each tick becomes one job, across any number of processes."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs
from toy_pipelines import Lab, fast

from pipelines import NewJob, Schedule, scope_key_dedup
from pipelines.scheduler import Scheduler
from pipelines.schedules import InvalidScheduleError, check_cron, next_tick, ticks_between
from pipelines.storage import ticks

START = datetime(2025, 11, 21, 12, 0, tzinfo=UTC)


def schedule(cron: str = "*/5 * * * *", **values: object) -> Schedule:
    given: dict[str, object] = {
        "key": "nightly",
        "cron": cron,
        "job": NewJob(job_type="idle", config={"a": 1}),
        "since": START,
    }
    return Schedule(**(given | values))  # pyright: ignore[reportArgumentType] (values of a test)


class Clock:
    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def scheduler(lab: Lab, clock: Clock, *schedules: Schedule, minutes: int = 60) -> Scheduler:
    async def source() -> Sequence[Schedule]:
        return schedules

    return Scheduler(
        lab.pool, source, interval=60, catch_up=timedelta(minutes=minutes), clock=clock
    )


async def created(lab: Lab) -> list[str]:
    rows = await lab.fetch("SELECT meta -> 'config' ->> 'tick' AS tick FROM pipeline_jobs")
    return sorted(row["tick"][11:16] for row in rows)


def test_ticks_between_excludes_the_first_and_includes_the_last_moment() -> None:
    found = ticks_between(schedule(), START, START + timedelta(minutes=10))
    assert [tick.minute for tick in found] == [5, 10]


async def test_ticks_that_were_missed_are_each_made_although_they_name_one_scope(lab: Lab) -> None:
    scoped = schedule(job=NewJob(job_type="idle", scope_key="trigger"))
    await scheduler(lab, Clock(START + timedelta(minutes=16)), scoped).pass_once()
    assert await created(lab) == ["12:05", "12:10", "12:15"]


async def test_ticks_of_a_deduplicated_schedule_join_the_job_that_is_active(lab: Lab) -> None:
    sweep = schedule(
        job=NewJob(job_type="idle", scope_key="gateway"), dedup=scope_key_dedup("idle")
    )
    await scheduler(lab, Clock(START + timedelta(minutes=16)), sweep).pass_once()
    assert len(await created(lab)) == 1
    assert len(await lab.fetch("SELECT 1 FROM pipeline_ticks")) == 3


def test_the_time_zone_of_a_schedule_counts_and_daylight_saving_too() -> None:
    zurich = schedule("0 8 * * *", timezone="Europe/Zurich")
    winter = next_tick(zurich, datetime(2025, 1, 10, tzinfo=UTC))
    summer = next_tick(zurich, datetime(2025, 7, 10, tzinfo=UTC))
    assert winter is not None
    assert summer is not None
    assert (winter.hour, summer.hour) == (7, 6)


def test_a_time_that_is_skipped_in_spring_is_not_lost() -> None:
    skipped = schedule("30 2 * * *", timezone="Europe/Zurich")
    found = ticks_between(
        skipped, datetime(2025, 3, 29, 12, tzinfo=UTC), datetime(2025, 3, 30, 12, tzinfo=UTC)
    )
    assert [tick.isoformat() for tick in found] == ["2025-03-30T01:00:00+00:00"]


def test_a_time_that_comes_twice_in_autumn_ticks_once() -> None:
    twice = schedule("30 2 * * *", timezone="Europe/Zurich")
    found = ticks_between(
        twice, datetime(2025, 10, 25, 12, tzinfo=UTC), datetime(2025, 10, 26, 12, tzinfo=UTC)
    )
    assert len(found) == 1


@pytest.mark.parametrize(
    "cron", ["", "* * *", "61 * * * *", "* * * * 9", "@nonsense", "0 0 31 2 *"]
)
def test_an_expression_that_cannot_be_used_is_refused(cron: str) -> None:
    with pytest.raises(InvalidScheduleError, match="cron expression"):
        check_cron(cron)


@pytest.mark.parametrize("zone", ["Mars/Base", "../etc/passwd", ""])
def test_an_unknown_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(InvalidScheduleError, match="time zone"):
        check_cron("* * * * *", zone)


async def test_each_tick_is_created_once_by_any_number_of_schedulers(lab: Lab) -> None:
    clock = Clock(START + timedelta(minutes=30))
    many = [scheduler(lab, clock, schedule()) for _ in range(5)]
    await asyncio.gather(*(each.pass_once() for each in many))
    assert await created(lab) == ["12:05", "12:10", "12:15", "12:20", "12:25", "12:30"]
    assert await lab.value("SELECT count(*) FROM pipeline_ticks WHERE job_id IS NOT NULL") == 6
    job = (await lab.jobs())[0]
    assert job.config["a"] == 1


async def test_a_pass_says_when_the_next_tick_is(lab: Lab) -> None:
    clock = Clock(START + timedelta(minutes=1))
    assert await scheduler(lab, clock, schedule()).pass_once() == 240


async def test_ticks_missed_for_longer_than_the_window_are_skipped(lab: Lab) -> None:
    clock = Clock(START + timedelta(hours=5))
    await scheduler(lab, clock, schedule(), minutes=10).pass_once()
    assert await created(lab) == ["16:55", "17:00"]


async def test_ticks_continue_after_the_last_one_that_was_created(lab: Lab) -> None:
    clock = Clock(START + timedelta(minutes=5))
    made = scheduler(lab, clock, schedule())
    await made.pass_once()
    clock.now += timedelta(minutes=5)
    await made.pass_once()
    assert await created(lab) == ["12:05", "12:10"]


async def test_a_schedule_that_cannot_be_used_is_logged_once_and_stops_no_other(lab: Lab) -> None:
    clock = Clock(START + timedelta(minutes=5))
    made = scheduler(lab, clock, schedule("bad", key="bad"), schedule())
    with capture_logs() as logs:
        await made.pass_once()
        await made.pass_once()
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["schedule_invalid"]
    assert await created(lab) == ["12:05"]


async def test_old_ticks_are_forgotten_but_never_the_last_of_a_schedule(lab: Lab) -> None:
    async with lab.pool.acquire() as connection:
        for days in (100, 90, 1):
            tick = datetime.now(UTC) - timedelta(days=days)
            await ticks.create_tick(connection, schedule(key="a"), tick)
        old = datetime.now(UTC) - timedelta(days=99)
        await ticks.create_tick(connection, schedule(key="b"), old)
        assert await ticks.prune(connection, timedelta(days=30)) == 2
        assert set(await ticks.last_ticks(connection, ["a", "b"])) == {"a", "b"}


async def test_engines_create_the_jobs_of_schedules_and_run_them(lab: Lab) -> None:
    now = datetime.now(UTC)
    every_minute = schedule("* * * * *", since=now - timedelta(minutes=3))

    async def source() -> Sequence[Schedule]:
        return [every_minute]

    settings = fast(schedule_catch_up=timedelta(minutes=10))
    first = await lab.started(settings=settings, schedules=source)
    second = await lab.started(settings=settings, schedules=source)
    await lab.quiet(first)
    await lab.quiet(second)
    ticked = await lab.value("SELECT count(*) FROM pipeline_ticks")
    assert ticked >= 3
    assert await lab.value("SELECT count(*) FROM pipeline_jobs") == ticked
