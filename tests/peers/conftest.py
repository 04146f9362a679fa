"""Real clients as processes that are told what to do and say what they see."""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pytest_asyncio import fixture as async_fixture

from channel_server.endpoint import Endpoint, Mount
from channel_server.testing.rooms import RoomSocket
from tests.peers.peer_process import Everybody, PeerProcess, StartPeer

HERE = Path(__file__).parent


@asynccontextmanager
async def serving() -> AsyncGenerator[Endpoint]:
    """A server of the rooms that clients are tested in."""
    endpoint = Endpoint([Mount("/socket", RoomSocket)], port=0, drain_window=0)
    await endpoint.start()
    try:
        yield endpoint
    finally:
        await endpoint.stop(drain=False)


@asynccontextmanager
async def starting() -> AsyncGenerator[StartPeer]:
    """A function that starts a client: `phoenix`, `phoenix-channels` or `phxsocket`."""
    started: list[PeerProcess] = []

    async def start(library: str, url: str, params: dict[str, str] | None = None) -> PeerProcess:
        process = await asyncio.create_subprocess_exec(
            *_command(library),
            url,
            *([] if params is None else [json.dumps(params)]),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=HERE,
            limit=2**24,
        )
        started.append(PeerProcess(process))
        await started[-1].wait(event="open")
        return started[-1]

    try:
        yield start
    finally:
        for peer in started:
            await peer.stop()


@async_fixture
async def rooms() -> AsyncIterator[Endpoint]:
    """A server for one test, which may stop it."""
    async with serving() as endpoint:
        yield endpoint


@async_fixture
async def start_peer() -> AsyncIterator[StartPeer]:
    """Starts clients for one test, see :func:`starting`."""
    async with starting() as start:
        yield start


@async_fixture(scope="module")
async def everybody() -> AsyncIterator[Everybody]:
    """One client of each library that the module asks for."""
    async with serving() as rooms, starting() as start:
        yield Everybody(rooms, start)


@pytest.fixture
def room(request: pytest.FixtureRequest) -> str:
    """The topic of a test."""
    return f"room:{request.node.name}"


def _command(library: str) -> list[str]:
    if library == "phxsocket":
        return [sys.executable, str(HERE / "phxsocket_driver.py")]
    node = shutil.which("node")
    if node is None or not (HERE / "node_modules" / library).is_dir():
        pytest.skip(f"needs node and `npm ci` in {HERE.name}, for {library}")
    return [node, str(HERE / "driver.cjs"), library]
