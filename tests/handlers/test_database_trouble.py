"""One test for each trouble of the database: who waits, who is refused, and that all come back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from channel_server.service import Signals
from channel_server.testing.peer import WirePeer
from channel_server.testing.proxy import FaultProxy
from handlers import readiness, run_context
from handlers.application import Application
from migrations import up
from schema import databases
from schema.embedded import EmbeddedPostgres
from schema.refused import Refused
from schema.repo import ANSWER_MARGIN, Repo, Statement, connection
from tests.handlers.bench import TIMEOUT, Bench, Run, project_with_credential, settings, stamp
from tests.handlers.conftest import MakeBench
from tests.plain_http import PLAIN
from tests.schema.world import World
from tests.spare_server import SpareServer
from tests.waiting import until

ONE = Statement("test.one", "SELECT 1 AS one")
PATIENT = {"database_patience": 25.0}
HASTY = {"database_patience": 0.0}
DATABASE = "trouble"

MakeProxied = Callable[..., Awaitable[tuple[Bench, FaultProxy]]]


@pytest.fixture
async def proxied(database_url: str) -> AsyncIterator[MakeProxied]:
    """A bench whose application reaches its database through a proxy; the world does directly."""
    async with FaultProxy.before_database(database_url) as proxy:
        made: list[tuple[Bench, Repo]] = []

        async def make(**more: Any) -> tuple[Bench, FaultProxy]:
            app = await Application(settings(proxy.dsn, **more)).open()
            direct = await Repo.connect(database_url, min_size=1, max_size=2)
            bench = Bench(app, await World.create(direct, project_with_credential()))
            made.append((bench, direct))
            return bench, proxy

        yield make
        proxy.to_server.stalled = proxy.to_client.stalled = False
        proxy.refusing = False
        for bench, direct in made:
            await bench.close()
            await bench.app.stop()
            await direct.close()


async def start(run: Run) -> asyncio.Task[Any]:
    """Send `run:start`; its answer comes when the database lets it."""
    return asyncio.create_task(run.channel.call("run:start", {"timestamp": stamp()}, timeout=30))


async def retried(bench: Bench, times: int = 1) -> None:
    """Wait until some write was refused and is tried again."""
    metrics = bench.app.gateway.metrics
    seen = metrics.retries
    await until(lambda: metrics.retries >= seen + times)


async def told(bench: Bench, run: Run) -> list[str]:
    """Names of the run's events, as dashboards are told them."""
    rows = await bench.world.repo.fetch(
        Statement("test.events", "SELECT event FROM run_events WHERE run_id = $1 ORDER BY version"),
        run.id,
    )
    assert not isinstance(rows, Refused)
    return [row["event"] for row in rows]


# Pool exhausted.


async def test_pool_exhausted_an_event_waits_until_a_connection_is_free(
    make_bench: MakeBench,
) -> None:
    bench = await make_bench(database_pool_size=2, database_acquire_timeout=0.01, **PATIENT)
    run = await bench.run()
    async with bench.app.repo.transaction(), bench.app.repo.transaction():
        answer = await start(run)
        await retried(bench)
    assert await answer is None
    assert await bench.state(run) == "started"


async def test_pool_exhausted_past_its_patience_an_event_is_refused_as_retryable(
    make_bench: MakeBench,
) -> None:
    bench = await make_bench(database_pool_size=2, database_acquire_timeout=0.01, **HASTY)
    run = await bench.run()
    async with bench.app.repo.transaction(), bench.app.repo.transaction():
        refused = await run.refused("run:start", {"timestamp": stamp()})
    assert (refused["reason"], refused["retryable"]) == ("busy", True)
    assert await run.call("run:start", {"timestamp": stamp()}) is None


# Statement timeout.


