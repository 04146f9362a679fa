"""Real clients as processes that are told what to do and say what they see."""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from channel_server.endpoint import Endpoint, Mount
from channel_server.testing.rooms import RoomSocket
from tests.peers.peer_process import PeerProcess, StartPeer

HERE = Path(__file__).parent


@pytest.fixture
async def rooms() -> AsyncIterator[Endpoint]:
    """A server of the rooms that clients are tested in."""
    endpoint = Endpoint([Mount("/socket", RoomSocket)], port=0, drain_window=0)
    await endpoint.start()
    yield endpoint
    await endpoint.stop(drain=False)


@pytest.fixture
async def start_peer() -> AsyncIterator[StartPeer]:
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

    yield start
    for peer in started:
        await peer.stop()


def _command(library: str) -> list[str]:
    if library == "phxsocket":
        return [sys.executable, str(HERE / "phxsocket_driver.py")]
    node = shutil.which("node")
    if node is None or not (HERE / "node_modules" / library).is_dir():
        pytest.skip(f"needs node and `npm ci` in {HERE.name}, for {library}")
    return [node, str(HERE / "driver.cjs"), library]
