"""One server for all attacks of a process; after each it must still serve, and be calm."""

import io
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from pytest_asyncio import fixture as async_fixture

from channel_server import log
from channel_server.endpoint import Endpoint, Mount
from channel_server.limits import SocketLimits
from channel_server.socket import Socket
from handlers.application import Application
from schema.scratch import Scratch
from tests import plain_logs
from tests.attack.target import Target, complaints
from tests.handlers.bench import project_with_credential, settings
from tests.schema.world import World, project, workflow

Serve = Callable[..., Awaitable[Endpoint]]
"""Start a server of channels alone; keywords are limits."""


@async_fixture(scope="session")
async def server(postgres_server: Scratch) -> AsyncIterator[Target]:
    """A gateway with its default settings, for all tests of this process."""
    url = postgres_server.create(empty=False)
    app = await Application(settings(url)).start()
    world = await World.create(app.repo, project_with_credential())
    yield Target(app, world, await World.create(app.repo, waiting_project()))
    await app.stop(drain=False)
    postgres_server.drop(url)


def waiting_project() -> Any:
    """A project whose webhook callers wait for the end of their run."""
    flow = workflow()
    flow.triggers[0].webhook_reply = "after_completion"
    return project("waiting", workflows=[flow])


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Everything that is logged, as production would write it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    log.configure("json", level="debug", stream=stream)
    yield stream
    plain_logs.use()
    root.handlers[:] = handlers
    root.setLevel(level)


@async_fixture
async def target(server: Target, lines: io.StringIO) -> AsyncIterator[Target]:
    """The server; when the test is over, it serves fresh clients and has logged no error."""
    server.lines = lines
    yield server
    try:
        await server.answers()
    finally:
        await server.close()
    assert complaints(lines.getvalue()) == []


@async_fixture
async def serve(lines: io.StringIO) -> AsyncIterator[Serve]:
    """Start a server of channels alone, with limits of its own; it must stay calm too."""
    running: list[Endpoint] = []

    async def start(
        socket: type[Socket], *, endpoint: dict[str, Any] | None = None, **limits: Any
    ) -> Endpoint:
        mount = Mount("/socket", socket, SocketLimits(**limits))
        running.append(Endpoint([mount], port=0, **(endpoint or {})))
        await running[-1].start()
        return running[-1]

    yield start
    for made in running:
        await made.stop(drain=False)
    assert complaints(lines.getvalue()) == []