async def test_statement_timeout_an_event_is_refused_as_retryable_and_then_goes_through(
    make_bench: MakeBench,
) -> None:
    bench = await make_bench(database_pool_size=2, **HASTY)
    run = await bench.run()
    await limit_statements(bench, "200ms")
    async with connection(bench.app.repo.dsn) as other, other.transaction():
        await other.execute("SELECT 1 FROM runs WHERE id = $1 FOR UPDATE", run.id)
        refused = await run.refused("run:start", {"timestamp": stamp()})
    assert (refused["reason"], refused["retryable"]) == ("busy", True)
    await limit_statements(bench, "30s")
    assert await run.call("run:start", {"timestamp": stamp()}) is None


async def limit_statements(bench: Bench, time: str) -> None:
    """Give both connections of the pool this timeout; what is set up before takes its own time."""
    limit = Statement("test.limit", f"SET statement_timeout = '{time}'")
    async with bench.app.repo.transaction() as one, bench.app.repo.transaction() as two:
        await one.fetch(limit)
        await two.fetch(limit)


@pytest.mark.parametrize("seconds", [0.2, 7.0])
async def test_the_statement_timeout_is_that_of_the_settings(
    database_url: str, seconds: float
) -> None:
    app = await Application(settings(database_url, database_statement_timeout=seconds)).open()
    shown = await app.repo.fetchrow(Statement("test.shown", "SHOW statement_timeout"))
    await app.stop()
    assert shown is not None
    assert not isinstance(shown, Refused)
    assert shown["statement_timeout"] == {0.2: "200ms", 7.0: "7s"}[seconds]


# Fail-over to a server that is read-only.


async def test_read_only_sessions_are_replaced_and_the_event_goes_through(
    make_bench: MakeBench,
) -> None:
    bench = await make_bench(database_pool_size=2, **PATIENT)
    run = await bench.run()
    make_read_only = Statement("test.read_only", "SET default_transaction_read_only = on")
    for _ in range(2):
        async with bench.app.repo.transaction() as one, bench.app.repo.transaction() as two:
            await one.fetch(make_read_only)
            await two.fetch(make_read_only)
    assert await run.call("run:start", {"timestamp": stamp()}) is None


async def test_a_read_only_server_is_not_ready_and_its_events_wait(make_bench: MakeBench) -> None:
    bench = await make_bench(**PATIENT)
    run = await bench.run()
    seen: list[bool] = []
    watch = readiness.Readiness(bench.app.repo, bench.app.repo.dsn, seen.append)
    async with connection(bench.app.repo.dsn) as admin:
        name = await admin.fetchval("SELECT quote_ident(current_database())")
        await watch.start()
        await watch.started()
        await admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        await terminate_all(admin)
        answer = await start(run)
        await retried(bench, 2)
        async with asyncio.timeout(TIMEOUT):
            while await watch.check():
                pass
        await admin.execute("SET default_transaction_read_only = off")
        await admin.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    assert await answer is None
    await until(lambda: len(seen) == 3)
    assert seen == [True, False, True]
    await watch.stop()


async def terminate_all(admin: Any) -> None:
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


# Backends killed.


async def test_every_backend_killed_the_listener_and_the_jobs_too_and_no_socket_is_closed(
    live_app: Application,
) -> None:
    token = live_app.gateway.worker_tokens.issue("w")
    worker = await WirePeer.connect(f"{live_app.endpoint.url}/worker", {"token": token})
    listener = live_app._listener  # pyright: ignore[reportPrivateUsage]
    assert listener is not None
    world = await World.create(live_app.repo)
    async with connection(live_app.settings.database_url) as admin:
        await terminate_all(admin)
        async with asyncio.timeout(30):
            await listener.disconnected.wait()
            await listener.connected.wait()
            while isinstance(await live_app.repo.fetch(ONE), Refused):
                pass  # on a connection that was cut while it was free
        await world.enqueue()
        engine = live_app.gateway.engine
        await engine.started()
        assert await engine.snapshot(uuid4()) is None
    await until(lambda: live_app.gateway.engine.running)
    assert worker.close_code is None
    assert all(service.running for service in live_app.services.values())
    await worker.close()


# The server goes away, for good measure the hard way.


