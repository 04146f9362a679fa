"""Who comes back while the feed still reads for those who left is told nothing twice."""

import asyncio
import gc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from schema import run_events
from schema.repo import connection
from tests.handlers.bench import Bench
from tests.handlers.follower import Follower, log


@asynccontextmanager
async def unreadable_events(bench: Bench) -> AsyncGenerator[None]:
    """Whoever reads events waits until the end of it."""
    async with connection(bench.app.repo.dsn) as other, other.transaction():
        await other.execute("LOCK TABLE run_events IN ACCESS EXCLUSIVE MODE")
        yield


async def test_a_run_that_is_left_and_joined_again_in_the_middle_of_a_read_is_told_once(
    bench: Bench,
) -> None:
    feed = bench.app.gateway.feeds.runs
    owner = await bench.world.started()
    first = await Follower.join(bench, f"run:{owner.run_id}")
    (told,) = await log(bench, owner)  # by another process
    async with unreadable_events(bench):
        feed.heard(owner.run_id, told.version)
        await first.socket.close()
        await feed.sweep()
        again = await Follower.join(bench, f"run:{owner.run_id}", since=told.version)
        assert again.reply == {"complete": True, "version": told.version}
    await feed.settle()
    (later,) = await log(bench, owner)
    bench.app.gateway.publish_event(later)
    await again.until(1)
    await feed.settle()
    assert (await again.rest()).versions == [later.version]


async def test_a_project_that_is_left_and_joined_again_in_the_middle_of_a_sweep_is_told_once(
    bench: Bench,
) -> None:
    feed = bench.app.gateway.feeds.projects
    topic = f"project:{bench.world.project.id}"
    first = await Follower.join(bench, topic)
    await bench.app.gateway.feeds.settle()
    await bench.world.enqueue()  # by another process
    async with unreadable_events(bench):
        feed.ask(bench.world.project.id)
        await first.socket.close()
        sweeping = asyncio.create_task(feed.sweep())
        again = await Follower.join(bench, topic)
    await sweeping
    await feed.settle()
    third = await Follower.join(bench, topic, since=again.reply["cursor"])
    await feed.settle()
    assert (await again.rest()).runs == (await third.rest()).runs


async def test_a_project_that_is_begun_anew_before_its_sweep_ends_no_sweep(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    feed, repo = bench.app.gateway.feeds.projects, bench.app.repo
    project = bench.world.project.id
    first = await Follower.join(bench, f"project:{project}")
    await bench.app.gateway.feeds.settle()
    async with unreadable_events(bench):
        feed.ask(project)
        await asyncio.sleep(0)
        # With every connection taken, who comes back waits to hear where the database is.
        busy = [
            asyncio.create_task(run_events.after(repo, uuid4(), 0, 1))
            for _ in range(3 * bench.app.settings.database_pool_size)
        ]
        await asyncio.sleep(0)
        feed.ask(project)
        await first.socket.close()
        sweeping = asyncio.create_task(feed.sweep())
        again = asyncio.create_task(Follower.join(bench, f"project:{project}"))
    await asyncio.gather(sweeping, *busy)
    follower = await again
    await feed.settle()
    gc.collect()
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
    created = await bench.world.enqueue()
    feed.ask(project)
    await follower.until(1)
    assert [run for run, _ in (await follower.rest()).runs] == [str(created.run_id)]
