"""`workers:changed`: projects that are watched hear who comes and goes."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from handlers import workers_feed
from handlers.notices import Notices
from schema.listener import Listener
from tests.handlers.bench import TIMEOUT, Bench
from tests.handlers.conftest import MakeBench


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_feed, "DEBOUNCE", 0.0)


@pytest.fixture
async def listening(bench: Bench) -> AsyncIterator[None]:
    notices = Notices(bench.app.gateway)
    listener = Listener(bench.app.repo.dsn, notices.received, notices.resync)
    await listener.start()
    await listener.connected.wait()
    yield
    await listener.stop()
    await notices.stop()


async def test_a_project_that_is_watched_hears_who_comes_and_goes(bench: Bench) -> None:
    project = await (await bench.dashboard()).join(f"project:{bench.world.project.id}")
    worker = await bench.worker("w")
    told = await project.assert_broadcast("workers:changed", timeout=TIMEOUT)
    assert [(each["id"], each["online"]) for each in told["workers"]] == [("w", True)]
    await worker.peer.abort()
    told = await project.assert_broadcast("workers:changed", timeout=TIMEOUT)
    assert [(each["id"], each["online"]) for each in told["workers"]] == [("w", False)]


async def test_what_has_not_changed_is_not_told_again(bench: Bench) -> None:
    project = await (await bench.dashboard()).join(f"project:{bench.world.project.id}")
    worker = await bench.worker()
    await project.assert_broadcast("workers:changed", timeout=TIMEOUT)
    feed = bench.app.gateway.workers_feed
    await bench.app.gateway.presence.beat()
    await feed.tell()
    await project.refute_broadcast("workers:changed")
    run = await bench.run(worker)
    await feed.tell()
    told = await project.assert_broadcast("workers:changed", timeout=TIMEOUT)
    assert [each["runs"] for each in told["workers"]] == [[str(run.id)]]


async def test_while_nobody_watches_nothing_is_asked(bench: Bench) -> None:
    await bench.worker()
    before = bench.app.repo.statements_run
    bench.app.gateway.workers_feed.changed()
    await bench.app.gateway.workers_feed.tell()
    assert bench.app.repo.statements_run == before


@pytest.mark.usefixtures("listening")
async def test_workers_of_other_servers_are_told_too(bench: Bench, make_bench: MakeBench) -> None:
    project = await (await bench.dashboard()).join(f"project:{bench.world.project.id}")
    await (await make_bench()).worker("elsewhere")
    async with asyncio.timeout(TIMEOUT):
        told = await project.assert_broadcast("workers:changed", timeout=TIMEOUT)
    assert [each["id"] for each in told["workers"]] == ["elsewhere"]


async def test_the_number_of_connected_workers_is_measured(bench: Bench) -> None:
    workers = [await bench.worker(f"w{n}") for n in range(2)]
    assert b"run_gateway_workers_connected 2.0" in bench.app.render_metrics()
    await workers[0].peer.close()
    assert b"run_gateway_workers_connected 1.0" in bench.app.render_metrics()
