"""The toy domain as a fixture; child processes and tests import it as ``toy_pipelines``."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from pipelines import open_pool

sys.path.insert(0, str(Path(__file__).parent))

from toy_pipelines import TABLES, Lab


@pytest.fixture(scope="session")
def toy_database(postgres_server: Any) -> Iterator[str]:
    """URL of a database for all tests of this process that use the toy domain."""
    url = postgres_server.create()
    yield url
    postgres_server.drop(url)


@pytest.fixture
async def lab(toy_database: str) -> AsyncIterator[Lab]:
    """A database with the toy domain, and nothing else in it."""
    pool = await open_pool(toy_database, concurrency=8)
    await pool.execute(TABLES)
    # Rendering tracebacks for people takes longer than most of these tests.
    with capture_logs():
        async with AsyncExitStack() as stack:
            yield Lab(toy_database, pool, stack)
    await pool.close()
