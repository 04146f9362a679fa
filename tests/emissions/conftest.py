"""A database with the units of the sample; tests import ``emissions_lab``."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from pipelines import open_pool

sys.path.insert(0, str(Path(__file__).parent))

from emissions_lab import EMPTY, EmissionsLab


@pytest.fixture(scope="session")
def emissions_database(postgres_server: Any) -> Iterator[str]:
    """URL of a database for all tests of this process that use the domain."""
    url = postgres_server.create()
    yield url
    postgres_server.drop(url)


@pytest.fixture
async def emissions(emissions_database: str) -> AsyncIterator[EmissionsLab]:
    """The domain with units U-100 and U-200, and nothing else."""
    pool = await open_pool(emissions_database, concurrency=8)
    await pool.execute(EMPTY)
    async with AsyncExitStack() as stack:
        yield EmissionsLab(emissions_database, pool, stack)
    await pool.close()
