"""The engine: start and stop, fairness and order, notifications, strangers."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs
from toy_pipelines import Gate, Lab, fast, soon

from pipelines import EventHub, Job, JobContext, JobEvent, JobState, NewJob, Outcome, Transaction
from pipelines.dispatch import Dispatcher
from pipelines.runner import Runner
from pipelines.storage import pods, polling
from pipelines.storage.claims import claim_job
from pipelines.storage.pods import StrangerError
from tests.waiting import left_since, until

TYPES = ("idle", "csv_ingest", "aggregation", "emission_recalc")


async def next_ids(lab: Lab, limit: int = 100, **options: Any) -> list[int]:
    async with lab.pool.acquire() as connection:
        return await polling.next_jobs(
            connection, limit, without=options.get("without", ()), job_types=TYPES
        )


async def test_start_and_stop_twice_and_stop_before_start_are_fine(lab: Lab) -> None:
    engine = lab.engine()
    await engine.stop()
    for _ in range(2):
        await engine.start()
        await engine.start()
        await soon(engine.started())
        assert engine.running
        await engine.stop()
        await engine.stop()
        assert not engine.running
    with pytest.raises(RuntimeError, match="not started"):
        _ = engine.pool


async def test_stopping_leaves_no_task_and_no_connection(lab: Lab) -> None:
    before = asyncio.all_tasks()
    connected = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name <> 'tests'"
    )
    others = await lab.value(connected)
    engine = await lab.started(own_pool=True)
    await engine.submit(NewJob(job_type="idle"))
    await lab.quiet(engine)
    await engine.stop()
    assert await left_since(before) == []
    assert await lab.value(connected) == others


async def test_a_job_of_another_process_is_found_by_notification_not_by_the_timer(
    lab: Lab,
) -> None:
    engine = await lab.started(settings=fast(poll_interval=timedelta(hours=1)))
    await lab.submit()
    async with asyncio.timeout(5):
        await lab.quiet(engine)


async def test_the_timer_finds_a_job_when_no_notification_comes(lab: Lab) -> None:
    engine = await lab.started(settings=fast(poll_interval=timedelta(milliseconds=20)))
    await lab.pool.execute("ALTER TABLE pipeline_jobs DISABLE TRIGGER USER")
    try:
        submitted = await lab.submit()

        async def over() -> bool:
            return not (await lab.job(submitted.job_id)).active

        await until(over)
    finally:
        await lab.pool.execute("ALTER TABLE pipeline_jobs ENABLE TRIGGER USER")
    assert engine.running


async def test_a_job_is_started_when_it_becomes_due(lab: Lab) -> None:
    engine = await lab.started(settings=fast(poll_interval=timedelta(hours=1)))
    due = datetime.now(UTC) + timedelta(milliseconds=200)
    submitted = await engine.submit(NewJob(job_type="idle", run_after=due))
    await lab.quiet(engine, timeout=10)
    claimed = (await lab.job(submitted.job_id)).claimed_at
    assert claimed is not None
    assert claimed >= due


async def test_no_more_jobs_than_allowed_run_at_once(lab: Lab) -> None:
    gate = Gate("claimed")
    engine = await lab.started(settings=fast(concurrency=2), step=gate)
    for index in range(6):
        await engine.submit(NewJob(job_type="idle", year=index))
    running = "SELECT count(*) FROM pipeline_jobs WHERE state = 'RUNNING'"

    async def full() -> bool:
        return await lab.value(running) == 2

    await until(full)
    assert len(engine.busy) == 2
    gate.open.set()
    await lab.quiet(engine)


async def test_due_jobs_come_in_the_order_of_run_after_then_id(lab: Lab) -> None:
    ids = [(await lab.submit(year=year)).job_id for year in range(4)]
    old = "UPDATE pipeline_jobs SET run_after = now() - interval '1 h' * $2::int WHERE id = $1"
    await lab.pool.execute(old, ids[0], 1)
    await lab.pool.execute(old, ids[1], 2)
    assert await next_ids(lab) == [ids[2], ids[3], ids[1], ids[0]]


async def test_a_flood_of_one_type_or_tenant_does_not_starve_the_others(lab: Lab) -> None:
    flood = [(await lab.submit(year=year, tenant_id="big")).job_id for year in range(20)]
    small = (await lab.submit(year=99, tenant_id="small")).job_id
    other = (await lab.submit("csv_ingest", tenant_id="big")).job_id
    assert set(await next_ids(lab, 3)) == {flood[0], small, other}


async def test_p7_blocked_jobs_do_not_take_the_place_of_those_behind_them(lab: Lab) -> None:
    blocker = (await lab.submit(year=1)).job_id
    async with lab.pool.acquire() as connection:
        await claim_job(connection, blocker, "a")
    for _ in range(10):
        await lab.submit(year=1)
    free = (await lab.submit(year=2)).job_id
    assert await next_ids(lab, 5) == [free]


async def test_jobs_of_types_that_this_process_does_not_know_are_left_to_others(lab: Lab) -> None:
    await lab.submit("of the next release")
    assert await next_ids(lab) == []


async def test_jobs_under_way_and_locked_rows_are_left_out(lab: Lab) -> None:
    first, second, third = [(await lab.submit(year=year)).job_id for year in range(3)]
    async with lab.pool.acquire() as other, other.transaction():
        await other.execute("SELECT 1 FROM pipeline_jobs WHERE id = $1 FOR SHARE", first)
        assert await next_ids(lab, without=[second]) == [third]


async def test_two_engines_in_one_process_do_each_job_once(lab: Lab) -> None:
    first = await lab.started(settings=fast(pod="a"))
    second = await lab.started(settings=fast(pod="b"))
    for year in range(40):
        await lab.submit("aggregation", module_type_id=1, year=year)
    await lab.quiet(first)
    await lab.quiet(second)
    assert await lab.value("SELECT count(*) FROM toy_effects") == 40


async def test_a_cancel_reaches_the_running_handler_at_once(lab: Lab) -> None:
    gate = Gate("claimed")
    engine = await lab.started(step=gate)
    submitted = await engine.submit(NewJob(job_type="idle"))
    await soon(gate.reached)
    other = await lab.started(settings=fast(run_jobs=False))
    assert await other.cancel(submitted.job_id)
    assert await other.cancel(submitted.job_id) is None
    await lab.quiet(engine, timeout=5)
    assert (await lab.job(submitted.job_id)).status_message == "Cancelled by user"
    snapshot = await other.snapshot(submitted.pipeline_id)
    assert snapshot is not None
    assert snapshot.pipeline.status == "FAILED"


async def test_an_abort_ends_a_pipeline_that_another_process_runs(lab: Lab) -> None:
    gate = Gate("handled", "emission_recalc")
    engine = await lab.started(step=gate)
    submitted = await engine.submit(
        NewJob(job_type="csv_ingest", module_type_id=3, year=2025, config={"values": {"1": 1}})
    )
    await soon(gate.reached)
    other = await lab.started(settings=fast(run_jobs=False))
    assert len(await other.abort(submitted.pipeline_id, "Ann")) == 1
    assert await other.abort(submitted.pipeline_id, "Ann") == []
    await lab.quiet(engine, timeout=5)
    assert await lab.value("SELECT count(*) FROM toy_doubles") == 0
    snapshot = await engine.snapshot(submitted.pipeline_id)
    assert snapshot is not None
    assert (snapshot.pipeline.status, snapshot.pipeline.last_error) == ("PARTIAL", "Aborted by Ann")


async def test_recover_puts_a_stale_job_back_and_runs_it(lab: Lab) -> None:
    submitted = await lab.submit()
    async with lab.pool.acquire() as connection:
        await claim_job(connection, submitted.job_id, "gone")
    engine = await lab.started()
    assert await engine.recover(submitted.job_id) is None
    assert await engine.recover(submitted.job_id, timedelta(0))
    await lab.quiet(engine)
    assert (await lab.job(submitted.job_id)).state is JobState.FINISHED


async def test_stopping_releases_the_jobs_under_way(lab: Lab) -> None:
    gate = Gate("claimed")
    engine = await lab.started(step=gate)
    submitted = await engine.submit(NewJob(job_type="idle"))
    await soon(gate.reached)
    await soon(engine.stop())
    job = await lab.job(submitted.job_id)
    assert (job.state, job.locked_by, job.attempts) == (JobState.NOT_STARTED, None, 0)
    again = await lab.started()
    await lab.quiet(again)


async def test_a_database_that_cuts_all_connections_is_survived(lab: Lab) -> None:
    settings = fast(poll_interval=timedelta(milliseconds=50))
    await lab.started(own_pool=True, settings=settings)
    await lab.pool.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name <> 'tests'"
    )
    submitted = await lab.submit()

    async def done() -> bool:
        return not (await lab.job(submitted.job_id)).active

    await until(done)


async def test_submitting_with_dedup_returns_the_pipeline_that_does_the_work(lab: Lab) -> None:
    from pipelines import scope_key_dedup

    engine = await lab.started(settings=fast(run_jobs=False))
    new = NewJob(job_type="idle", scope_key="a")
    first = await engine.submit(new, dedup=scope_key_dedup("idle"))
    second = await engine.submit(new, dedup=scope_key_dedup("idle"))
    assert (first.joined, second.joined) == (False, True)
    assert second.pipeline_id == first.pipeline_id
    assert (await lab.job(first.job_id)).state is JobState.NOT_STARTED


async def test_w19_a_process_of_another_namespace_is_refused(lab: Lab) -> None:
    await lab.started(settings=fast(namespace="stage"))
    stranger = lab.engine(settings=fast(namespace="my laptop"))
    with pytest.raises(StrangerError, match="namespace 'stage'"):
        await stranger.start()
    assert not stranger.running


async def test_w19_a_mix_of_builds_is_logged_and_refused_when_strict(lab: Lab) -> None:
    await lab.started(settings=fast(build="1"))
    with capture_logs() as logs:
        await lab.started(settings=fast(build="2"))
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["builds_mixed"]
    with pytest.raises(StrangerError, match="build"):
        await lab.engine(settings=fast(build="3", strict_build=True)).start()


async def test_live_processes_are_listed_and_silent_ones_forgotten(lab: Lab) -> None:
    engine = await lab.started(settings=fast(build="7"))
    async with lab.pool.acquire() as connection:
        rows = await pods.live(connection, timedelta(minutes=1))
        assert [(row["pod_id"], row["build"]) for row in rows] == [(engine.pod_id, "7")]
        await connection.execute(
            "INSERT INTO pipeline_pods (pod_id, namespace, build, last_heartbeat_at)"
            " VALUES ('old', 'x', '1', now() - interval '2 days')"
        )
        await pods.beat(connection, engine.pod_id)
    assert await lab.value("SELECT count(*) FROM pipeline_pods") == 1


async def test_a_dispatcher_that_was_stopped_starts_nothing(lab: Lab) -> None:
    dispatcher = Dispatcher(Runner(lab.pool, lab.registry, fast()), 2)
    await dispatcher.stop()
    assert not dispatcher.dispatch(1)


async def test_events_tell_of_each_change_after_its_commit(lab: Lab) -> None:
    events: list[JobEvent] = []
    hub = EventHub()
    hub.subscribe(events.append)
    engine = await lab.started(hub=hub)
    submitted = await engine.submit(NewJob(job_type="idle", module_type_id=3, tenant_id="U-1"))
    await lab.quiet(engine)

    await until(lambda: any(event.status == "SUCCESS" for event in events))
    seen = [event for event in events if event.pipeline == submitted.pipeline_id]
    assert [event.state for event in seen if event.job] == ["NOT_STARTED", "RUNNING", "FINISHED"]
    assert [event.status for event in seen if event.status] == ["RUNNING", "SUCCESS"]
    assert {(event.module, event.tenant) for event in seen} == {(3, "U-1")}


async def test_progress_is_told_while_the_job_runs(lab: Lab) -> None:
    registry = lab.registry
    go_on = asyncio.Event()

    @registry.job_handler("talking")
    async def talking(_job: Job, context: JobContext, _transaction: Transaction) -> Outcome:
        assert await context.progress("half way", rows=5)
        await go_on.wait()
        return Outcome()

    engine = await lab.started()
    submitted = await engine.submit(NewJob(job_type="talking"))

    async def told() -> bool:
        return (await lab.job(submitted.job_id)).status_message == "half way"

    await until(told)
    assert (await lab.job(submitted.job_id)).meta["rows"] == 5
    go_on.set()
    await lab.quiet(engine)