@pytest.fixture
async def postgres(spare_server: SpareServer) -> AsyncIterator[EmbeddedPostgres]:
    """A server for one test alone, with the tables in ``DATABASE``."""
    # Crash recovery must find what is committed: the test server gives up durability otherwise.
    with spare_server.at(settings={"synchronous_commit": "on"}) as server:
        await databases.create(await asyncio.to_thread(server.start), DATABASE)
        await up(server.dsn(DATABASE))
        yield server
        await databases.drop(await asyncio.to_thread(server.start), DATABASE)


async def test_postmaster_killed_events_wait_sockets_stay_and_upgrades_come_back(
    postgres: EmbeddedPostgres,
) -> None:
    url = postgres.dsn(DATABASE)
    app = await Application(settings(url, pipelines="off", **PATIENT)).start()
    bench = Bench(app, await World.create(app.repo, project_with_credential()))
    token = app.gateway.worker_tokens.issue("w")
    socket = await WirePeer.connect(f"{app.endpoint.url}/worker", {"token": token})
    run = await bench.run()
    ready = app.services["readiness"].signals
    try:
        await asyncio.to_thread(postgres.kill)
        answer = await start(run)
        await retried(bench, 2)
        await until_checked(ready, well=False)
        async with httpx.AsyncClient(
            base_url=app.endpoint.http_url, trust_env=False, verify=PLAIN
        ) as http:
            assert (await http.get("/readyz")).status_code == 503
        await asyncio.to_thread(postgres.start)
        await until_checked(ready, well=True)
        assert await answer is None
        assert await bench.state(run) == "started"
        assert socket.close_code is None
        again = await WirePeer.connect(f"{app.endpoint.url}/worker", {"token": token})
        await again.close()
    finally:
        await socket.close()
        await bench.close()
        await app.stop(drain=False)


async def until_checked(signals: Signals, *, well: bool) -> None:
    async with asyncio.timeout(30):
        while await signals.wait("checked", timeout=30) is not well:
            pass


