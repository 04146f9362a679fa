"""A browser per process, a server per module, a visitor per test.

Each module that needs them says ``pytestmark = pytest.mark.browser``.
"""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.dashboard import chromium
from tests.dashboard.stage import QUIET, Stage
from tests.dashboard.visitor import Visitor
from tests.handlers.bench import settings

if TYPE_CHECKING:
    from schema.scratch import Scratch


@pytest.fixture(scope="session")
def has_browser() -> None:
    """Skip without a browser, or fail where one is required."""
    chromium.skip_or_fail()


@pytest_asyncio.fixture(scope="session")
async def browser(has_browser: None) -> AsyncIterator[Browser]:
    """The browser of this process."""
    async with chromium.running() as started:
        yield started


@pytest.fixture(scope="module")
def module_database(postgres_server: "Scratch") -> Iterator[str]:
    """URL of a database without rows for one module."""
    url = postgres_server.create()
    yield url
    postgres_server.give_back(url)


@pytest_asyncio.fixture(scope="module")
async def stage(has_browser: None, module_database: str) -> AsyncIterator[Stage]:
    """A server with the demo's project, shared by the tests of a module."""
    made = Stage(settings(module_database, **QUIET))
    await made.start()
    yield made
    await made.stop()


@pytest_asyncio.fixture
async def visitor(browser: Browser, stage: Stage) -> AsyncIterator[Visitor]:
    """Somebody in front of the page; what the page complains of fails the test."""
    await stage.clear()
    arrived = Visitor(browser, stage)
    yield arrived
    await arrived.close()
    assert arrived.complaints == []
