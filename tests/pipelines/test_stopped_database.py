"""The database stops under running jobs and comes back: nothing is lost, nothing happens twice."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from pytest_asyncio import fixture as async_fixture
from toy_pipelines import TABLES, Gate, fast, soon, toy_registry

import migrations
from pipelines import Engine, JobState, NewJob, Snapshot, open_pool
from pipelines.storage.connection import is_outage
from schema import databases
from schema.embedded import EmbeddedPostgres
from tests.spare_server import SpareServer
from tests.waiting import until

DATABASE = "stopped"

EMPTY = """TRUNCATE pipelines, pipeline_jobs, pipeline_joins, pipeline_ticks, pipeline_pods,
  toy_inputs, toy_doubles, toy_totals, toy_effects"""


@async_fixture(scope="module")
async def server(spare_server: SpareServer) -> AsyncIterator[EmbeddedPostgres]:
    """A server for these tests alone, with the tables of the toy domain."""
    with spare_server.at() as postgres:
        await databases.create(await asyncio.to_thread(postgres.start), DATABASE)
        await migrations.up(postgres.dsn(DATABASE))
        async with await open_pool(postgres.dsn(DATABASE), concurrency=1) as pool:
            await pool.execute(TABLES)
        yield postgres
        await databases.drop(await asyncio.to_thread(postgres.start), DATABASE)


@pytest.mark.parametrize("step", ["claimed", "handled", "committing"])
async def test_jobs_survive_a_database_that_stops_and_comes_back(
    server: EmbeddedPostgres, step: str
) -> None:
    url = server.dsn(DATABASE)
    pool = await open_pool(url, concurrency=1)
    await pool.execute(EMPTY)
    gate = Gate(step, "csv_ingest")
    settings = fast(poll_interval=timedelta(milliseconds=100))
    engine = Engine(url, toy_registry(), settings, step=gate)
    await engine.start()
    await soon(engine.started())
    submitted = await engine.submit(
        NewJob(job_type="csv_ingest", module_type_id=3, year=2025, config={"values": {"31": 5}})
    )
    await soon(gate.reached)
    # Cleanly: a server without fsync that crashes may lose what it committed.
    await asyncio.to_thread(server.stop)
    gate.open.set()
    await asyncio.to_thread(server.start)

    async def ended() -> Snapshot | None:
        try:
            snapshot = await engine.snapshot(submitted.pipeline_id)
        except Exception as error:
            assert is_outage(error)  # noqa: PT017 (many of them, then none)
            return None
        return snapshot if snapshot is not None and snapshot.progress.done else None

    await until(ended)
    snapshot = await ended()
    assert snapshot is not None
    assert snapshot.progress.status == "SUCCESS"
    assert {job.state for job in snapshot.jobs} == {JobState.FINISHED}
    row = await pool.fetchrow(
        "SELECT (SELECT total FROM toy_totals) AS total, count(*) AS effects FROM toy_effects"
    )
    assert row is not None
    assert (row["total"], row["effects"]) == (10, 3)
    await engine.stop()
    await pool.close()
