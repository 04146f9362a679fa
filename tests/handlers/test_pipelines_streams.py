"""Event streams and channels: one shape everywhere, no connection held, and always an end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from channel_server.client import JoinRefused
from handlers.application import Application
from pipelines import Job, JobContext, Outcome, Transaction
from schema.repo import connection
from tests.handlers.bench import settings
from tests.handlers.pipelines_bench import PATIENCE, QUIET, STREAMING, Bench, closed, events
from tests.waiting import until


@pytest.fixture
async def jobs(database_url: str) -> AsyncIterator[Bench]:
    """An application that runs jobs, with a type ``waits`` that ends when it is let go."""
    bench = await started(database_url)
    yield bench
    await bench.app.stop(drain=False)


async def started(database_url: str, **more: Any) -> Bench:
    app = Application(settings(database_url, **{**QUIET, **STREAMING, **more}))
    await app.open()
    bench = Bench(app)
    go, begun = asyncio.Event(), asyncio.Event()
    app.go, app.begun = go, begun  # pyright: ignore[reportAttributeAccessIssue] (a test's own)

    async def waits(_job: Job, context: JobContext, _transaction: Transaction) -> Outcome:
        await context.progress("half way", done=50)
        begun.set()
        await go.wait()
        return Outcome(message="done")

    bench.registry.job_handler("waits")(waits)
    await app.start()
    return bench


def signals(jobs: Bench) -> tuple[asyncio.Event, asyncio.Event]:
    app: Any = jobs.app
    return app.begun, app.go


async def begin(jobs: Bench, **values: Any) -> Any:
    begun, _ = signals(jobs)
    made = await jobs.submit("waits", **values)
    jobs.app.gateway.engine.wake()
    async with asyncio.timeout(PATIENCE):
        await begun.wait()
    return made


def held(jobs: Bench) -> int:
    pool = jobs.app.gateway.engine.pool
    return pool.get_size() - pool.get_idle_size()


async def until_released(jobs: Bench) -> None:
    hub = jobs.app.gateway.engine.hub
    await until(lambda: hub.subscribers == 1 and not held(jobs))


async def test_a_pipeline_stream_begins_with_a_snapshot_and_ends_closed(jobs: Bench) -> None:
    made = await begin(jobs)
    _, go = signals(jobs)
    async with (
        jobs.http() as client,
        client.stream("GET", f"/api/pipelines/{made.pipeline_id}/stream") as response,
    ):
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-cache"
        assert response.headers["x-accel-buffering"] == "no"
        lines = events_of(response)
        name, first = await anext(lines)
        assert (name, first["jobs"][0]["state"]) == ("pipeline-update", "RUNNING")
        go.set()
        found = [(name, data) async for name, data in lines]
    states = [data["jobs"][0]["state"] for _, data in found]
    assert states[-1] == "FINISHED"
    assert [closed(name, data) for name, data in found].count(True) == 1
    assert closed(*found[-1])
    await until_released(jobs)


async def events_of(response: Any) -> AsyncIterator[tuple[str | None, Any]]:
    while found := await events(response, lambda _name, _data: True):
        yield found[0]
        if closed(*found[0]):
            return


async def test_a_job_stream_is_unnamed_and_ends_closed(jobs: Bench) -> None:
    made = await begin(jobs)
    _, go = signals(jobs)
    async with (
        jobs.http() as client,
        client.stream("GET", f"/api/pipelines/jobs/{made.job_id}/stream") as response,
    ):
        go.set()
        found = await events(response, closed)
    assert {name for name, _ in found} == {None}
    assert (found[-1][1]["state"], found[-1][1]["result"]) == ("FINISHED", "SUCCESS")


async def test_a_stream_of_an_unknown_job_says_so_and_ends(jobs: Bench) -> None:
    async with jobs.http() as client:
        answer = await client.get("/api/pipelines/jobs/999/stream")
    assert answer.text == 'data: {"job_id":999,"status_message":"Job not found"}\n\n'


async def test_u7_a_disconnect_releases_everything_and_a_stream_holds_no_connection(
    jobs: Bench,
) -> None:
    made = await jobs.submit("nobody_runs_this")
    async with jobs.http() as client:
        async with client.stream("GET", f"/api/pipelines/{made.pipeline_id}/stream") as response:
            await events(response, lambda _name, _data: True)
            assert jobs.app.gateway.engine.hub.subscribers > 1
            await until(lambda: not held(jobs))
        await until_released(jobs)


async def test_a_change_by_another_session_reaches_the_stream(jobs: Bench) -> None:
    made = await jobs.submit("nobody_runs_this")
    async with (
        jobs.http() as client,
        client.stream("GET", f"/api/pipelines/{made.pipeline_id}/stream") as response,
    ):
        await events(response, lambda _name, _data: True)
        await jobs.run("UPDATE pipeline_jobs SET status_message = 'from elsewhere'")
        found = await events(
            response, lambda _name, data: data["jobs"][0]["status_message"] == "from elsewhere"
        )
    assert found


async def test_a_stream_looks_by_itself_when_no_event_comes(jobs: Bench) -> None:
    made = await jobs.submit("nobody_runs_this")
    await jobs.run("ALTER TABLE pipeline_jobs DISABLE TRIGGER USER")
    async with (
        jobs.http() as client,
        client.stream("GET", f"/api/pipelines/{made.pipeline_id}/stream") as response,
    ):
        await events(response, lambda _name, _data: True)
        await jobs.run("UPDATE pipeline_jobs SET status_message = 'silently'")
        await events(response, lambda _n, data: data["jobs"][0]["status_message"] == "silently")


async def test_silence_is_broken_by_pings_and_life_is_bounded(database_url: str) -> None:
    bench = await started(database_url, stream_ping=0.01, stream_lifetime=1.0)
    try:
        made = await bench.submit("nobody_runs_this")
        async with bench.http() as client:
            path = f"/api/pipelines/{made.pipeline_id}/stream"
            text = (await client.get(path)).text  # it ends by itself
        assert "event: ping\ndata: {}\n\n" in text
        assert text.count("pipeline-update") == 1
        assert "stream_closed" not in text
    finally:
        await bench.app.stop(drain=False)


async def test_a_stream_ends_with_its_token(jobs: Bench) -> None:
    made = await jobs.submit("nobody_runs_this")
    token = jobs.app.gateway.user_tokens.issue("ana", [], "viewer", 2, tenants=["*"])
    async with jobs.http() as client:
        path = f"/api/pipelines/{made.pipeline_id}/stream"
        answer = await client.get(path, headers={"Authorization": f"Bearer {token}"})
    assert answer.text.count("pipeline-update") == 1
    assert "stream_closed" not in answer.text


async def test_a_server_that_stops_ends_its_streams(database_url: str) -> None:
    bench = await started(database_url, stream_interval=600.0)
    made = await bench.submit("nobody_runs_this")
    async with (
        bench.http() as client,
        client.stream("GET", f"/api/pipelines/{made.pipeline_id}/stream") as response,
    ):
        await events(response, lambda _name, _data: True)
        async with asyncio.timeout(PATIENCE):
            await bench.app.stop(drain=False)
            assert await events(response, closed) == []


async def test_a_browser_may_give_the_token_of_a_stream_in_the_query(jobs: Bench) -> None:
    made = await begin(jobs)
    signals(jobs)[1].set()
    await jobs.ended(made.pipeline_id)
    path = f"/api/pipelines/{made.pipeline_id}"
    async with jobs.http() as client:
        client.headers.pop("authorization")
        streamed = await client.get(f"{path}/stream", params={"token": jobs.token()})
        shown = await client.get(path, params={"token": jobs.token()})
    assert (streamed.status_code, shown.status_code) == (200, 401)


async def test_many_who_ask_at_once_share_the_reads(jobs: Bench) -> None:
    made = await jobs.submit("nobody_runs_this")
    feed = jobs.app.gateway.feed
    before = feed.reads
    answers = await asyncio.gather(*(feed.read(made.pipeline_id) for _ in range(50)))
    assert {answer["pipeline_id"] for answer in answers if answer} == {str(made.pipeline_id)}
    assert feed.reads - before == 2


async def test_a_read_is_never_older_than_its_question(jobs: Bench) -> None:
    made = await jobs.submit("nobody_runs_this")
    feed = jobs.app.gateway.feed
    first = asyncio.ensure_future(feed.read(made.pipeline_id))
    await asyncio.sleep(0)  # it is under way
    await jobs.run("UPDATE pipeline_jobs SET status_message = 'later'")
    second = await feed.read(made.pipeline_id)
    assert second is not None
    assert second["jobs"][0]["status_message"] == "later"
    await first


async def test_a_server_that_stops_gives_its_jobs_back(database_url: str) -> None:
    bench = await started(database_url)
    made = await begin(bench)
    await bench.app.stop(drain=False)
    async with connection(database_url) as other:
        row = await other.fetchrow("SELECT * FROM pipeline_jobs WHERE id = $1", made.job_id)
    assert row is not None
    assert (row["state"], row["locked_by"], row["attempts"]) == ("NOT_STARTED", None, 0)


async def test_one_shot_list_stream_and_channel_have_one_shape(jobs: Bench) -> None:
    made = await begin(jobs, module_type_id=3, year=2025)
    pipeline = str(made.pipeline_id)
    pushed: asyncio.Queue[Any] = asyncio.Queue()
    async with jobs.http() as client, jobs.socket() as socket:
        channel = socket.channel(f"pipeline:{pipeline}")
        module = socket.channel("module:2025:3")
        channel.on("pipeline-update", pushed.put_nowait)
        module.on("pipeline-update", pushed.put_nowait)
        joined = await channel.join()
        assert (await module.join())["pipeline_id"] == pipeline
        signals(jobs)[1].set()
        await jobs.ended(pipeline)
        shown = (await client.get(f"/api/pipelines/{pipeline}")).json()
        listed = (await client.get("/api/pipelines/")).json()["pipelines"][0]
        listed_jobs = (await client.get(f"/api/pipelines/{pipeline}/jobs")).json()["jobs"]
        one = (await client.get(f"/api/pipelines/jobs/{made.job_id}")).json()
        async with client.stream("GET", f"/api/pipelines/{pipeline}/stream") as response:
            streamed = await events(response, closed)
        async with asyncio.timeout(PATIENCE):
            live = [await pushed.get() for _ in range(2)]
    whole = [shown, joined, *live, *(data for _, data in streamed[:-1])]
    assert {frozenset(each) for each in whole} == {frozenset(shown)}
    assert set(listed) == set(shown) - {"jobs", "progress"}
    assert set(streamed[-1][1]) == {*shown, "stream_closed"}
    jobs_shown = [each["jobs"][0] for each in whole] + [one, listed_jobs[0]]
    assert {frozenset(each) for each in jobs_shown} == {frozenset(one)}
    assert (one["state"], one["result"], one["entity_type"], one["ingestion_method"]) == (
        *("FINISHED", "SUCCESS", "MODULE_PER_YEAR", "api"),
    )


async def test_channels_refuse_and_leave_out_what_other_tenants_own(jobs: Bench) -> None:
    theirs = await jobs.submit(tenant_id="U-200", module_type_id=3, year=2025)
    ours = await jobs.submit(tenant_id="U-100", module_type_id=3, year=2025)
    pushed: asyncio.Queue[Any] = asyncio.Queue()
    async with jobs.socket(tenants=("U-100",)) as socket:
        with pytest.raises(JoinRefused, match="unauthorized"):
            await socket.channel(f"pipeline:{theirs.pipeline_id}").join()
        with pytest.raises(JoinRefused, match="not_found"):
            await socket.channel("module:2025:x").join()
        module = socket.channel("module:2025:3")
        module.on("pipeline-update", pushed.put_nowait)
        await module.join()
        for made in (theirs, ours):
            await jobs.run(
                "UPDATE pipeline_jobs SET status_message = 'moved' WHERE id = $1", made.job_id
            )
        async with asyncio.timeout(PATIENCE):
            assert (await pushed.get())["pipeline_id"] == str(ours.pipeline_id)
        assert pushed.empty()
    async with jobs.socket(tenants=None) as socket:
        for topic in (f"pipeline:{ours.pipeline_id}", "module:2025:3"):
            with pytest.raises(JoinRefused, match="unauthorized"):
                await socket.channel(topic).join()
