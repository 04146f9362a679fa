"""Applications under test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from handlers.application import Application
from handlers.config import Settings
from tests.handlers.bench import Bench, project_with_credential, settings
from tests.handlers.http_bench import Web
from tests.kept_repos import KeptRepos
from tests.schema.world import World

MakeBench = Callable[..., Awaitable[Bench]]

DATABASE_SETTINGS = ("database_", "state_machine")
"""How settings begin that say how the database is connected to."""


async def at_kept_door(given: Settings, kept: KeptRepos) -> Application:
    """An application with the door to its database that stays open from test to test."""
    return Application(given, repo=await kept.to(given.database_url))


@pytest.fixture
async def make_bench(database_url: str, kept: KeptRepos) -> AsyncIterator[MakeBench]:
    """A function that opens an application, with settings of its own, on the test's database."""
    made: list[Bench] = []

    async def make(spec: Any = None, **more: Any) -> Bench:
        own = any(name.startswith(DATABASE_SETTINGS) for name in more)
        given = settings(database_url, **more)
        app = await (Application(given) if own else await at_kept_door(given, kept)).open()
        world = await World.create(app.repo, spec or project_with_credential())
        made.append(Bench(app, world))
        await made[-1].has_watched()
        return made[-1]

    yield make
    for bench in made:
        await bench.close()
        await bench.app.stop()


@pytest.fixture
async def app(app_settings: Settings, kept: KeptRepos) -> AsyncIterator[Application]:
    """The application, open."""
    application = await (await at_kept_door(app_settings, kept)).open()
    yield application
    await application.stop(drain=False)


@pytest.fixture
async def live_app(app_settings: Settings, kept: KeptRepos) -> AsyncIterator[Application]:
    """The application, started."""
    application = await (await at_kept_door(app_settings, kept)).start()
    yield application
    await application.stop(drain=False)


@pytest.fixture
async def bench(make_bench: MakeBench) -> Bench:
    """An application with default settings."""
    return await make_bench()


@pytest.fixture
async def web(make_bench: MakeBench) -> Web:
    """The HTTP side of an application that makes no statistics by itself."""
    return Web(await make_bench(run_statistics_cron=""))


@pytest.fixture
async def reader(web: Web) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who may look."""
    async with web.client("viewer") as client:
        yield client
