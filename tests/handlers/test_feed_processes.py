"""Dashboards are told whichever process a run reports to: notices, and what costs a lost one."""

from collections.abc import AsyncIterator

import pytest

from handlers.application import Application
from handlers.config import Settings
from handlers.feeds import relay
from schema import runs
from schema.repo import connection
from tests.handlers.bench import Bench, settings
from tests.handlers.follower import Follower
from tests.schema.world import World
from tests.waiting import until

QUIET = {"feed_sweep_interval": 60.0, "pipelines": "off"}
"""No sweep comes by itself, so that what is told is told by a notice."""


@pytest.fixture(autouse=True)
def long_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process said of itself is believed for as long as a slow machine needs."""
    monkeypatch.setattr(relay, "REMEMBERED", 3600.0)


async def started(settings: Settings) -> Application:
    app = await Application(settings).start()
    await app.services["feeds"].signals.wait("swept")
    return app


@pytest.fixture
async def here(database_url: str) -> AsyncIterator[Bench]:
    """The process that runs report to; started, with a listener."""
    app = await started(settings(database_url, **QUIET))
    bench = Bench(app, await World.create(app.repo))
    yield bench
    await bench.close()
    await app.stop(drain=False)


@pytest.fixture
async def there(here: Bench) -> AsyncIterator[Application]:
    """Another process, that dashboards are connected to."""
    app = await started(here.app.settings)
    yield app
    await app.stop(drain=False)


async def heard_of(here: Bench, there: Application) -> None:
    """Let the one process know that somebody watches in the other."""
    await there.gateway.feeds.relay.watching()
    await until(lambda: here.app.gateway.feeds.relay.wanted)


async def whole_run(here: Bench) -> None:
    run = await here.run()
    await run.call("run:log", {"message": "hello"})
    await run.call("run:start", {})
    await run.call("run:complete", {"reason": "success"})


async def test_a_run_that_reports_to_one_process_is_watched_at_another(
    here: Bench, there: Application
) -> None:
    project = await Follower.join(here, f"project:{here.world.project.id}", app=there)
    await heard_of(here, there)
    run = await here.run()
    watcher = await Follower.join(here, f"run:{run.id}", since=1, app=there)
    await run.call("run:log", {"message": "hello"})
    await run.call("run:start", {})
    await run.call("run:complete", {"reason": "success"})
    await watcher.until(4)
    await project.until(4)
    assert (await watcher.rest()).versions == [2, 3, 4, 5]
    assert [version for _, version in (await project.rest()).runs] == [1, 2, 4, 5]


async def test_nothing_is_sent_while_nobody_watches_elsewhere(here: Bench) -> None:
    watcher = await Follower.join(here, f"project:{here.world.project.id}")
    await whole_run(here)
    await watcher.until(4)
    assert here.app.gateway.feeds.relay.sent == 0


async def test_a_process_does_not_hear_itself(here: Bench) -> None:
    mine = here.app.gateway.feeds.relay
    await Follower.join(here, f"project:{here.world.project.id}")
    await mine.watching()
    async with connection(here.app.repo.dsn) as other:
        await other.execute('NOTIFY channel_server, \'{"watching": "somebody else"}\'')
    await until(lambda: mine.wanted)
    assert mine.received({"told_by": mine.name, "runs": "not even read"})


@pytest.mark.parametrize(
    "notice",
    ['{"told_by": "x"}', '{"told_by": "x", "runs": [], "projects": 7}', '{"watching": null}', "[]"],
)
async def test_a_notice_that_cannot_be_read_changes_nothing(here: Bench, notice: str) -> None:
    watcher = await Follower.join(here, f"project:{here.world.project.id}")
    async with connection(here.app.repo.dsn) as other:
        await other.execute("SELECT pg_notify('channel_server', $1)", notice)
    await whole_run(here)
    await watcher.until(4)


async def test_a_dropped_listener_misses_no_change(here: Bench, there: Application) -> None:
    project = await Follower.join(here, f"project:{here.world.project.id}", app=there)
    created = await here.world.enqueue()
    watcher = await Follower.join(here, f"run:{created.run_id}", app=there)
    await project.until(1)
    async with connection(here.app.repo.dsn) as other:
        await other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'channel_server listener' AND datname = current_database()"
        )
    (claimed,) = await here.world.claim()
    await here.world.start(claimed.owner)
    await here.world.complete(claimed.owner)
    # The listener is back some time, and then everything is looked at; the sweep does not wait.
    await there.gateway.feeds.sweep()
    await watcher.until(3)
    await project.until(4)
    assert (await watcher.rest()).versions == [2, 3, 4]
    assert [version for _, version in (await project.rest()).runs] == [1, 2, 3, 4]


async def test_the_sweep_comes_by_itself(database_url: str) -> None:
    app = await started(settings(database_url, pipelines="off", feed_sweep_interval=0.01))
    bench = Bench(app, await World.create(app.repo))
    try:
        created = await bench.world.enqueue()
        watcher = await Follower.join(bench, f"run:{created.run_id}")
        await bench.world.claim()
        await watcher.until(1)
        assert watcher.versions == [2]
    finally:
        await bench.close()
        await app.stop(drain=False)


async def test_an_operators_cancel_is_told_everywhere(here: Bench, there: Application) -> None:
    created = await here.world.enqueue()
    watchers = [
        await Follower.join(here, f"run:{created.run_id}", app=app) for app in (here.app, there)
    ]
    await runs.cancel(here.app.repo, created.run_id, "ana")
    for watcher in watchers:
        await watcher.until(1)
        assert watcher.got[0].payload["run"]["state"] == "cancelled"
