"""What all tests share."""

from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, settings
from pytest_asyncio import fixture as async_fixture

from schema.embedded import EmbeddedPostgres
from schema.repo import Repo
from tests import plain_logs, tracing
from tests.kept_repos import KeptRepos
from tests.spare_server import SpareServer

# A busy machine is no fault of a strategy: only what is found counts, not how long it took.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")
plain_logs.use()


def pytest_configure(config: pytest.Config) -> None:
    """Switch coverage off where it does not count."""
    tracing.use(config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, one half in each half of the list: two processes share those.

    What takes long and comes last leaves one process waiting for the other.
    """
    long = [item for item in items if item.get_closest_marker("long")]
    short = [item for item in items if not item.get_closest_marker("long")]
    middle = len(short) // 2
    items[:] = [*long[::2], *short[:middle], *long[1::2], *short[middle:]]


@async_fixture(scope="session")
async def kept() -> AsyncIterator[KeptRepos]:
    """Doors to databases that stay open from test to test."""
    made = KeptRepos()
    yield made
    await made.close()


@async_fixture
async def repo(database_url: str, kept: KeptRepos) -> Repo:
    """A door to the database of the test."""
    return await kept.to(database_url)


@pytest.fixture(scope="session")
def spare_server(request: pytest.FixtureRequest) -> Iterator[SpareServer]:
    """A server besides the one that has the databases of the tests."""
    made = SpareServer(request.config.rootpath)
    yield made
    made.close()


@pytest.fixture
def own_postgres(spare_server: SpareServer) -> Iterator[EmbeddedPostgres]:
    """That server, to be started, stopped and killed at will; it does not run yet.

    Its database ``postgres`` is for what leaves nothing there.
    """
    with spare_server.at() as server:
        yield server
