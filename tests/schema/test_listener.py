import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from schema.embedded import EmbeddedPostgres
from schema.listener import CHANNEL, Listener

TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name = 'channel_server listener' AND datname = current_database()"
)


class Heard:
    """A listener and everything that it said."""

    def __init__(self, url: str, **options: Any) -> None:
        self.payloads: asyncio.Queue[str] = asyncio.Queue()
        self.resyncs: asyncio.Queue[None] = asyncio.Queue()
        self.listener = Listener(
            url,
            self.payloads.put_nowait,
            lambda: self.resyncs.put_nowait(None),
            backoff=(0.01, 0.05),
            **options,
        )

    async def payload(self) -> str:
        return await asyncio.wait_for(self.payloads.get(), 10)

    async def resync(self) -> None:
        await asyncio.wait_for(self.resyncs.get(), 10)


@pytest.fixture
async def heard(database_url: str) -> AsyncIterator[Heard]:
    """A listener that listens."""
    made = Heard(database_url)
    await made.listener.start()
    await made.resync()
    yield made
    await made.listener.stop()


async def notify(conn: Any, payload: str) -> None:
    await conn.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)


async def test_notifications_arrive_in_order(heard: Heard, conn: Any) -> None:
    for payload in ("a", "", '{"run_available":1}'):
        await notify(conn, payload)
    assert [await heard.payload() for _ in range(3)] == ["a", "", '{"run_available":1}']


async def test_listener_whose_connection_is_cut_comes_back_and_asks_for_a_resync(
    heard: Heard, conn: Any
) -> None:
    assert heard.resyncs.empty()
    await conn.execute(TERMINATE)
    await heard.resync()
    assert heard.listener.connected.is_set()
    await notify(conn, "after")
    assert await heard.payload() == "after"


async def test_nothing_is_heard_of_a_transaction_that_is_rolled_back(
    heard: Heard, conn: Any
) -> None:
    transaction = conn.transaction()
    await transaction.start()
    await notify(conn, "never")
    await transaction.rollback()
    await notify(conn, "committed")
    assert await heard.payload() == "committed"


async def test_listener_survives_a_server_that_goes_away_and_comes_back(
    own_postgres: EmbeddedPostgres,
) -> None:
    own_postgres.start()
    heard = Heard(own_postgres.dsn())
    await heard.listener.start()
    await heard.resync()
    own_postgres.kill()
    await asyncio.wait_for(heard.listener.disconnected.wait(), 10)
    own_postgres.start()
    await heard.resync()
    await heard.listener.stop()
    assert not heard.listener.connected.is_set()


async def test_start_and_stop_in_any_order_are_fine(database_url: str) -> None:
    heard = Heard(database_url)
    await heard.listener.stop()
    for _ in range(3):
        await heard.listener.start()
        await heard.listener.start()
        await heard.resync()
        await heard.listener.stop()
        await heard.listener.stop()
    assert heard.listener.disconnected.is_set()


async def test_silent_connection_is_tested(database_url: str, conn: Any) -> None:
    heard = Heard(database_url, keepalive=0.01)
    await heard.listener.start()
    await heard.resync()
    async with asyncio.timeout(10):
        while not await conn.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT 1'"
            " AND application_name = 'channel_server listener' AND datname = current_database()"
        ):
            pass
    await notify(conn, "still here")
    assert await heard.payload() == "still here"
    await heard.listener.stop()