async def test_the_first_statement_that_finds_the_database_back_makes_it_ready(
    proxied: MakeProxied, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("INTERVAL", "SOON"):
        monkeypatch.setattr(readiness, name, 3600.0)  # no timer helps
    bench, proxy = await proxied()
    repo = bench.app.repo
    changes: asyncio.Queue[bool] = asyncio.Queue()
    watch = readiness.Readiness(repo, repo.dsn, changes.put_nowait)
    await watch.start()
    async with asyncio.timeout(TIMEOUT):
        assert await changes.get() is True
        proxy.refusing = True
        proxy.cut()
        while not isinstance(await repo.fetch(ONE), Refused):
            pass
        assert await changes.get() is False
        proxy.refusing = False
        while isinstance(await repo.fetch(ONE), Refused):
            pass
        assert await changes.get() is True
    await watch.stop()


async def test_a_server_that_is_away_for_longer_than_its_patience_refuses_and_keeps_the_channel(
    proxied: MakeProxied,
) -> None:
    bench, proxy = await proxied(**HASTY)
    run = await bench.run()
    proxy.refusing = True
    proxy.cut()
    # Connections that were cut while they were free are found out here: what was asked on those
    # has an unknown outcome, and an event would wait for it.
    while not isinstance(found := await bench.app.repo.fetch(ONE), Refused) or (
        found.outcome_unknown
    ):
        pass
    for _ in range(3):
        refused = await run.refused("run:start", {"timestamp": stamp()})
        assert (refused["reason"], refused["retryable"]) == ("unavailable", True)
    proxy.refusing = False
    assert await run.call("run:start", {"timestamp": stamp()}) is None
    await run.channel.refute_crashed()


# The outcome of a write in flight.


async def test_an_answer_lost_after_the_commit_is_found_out_before_the_event_is_answered(
    proxied: MakeProxied,
) -> None:
    bench, proxy = await proxied(**HASTY)
    run = await bench.run()
    watcher = await bench.watch(run)
    lost = proxy.lose_answer_to(run.id.bytes)
    assert await run.call("run:start", {"timestamp": stamp()}) is None
    assert lost.is_set()
    await watcher.assert_broadcast("run:updated", {"run": {"state": "started"}}, timeout=TIMEOUT)
    assert (await told(bench, run)).count("run:updated") == 2  # claimed, started


async def test_an_outcome_that_is_unknown_is_not_refused_while_the_server_is_away(
    proxied: MakeProxied,
) -> None:
    bench, proxy = await proxied(**HASTY)
    run = await bench.run()
    lost = proxy.lose_answer_to(run.id.bytes, then_down=True)
    answer = await start(run)
    await retried(bench, 3)
    assert lost.is_set()
    assert not answer.done()
    proxy.refusing = False
    assert await answer is None
    assert (await told(bench, run)).count("run:updated") == 2


async def test_an_outcome_that_cannot_be_found_out_is_refused_as_retryable_in_the_end(
    proxied: MakeProxied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_context, "OUTCOME_PATIENCE", 0.2)
    bench, proxy = await proxied(**HASTY)
    run = await bench.run()
    lost = proxy.lose_answer_to(run.id.bytes, then_down=True)
    refused = await run.refused("run:start", {"timestamp": stamp()})
    assert refused["retryable"] is True
    assert lost.is_set()
    proxy.refusing = False
    # The worker sends it again: the same answer as if it had heard the first one.
    assert await run.call("run:start", {"timestamp": stamp()}) is None


async def test_a_webhook_whose_answer_is_lost_creates_one_run_and_says_which(
    database_url: str,
) -> None:
    async with FaultProxy.before_database(database_url) as proxy:
        app = await Application(settings(proxy.dsn, pipelines="off")).start()
        world = await World.create(app.repo, project_with_credential())
        hook = world.workflow().triggers["webhook"]
        try:
            lost = proxy.lose_answer_to(b"a very special order")
            async with httpx.AsyncClient(
                base_url=app.endpoint.http_url, trust_env=False, verify=PLAIN
            ) as http:
                answer = await http.post(f"/i/{hook}", json={"is": "a very special order"})
            assert lost.is_set()
            assert answer.status_code == 200
            rows = await app.repo.fetch(Statement("test.runs", "SELECT id FROM runs"))
            assert not isinstance(rows, Refused)
            assert [str(row["id"]) for row in rows] == [answer.json()["run_id"]]
        finally:
            await app.stop(drain=False)


# Silence.


async def test_a_server_that_says_nothing_is_given_up_and_the_event_refused(
    proxied: MakeProxied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("schema.repo.ANSWER_MARGIN", 0.1)
    monkeypatch.setattr(run_context, "OUTCOME_PATIENCE", 0.1)
    bench, proxy = await proxied(
        database_statement_timeout=0.2, database_acquire_timeout=0.2, **HASTY
    )
    run = await bench.run()
    proxy.to_server.stalled = proxy.to_client.stalled = True
    refused = await run.refused("run:start", {"timestamp": stamp()})
    assert refused["retryable"] is True
    proxy.to_server.stalled = proxy.to_client.stalled = False
    assert await run.call("run:start", {"timestamp": stamp()}) is None


def test_silence_is_noticed_before_workers_give_up() -> None:
    longest = settings("postgresql://x").database_statement_timeout + ANSWER_MARGIN
    assert longest < 30


# Several hosts.


async def test_of_several_hosts_the_one_that_takes_writes_is_used(database_url: str) -> None:
    async with (
        FaultProxy.before_database(database_url) as first,
        FaultProxy.before_database(database_url) as second,
    ):
        both = second.dsn.replace("@", f"@127.0.0.1:{first.port},", 1)
        repo = await Repo.connect(both, min_size=1, max_size=1)
        assert (first.connections, second.connections) == (1, 0)
        await first.stop()
        async with asyncio.timeout(TIMEOUT):
            while isinstance(await repo.fetch(ONE), Refused):
                pass
        assert second.connections == 1
        await repo.close()
