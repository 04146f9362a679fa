"""The pytest plugin of the gateway: databases, and an application under test.

Loaded through the entry point ``channel_server_gateway``. Imports of the project are made inside of
fixtures, so that having the plugin installed costs a test run nothing.

The fixtures of databases:

* ``postgres_server`` (session): a running server, embedded unless ``TEST_DATABASE_URL`` is set;
* ``database_url``: a fresh, migrated database for one test;
* ``empty_database_url``: a fresh database without tables;
* ``repo``: a :class:`schema.repo.Repo` on ``database_url``.

The fixtures of applications, each on ``database_url``:

* ``app_settings``: a valid configuration with keys made for the test and a free port;
* ``app``: a :class:`handlers.application.Application` that is open: no port, no services;
* ``app_server``: ``app`` as an :class:`~channel_server.testing.inprocess.InProcess` server;
* ``live_app``: an application that is started, to be reached over real websockets;
* ``seed_app``: a function that makes a :class:`handlers.seeds.Seeder` for either of them.
"""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

try:
    from pytest_asyncio import fixture as async_fixture
except ImportError:  # pragma: no cover  (then nobody asks for an asynchronous fixture)
    async_fixture = pytest.fixture

if TYPE_CHECKING:
    from channel_server.testing.inprocess import InProcess
    from handlers.application import Application
    from handlers.config import Settings
    from handlers.seeds import Seeder
    from schema.repo import Repo
    from schema.scratch import Scratch
    from schema.watchdog import Session

DATABASE_VARIABLE: Final = "TEST_DATABASE_URL"
"""Environment variable with the URL of a PostgreSQL to use instead of the embedded one."""

_WORKER_INPUT: Final = "channel_server_session"
_session: "pytest.StashKey[Session]" = pytest.StashKey()
_FOLDER: Final = Path(".channel_server") / "test-postgres"


def _session_directory(config: pytest.Config) -> Path:
    """Return the folder of this test session, the same in all of its processes."""
    given: dict[str, str] | None = getattr(config, "workerinput", None)
    if given is not None:
        return Path(given[_WORKER_INPUT])
    if _session not in config.stash:
        from schema.watchdog import Session

        config.stash[_session] = Session(config.rootpath / _FOLDER)
    return config.stash[_session].directory


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell each worker process of pytest-xdist where the session has its folder."""
    node.workerinput[_WORKER_INPUT] = str(_session_directory(node.config))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server of the session."""
    session = config.stash.get(_session, None)
    if session is not None:
        session.close()


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> "Iterator[Scratch]":
    """A running server to make databases on.

    Returns:
        Something with ``create()``, ``drop(url)``, ``give_back(url)`` and ``admin_dsn``.
    """
    import migrations
    from schema.scratch import Scratch, shared_server

    url = os.environ.get(DATABASE_VARIABLE) or shared_server(_session_directory(request.config))
    server = Scratch(url, migrations.up, migrations.sql("base", migrations.revisions()[-1]))
    yield server
    server.close()


@pytest.fixture
def make_database(postgres_server: "Scratch") -> Iterator[Callable[..., str]]:
    """A function that makes a database and returns its URL, for the length of the test.

    Its keyword ``empty=True`` leaves the tables out.
    """
    made: list[tuple[str, bool]] = []

    def make(*, empty: bool = False) -> str:
        made.append((postgres_server.create(empty=empty), empty))
        return made[-1][0]

    yield make
    for url, empty in made:
        if empty:
            postgres_server.drop(url)
        else:
            postgres_server.give_back(url)


@pytest.fixture
def database_url(make_database: Callable[..., str]) -> str:
    """URL of a fresh, migrated database."""
    return make_database()


@pytest.fixture
def empty_database_url(make_database: Callable[..., str]) -> str:
    """URL of a fresh database without tables."""
    return make_database(empty=True)


@async_fixture
async def repo(database_url: str) -> "AsyncIterator[Repo]":
    """A repo on a fresh database."""
    from schema.repo import Repo

    opened = await Repo.connect(database_url, min_size=1, max_size=10)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def runs_private_key() -> str:
    """An RSA private key as base64 PEM, made for this process of the session."""
    import base64

    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    pem = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return base64.b64encode(pem).decode()


@pytest.fixture
def app_settings(database_url: str, runs_private_key: str) -> "Settings":
    """A valid configuration: keys made for the test, a free port, no time for draining."""
    import secrets

    from handlers.config import Settings

    settings = Settings(
        database_url=database_url,
        worker_secret=secrets.token_urlsafe(32),
        worker_runs_private_key=runs_private_key,
        port=0,
        drain_window=0.0,
    )
    settings.check()
    return settings


@async_fixture
async def app(app_settings: "Settings") -> "AsyncIterator[Application]":
    """The application, open: its sockets work in-process, there is no port and no service."""
    from handlers.application import Application

    application = await Application(app_settings).open()
    yield application
    await application.stop(drain=False)


@async_fixture
async def app_server(app: "Application") -> "AsyncIterator[InProcess]":
    """The sockets of ``app`` without a network."""
    from channel_server.testing.inprocess import InProcess

    server = InProcess(app.sockets, pubsub=app.pubsub, metrics=app.metrics)
    yield server
    await server.stop()


@async_fixture
async def live_app(app_settings: "Settings") -> "AsyncIterator[Application]":
    """The application, started: ``live_app.endpoint.url`` is where it listens."""
    from handlers.application import Application

    application = await Application(app_settings).start()
    yield application
    await application.stop(drain=False)


@pytest.fixture
def seed_app() -> "Callable[[Application], Seeder]":
    """A function that makes a seeder for an application of this process."""
    from handlers.seeds import Seeder

    def make(application: "Application") -> Seeder:
        gateway = application.gateway
        return Seeder(gateway.repo, gateway.cipher, gateway.worker_tokens, gateway.queue_changed)

    return make
