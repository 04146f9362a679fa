"""A database with the units of the sample; tests import ``emissions_lab``."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

from pytest_asyncio import fixture as async_fixture
from structlog.testing import capture_logs

from schema.scratch import Scratch
from tests.jobs_lab import JobsDatabase, jobs_database

sys.path.insert(0, str(Path(__file__).parent))

from emissions_lab import UNITS, EmissionsLab


@async_fixture(scope="session")
async def emissions_database(postgres_server: Scratch) -> AsyncIterator[JobsDatabase]:
    """A database for all tests of this process that use the domain."""
    async with jobs_database(postgres_server) as database:
        yield database


@async_fixture
async def emissions(emissions_database: JobsDatabase) -> AsyncIterator[EmissionsLab]:
    """The domain with units U-100 and U-200, and nothing else."""
    await emissions_database.empty()
    # Rendering logs for people takes longer than many of these tests.
    with capture_logs():
        async with AsyncExitStack() as stack:
            lab = EmissionsLab(emissions_database, stack)
            await lab.pool.execute(UNITS)
            yield lab
    await emissions_database.calm()
