import asyncio
import contextlib
import gc
import logging
from collections.abc import Iterator

import asyncpg
import pytest

from channel_server.testing.proxy import FaultProxy
from schema import driver_log

MENDED = "Resetting connection with an active transaction"


@pytest.fixture(autouse=True)
def calm() -> Iterator[None]:
    before = {name: logging.getLogger(name).filters[:] for name in ("asyncio", "asyncpg.pool")}
    driver_log.calm()
    driver_log.calm()
    yield
    for name, filters in before.items():
        logging.getLogger(name).filters[:] = filters


@pytest.mark.parametrize(("level", "shown"), [(logging.INFO, 0), (logging.DEBUG, 1)])
async def test_a_transaction_that_was_left_open_is_only_told_to_who_debugs(
    database_url: str, caplog: pytest.LogCaptureFixture, level: int, shown: int
) -> None:
    async with asyncpg.create_pool(database_url, min_size=0) as pool:
        with caplog.at_level(level):
            async with pool.acquire() as connection:
                await connection.execute("BEGIN")
    told = [record for record in caplog.records if record.getMessage().startswith(MENDED)]
    assert [(record.levelname, record.exc_info) for record in told] == [("DEBUG", None)] * shown


@pytest.mark.parametrize(
    ("error", "level"),
    [(asyncpg.ConnectionDoesNotExistError("closed"), "DEBUG"), (ValueError("ours"), "ERROR")],
)
def test_a_lost_connection_that_nobody_waits_for_any_more_is_only_told_to_who_debugs(
    caplog: pytest.LogCaptureFixture, error: Exception, level: str
) -> None:
    loop = asyncio.new_event_loop()
    with caplog.at_level(logging.DEBUG):
        loop.create_future().set_exception(error)
        gc.collect()
    loop.close()
    told = [record for record in caplog.records if "never retrieved" in record.getMessage()]
    assert [record.levelname for record in told] == [level]


def test_what_nobody_mends_is_told_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.new_event_loop()
    loop.call_exception_handler({"message": "something else"})
    loop.close()
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("ERROR", "something else")
    ]


async def test_a_release_that_fails_when_nobody_waits_for_it_is_only_told_to_who_debugs(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with FaultProxy.before_database(database_url) as proxy:
        pool = await asyncpg.create_pool(proxy.dsn, min_size=0)
        connection = await pool.acquire()
        await connection.execute("BEGIN")
        proxy.to_server.stalled = True
        release = asyncio.create_task(pool.release(connection))
        with caplog.at_level(logging.DEBUG):
            await asyncio.sleep(0)
            release.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await release
            proxy.cut()
            await pool.close()
            gc.collect()
    told = [line for line in caplog.records if "never retrieved" in line.getMessage()]
    assert [line.levelname for line in told] == ["DEBUG"]
