"""The toy domain as a fixture; child processes and tests import it as ``toy_pipelines``."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

from pytest_asyncio import fixture as async_fixture
from structlog.testing import capture_logs

from schema.scratch import Scratch
from tests.jobs_lab import JobsDatabase, jobs_database

sys.path.insert(0, str(Path(__file__).parent))

from toy_pipelines import TABLES, Lab


@async_fixture(scope="session")
async def toy_database(postgres_server: Scratch) -> AsyncIterator[JobsDatabase]:
    """A database for all tests of this process that use the toy domain."""
    async with jobs_database(postgres_server, TABLES) as database:
        yield database


@async_fixture
async def lab(toy_database: JobsDatabase) -> AsyncIterator[Lab]:
    """A database with the toy domain, and nothing else in it."""
    await toy_database.empty()
    # Rendering tracebacks for people takes longer than most of these tests.
    with capture_logs():
        async with AsyncExitStack() as stack:
            yield Lab(toy_database, stack)
    await toy_database.calm()
