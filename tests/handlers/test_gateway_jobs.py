"""The gateway's own jobs: cron triggers, retention, run statistics; on one engine, or on two."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from handlers.application import Application
from handlers.jobs import cron, retention, statistics
from handlers.jobs.engine import own_schedules
from handlers.jobs.registry import build_registry
from handlers.jobs.staleness import stale_run_statistics
from pipelines import IngestionMethod, NewJob, Schedule
from pipelines.scheduler import Scheduler
from pipelines.storage import jobs as storage
from schema import run_statistics
from schema.refused import Refused
from tests.handlers.bench import settings
from tests.handlers.pipelines_bench import PATIENCE, QUIET, Bench, cron_flow
from tests.schema.world import World, project

HOUR = timedelta(hours=1)


@pytest.fixture
async def one(database_url: str) -> AsyncIterator[Bench]:
    """An application that runs jobs, and nothing by the clock."""
    app = await Application(settings(database_url, **QUIET)).start()
    yield Bench(app)
    await app.stop(drain=False)


async def world(bench: Bench, **more: Any) -> World:
    """A project with a cron trigger beside its webhook."""
    return await World.create(bench.app.repo, project(workflows=[cron_flow("0 3 * * *")], **more))


def scheduler(bench: Bench, at: datetime, known: list[Schedule] | None = None) -> Scheduler:
    engine = bench.app.gateway.engine

    async def source() -> list[Schedule]:
        return await cron.schedules(bench.app.repo) if known is None else known

    return Scheduler(
        engine.pool,
        source,
        interval=60.0,
        catch_up=timedelta(minutes=10),
        clock=lambda: at,
    )


async def tick_of(bench: Bench) -> datetime:
    """The next time at which the cron trigger is due."""
    (schedule,) = await cron.schedules(bench.app.repo)
    since = schedule.since.astimezone(UTC)
    three = since.replace(hour=3, minute=0, second=0, microsecond=0)
    return three if three > since else three + timedelta(days=1)


async def all_ended(bench: Bench, job_type: str) -> list[dict[str, Any]]:
    ids = await bench.run("SELECT id FROM pipelines WHERE kind = $1", job_type)
    bench.app.gateway.engine.wake()
    return [await bench.ended(row["id"]) for row in ids]


def test_every_job_type_of_the_application_is_registered() -> None:
    own = {cron.JOB_TYPE, retention.JOB_TYPE, statistics.SWEEP, statistics.JOB_TYPE}
    domain = {
        *("csv_ingest", "api_ingest", "factor_ingest", "emission_recalc"),
        *("module_emission_recalc", "aggregation", "unit_sync"),
    }
    assert build_registry().job_types == own | domain


async def test_a_cron_tick_makes_one_work_order_across_two_servers(
    one: Bench, database_url: str
) -> None:
    made = await world(one)
    other = Bench(await Application(settings(database_url, **QUIET)).start())
    try:
        tick = await tick_of(one)
        at = tick + timedelta(seconds=5)
        passes = [scheduler(bench, at).pass_once() for bench in (one, other, one, other)]
        await asyncio.gather(*passes)
        (wire,) = await all_ended(one, cron.JOB_TYPE)
    finally:
        await other.app.stop(drain=False)
    (job,) = wire["jobs"]
    assert (job["result"], job["meta"]["tick"]) == ("SUCCESS", tick.isoformat())
    (run,) = await made.rows(
        "SELECT r.*, d.body::text AS input FROM runs r JOIN dataclips d ON d.id = r.dataclip_id"
    )
    assert str(run["id"]) == job["meta"]["run_id"]
    assert (run["state"], run["created_by"]) == ("available", "cron")
    assert run["starting_trigger_id"] == made.workflow().triggers["nightly"]
    assert tick.isoformat() in run["input"]


async def test_workers_are_told_of_a_run_that_a_tick_made(one: Bench) -> None:
    await world(one)
    told: asyncio.Queue[Any] = asyncio.Queue()

    class Worker:
        def deliver(self, broadcast: Any) -> None:
            told.put_nowait(broadcast.event)

    worker = Worker()
    one.app.pubsub.subscribe("worker:queue", worker)
    await scheduler(one, await tick_of(one)).pass_once()
    await all_ended(one, cron.JOB_TYPE)
    async with asyncio.timeout(PATIENCE):
        assert await told.get() == "work-available"


async def test_triggers_that_are_switched_off_have_no_schedule(one: Bench) -> None:
    made = await world(one)
    assert len(await cron.schedules(one.app.repo)) == 1
    await made.rows("UPDATE triggers SET enabled = false WHERE type = 'cron'")
    assert await cron.schedules(one.app.repo) == []


async def test_a_tick_of_a_trigger_switched_off_meanwhile_is_a_warning_and_no_run(
    one: Bench,
) -> None:
    made = await world(one)
    at, known = await tick_of(one), await cron.schedules(one.app.repo)
    await made.rows("UPDATE triggers SET enabled = false WHERE type = 'cron'")
    await scheduler(one, at, known).pass_once()
    (wire,) = await all_ended(one, cron.JOB_TYPE)
    assert wire["jobs"][0]["result"] == "WARNING"
    assert await made.value("SELECT count(*) FROM runs") == 0


def test_the_gateways_own_schedules_can_be_switched_off() -> None:
    base = settings("postgresql://localhost/x")
    assert [each.job.job_type for each in own_schedules(base)] == [
        *("run_statistics_sweep", "retention_wipe")
    ]
    assert own_schedules(settings("postgresql://localhost/x", **QUIET)) == []


async def submit(bench: Bench, job_type: str) -> dict[str, Any]:
    engine = bench.app.gateway.engine
    made = await engine.submit(
        NewJob(job_type=job_type, scope_key="gateway", ingestion_method=IngestionMethod.computed)
    )
    return await bench.ended(made.pipeline_id)


async def finished(made: World, state: str) -> UUID:
    owner = await made.started()
    await made.complete(owner, state)
    return owner.run_id


@pytest.mark.parametrize(
    ("policy", "wiped"),
    [("retain_all", set[str]()), ("retain_with_errors", {"success"}),
     ("erase_all", {"success", "failed"})],
)  # fmt: skip
async def test_retention_wipes_what_the_project_does_not_keep(
    one: Bench, policy: str, wiped: set[str]
) -> None:
    made = await world(one, retention_policy=policy)
    runs = {reason: await finished(made, reason) for reason in ("success", "failed")}
    waiting = await made.enqueue()
    wire = await submit(one, retention.JOB_TYPE)
    assert wire["jobs"][0]["meta"]["wiped"] == len(wiped)
    gone = {
        name
        for name, run in {**runs, "waiting": waiting.run_id}.items()
        if await made.value(
            "SELECT d.wiped_at IS NOT NULL FROM runs r JOIN dataclips d ON d.id = r.dataclip_id"
            " WHERE r.id = $1",
            run,
        )
    }
    assert gone == wiped


async def test_housekeeping_of_long_ago_is_forgotten_and_nothing_else(one: Bench) -> None:
    for kind in ("retention_wipe", "csv_ingest"):
        await one.run(
            "INSERT INTO pipelines (kind, status, finished_at)"
            " VALUES ($1, 'SUCCESS', now() - interval '8 days')",
            kind,
        )
    wire = await submit(one, retention.JOB_TYPE)
    assert wire["jobs"][0]["meta"]["forgotten"] == 1
    left = await one.run("SELECT kind FROM pipelines ORDER BY kind")
    assert [row["kind"] for row in left] == ["csv_ingest", "retention_wipe"]


async def test_statistics_count_the_runs_of_a_workflow_and_day(one: Bench) -> None:
    made = await world(one)
    for reason in ("success", "failed", "success"):
        await finished(made, reason)
    await made.enqueue()
    wire = await submit(one, statistics.SWEEP)
    assert [job["job_type"] for job in wire["jobs"]] == [statistics.SWEEP, statistics.JOB_TYPE]
    assert wire["status"] == "SUCCESS"
    days = await run_statistics.of_workflow(one.app.repo, made.workflow().id)
    assert not isinstance(days, Refused)
    (day,) = days
    assert (day.total, day.states) == (3, {"success": 2, "failed": 1})


async def test_two_sweeps_at_once_share_the_counting_of_a_scope(one: Bench) -> None:
    made = await world(one)
    await finished(made, "success")
    engine = one.app.gateway.engine
    async with engine.pool.acquire() as connection:
        scope = statistics.scope_of(made.workflow().id, datetime.now(UTC).date())
        waiting = await storage.submit(
            connection,
            NewJob(
                job_type=statistics.JOB_TYPE,
                scope_key=scope,
                run_after=datetime.now(UTC) + HOUR,
                ingestion_method=IngestionMethod.computed,
            ),
        )
    made_too = await engine.submit(NewJob(job_type=statistics.SWEEP, scope_key="gateway"))
    async with asyncio.timeout(PATIENCE):
        woken = asyncio.Event()
        engine.hub.subscribe(lambda _event: woken.set())
        while not (joins := await one.run("SELECT requester_id, job_id FROM pipeline_joins")):
            woken.clear()
            await woken.wait()
    assert [tuple(row) for row in joins] == [(made_too.job_id, waiting.job_id)]


async def test_the_health_endpoint_reports_statistics_that_are_behind(one: Bench) -> None:
    made = await world(one)
    await finished(made, "success")

    async def stale(*projects: UUID) -> list[Any]:
        async with one.http("viewer", projects=projects or [made.project.id]) as client:
            return (await client.get("/api/health/stale-stats/runs")).json()

    (entry,) = await stale()
    assert await stale(uuid4()) == [], "those of other projects are not told"
    assert (entry["why_stale"], entry["inputs_newer"]) == ("no_aggregation_ever", True)
    assert entry["workflow_id"] == str(made.workflow().id)
    await submit(one, statistics.SWEEP)
    assert await stale() == []
    await finished(made, "success")
    (entry,) = await stale()
    assert (entry["why_stale"], entry["inputs_newer"]) == ("last_aggregation_too_old", True)
    async with one.app.gateway.engine.pool.acquire() as connection:
        (found,) = await stale_run_statistics(connection)
    assert found.job_id == entry["last_aggregation_job_id"]


async def test_an_engine_whose_database_comes_late_starts_by_itself(
    empty_database_url: str,
) -> None:
    import migrations

    with capture_logs():  # each service tells at length of the tables that it misses
        app = await Application(settings(empty_database_url, **QUIET)).start()
        try:
            assert not app.gateway.engine.running
            await migrations.up(empty_database_url)
            async with asyncio.timeout(PATIENCE):
                await app.services["job_engine"].started()
            assert app.gateway.engine.running
        finally:
            await app.stop(drain=False)


async def test_events_of_runs_that_ended_long_ago_are_pruned_by_the_same_job(one: Bench) -> None:
    made = await world(one)
    old, recent = await finished(made, "success"), await finished(made, "success")
    await made.rows(
        "UPDATE run_events SET inserted_at = now() - interval '31 days' WHERE run_id = $1"
        " RETURNING 1",
        old,
    )
    wire = await submit(one, retention.JOB_TYPE)
    assert wire["jobs"][0]["meta"]["pruned"] == 1
    left = await made.rows("SELECT DISTINCT run_id FROM run_events")
    assert [row["run_id"] for row in left] == [recent]
