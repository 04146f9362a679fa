"""Unit 7 and 11, the engine's part: reading pins no connection, and sees what others committed."""

import asyncio

from toy_pipelines import Lab, fast, soon

from pipelines import JobEvent, JobState, NewJob
from pipelines.storage.finishing import abort_pipeline
from pipelines.storage.listing import shown_pipelines


async def test_watching_a_pipeline_holds_no_connection(lab: Lab) -> None:
    engine = await lab.started(settings=fast(run_jobs=False))
    submitted = await lab.submit()
    events: asyncio.Queue[JobEvent] = asyncio.Queue()
    unsubscribe = engine.hub.subscribe(events.put_nowait, pipeline_id=submitted.pipeline_id)
    assert engine.pool.get_size() == engine.pool.get_idle_size()
    await lab.pool.execute("UPDATE pipeline_jobs SET status_message = 'by another session'")
    event = await soon(events.get())
    assert (event.pipeline, event.job) == (submitted.pipeline_id, submitted.job_id)
    snapshot = await engine.snapshot(submitted.pipeline_id)
    assert snapshot is not None
    assert snapshot.jobs[0].status_message == "by another session"
    unsubscribe()
    unsubscribe()
    assert engine.hub.subscribers == 1, "the engine's own"


async def test_only_events_of_the_pipeline_and_resyncs_reach_its_subscriber(lab: Lab) -> None:
    engine = lab.engine()
    first, second = await lab.submit(), await lab.submit()
    seen: list[JobEvent] = []
    engine.hub.subscribe(seen.append, pipeline_id=first.pipeline_id)
    engine.hub.publish(JobEvent(pipeline=second.pipeline_id))
    engine.hub.publish(JobEvent(pipeline=first.pipeline_id))
    engine.hub.resync()
    assert [event.pipeline for event in seen] == [first.pipeline_id, None]


async def test_a_subscriber_that_fails_and_a_strange_notification_disturb_nobody(lab: Lab) -> None:
    engine = lab.engine()
    seen: list[JobEvent] = []

    def broken(_event: JobEvent) -> None:
        raise ValueError("mine")

    engine.hub.subscribe(broken)
    engine.hub.subscribe(seen.append)
    engine.hub.receive("not json")
    engine.hub.receive('{"job": "seven"}')
    engine.hub.receive('{"job": 7}')
    assert [event.job for event in seen] == [7]


async def test_an_unknown_pipeline_is_none(lab: Lab) -> None:
    engine = await lab.started(settings=fast(run_jobs=False))
    from uuid import uuid4

    assert await engine.snapshot(uuid4()) is None
    assert await engine.job(999) is None


async def test_w8_w13_pipeline_and_tenant_are_there_from_the_start_and_inherited(lab: Lab) -> None:
    engine = await lab.started()
    new = NewJob(
        job_type="csv_ingest",
        tenant_id="U-100",
        module_type_id=3,
        year=2025,
        config={"values": {"31": 1}},
    )
    submitted = await engine.submit(new)
    snapshot = await engine.snapshot(submitted.pipeline_id)
    assert snapshot is not None
    assert snapshot.pipeline.tenant_id == "U-100"
    await lab.quiet(engine)
    jobs = await lab.jobs(submitted.pipeline_id)
    assert {job.tenant_id for job in jobs} == {"U-100"}
    assert jobs[0].id == submitted.job_id
    assert jobs[0].parent_id is None
    assert [job.parent_id for job in jobs[1:]] == [jobs[0].id, jobs[1].id]


async def test_u11_the_latest_active_pipeline_of_each_module(lab: Lab) -> None:
    old = await lab.submit(module_type_id=1, year=2025, tenant_id="A")
    new = await lab.submit(module_type_id=1, year=2025)
    other = await lab.submit(module_type_id=2, year=2025, tenant_id="B")
    finished = await lab.submit(module_type_id=3, year=2025)
    await lab.finish(finished.job_id)
    await lab.submit(module_type_id=4, year=2024)
    async with lab.pool.acquire() as connection:
        everything = await shown_pipelines(connection, 2025, [1, 2, 3, 4], None)
        tenant = await shown_pipelines(connection, 2025, [1, 2], ["A"])
        none = await shown_pipelines(connection, 2025, [], None)
    assert everything == {1: new.pipeline_id, 2: other.pipeline_id}
    assert tenant == {1: new.pipeline_id}
    assert none == {}
    assert (await lab.job(old.job_id)).state is JobState.NOT_STARTED


async def test_a_pipeline_that_was_aborted_is_shown_before_its_status_is_derived(lab: Lab) -> None:
    made = await lab.submit(module_type_id=1, year=2025)
    async with lab.pool.acquire() as connection:
        await abort_pipeline(connection, made.pipeline_id, "ana")
        shown = await shown_pipelines(connection, 2025, [1], None)
    assert await lab.value("SELECT status FROM pipelines") == "NOT_STARTED"
    assert shown == {1: made.pipeline_id}
