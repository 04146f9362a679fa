"""Getting a connection: refusals, retries, tokens, and what the server is when it is none."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from channel_server.client import Client, ConnectFailed, ConnectRefused, Disconnected, full_jitter
from channel_server.endpoint import Endpoint, Mount
from channel_server.limits import SocketLimits
from channel_server.socket import ConnectInfo, Refuse
from channel_server.testing.rooms import RoomSocket
from tests.waiting import left_since


class TokenSocket(RoomSocket):
    """Lets in only who brings the token of the moment, by subprotocol."""

    limits = SocketLimits(auth_token=True)
    token = "a/b+c?=é"

    def connect(self, params: dict[str, Any], info: ConnectInfo) -> Refuse | None:
        if info.auth_token != self.token:
            return Refuse(401, "wrong token")
        return super().connect(params, info)


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    mounts = [Mount("/socket", RoomSocket), Mount("/token", TokenSocket)]
    server = Endpoint(mounts, port=0, drain_window=0)
    await server.start()
    yield server
    await server.stop(drain=False)


@pytest.fixture
async def url(endpoint: Endpoint) -> str:
    return f"{endpoint.url}/socket"


async def test_a_refused_connection_raises_status_and_body(url: str) -> None:
    client = Client(url, params={"refuse": "1"})
    with pytest.raises(ConnectRefused, match="HTTP 403 refused as asked"):
        await client.connect()
    await client.close()


async def test_no_server_raises_connect_failed() -> None:
    with pytest.raises(ConnectFailed, match="no connection"):
        await Client("ws://127.0.0.1:1/socket").connect()


async def test_with_retry_it_keeps_trying_and_evaluates_params_anew(
    endpoint: Endpoint, url: str
) -> None:
    tries = iter([{"refuse": "1"}, {"refuse": "1"}])
    client = Client(url, params=lambda: next(tries, dict[str, str]()), backoff=lambda attempt: 0.01)
    await asyncio.wait_for(client.connect(retry=True), 5)
    with pytest.raises(RuntimeError, match="connect was called already"):
        await client.connect()
    await client.channel("room:1").join()
    await client.close()


async def test_the_token_goes_as_a_subprotocol(endpoint: Endpoint) -> None:
    async with Client(f"{endpoint.url}/token", auth_token=lambda: TokenSocket.token) as client:
        await client.channel("room:1").join()
    with pytest.raises(ConnectRefused, match="401"):
        await Client(f"{endpoint.url}/token", auth_token="wrong").connect()


def test_back_off_is_full_jitter_with_a_cap() -> None:
    waits = [full_jitter(attempt) for attempt in range(200)]
    assert all(0 <= wait <= min(10, 0.1 * 2**n) for n, wait in enumerate(waits))
    assert len(set(waits)) > 190


async def test_a_server_that_speaks_no_phoenix_is_left_with_1002() -> None:
    closes: asyncio.Queue[int | None] = asyncio.Queue()

    async def nonsense(connection: ServerConnection) -> None:
        await connection.send("nonsense")
        await connection.wait_closed()
        closes.put_nowait(connection.close_code)

    seen: asyncio.Queue[Disconnected] = asyncio.Queue()

    def failing(error: Disconnected) -> None:
        seen.put_nowait(error)
        raise RuntimeError("a callback's own mistake")

    async with serve(nonsense, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = Client(f"ws://127.0.0.1:{port}/socket", backoff=lambda attempt: 0.01)
        client.on_close(failing)
        await client.connect()
        async with asyncio.timeout(10):
            assert await closes.get() == 1002
            lost = await seen.get()
            assert (lost.code, lost.reason[:8]) == (1002, "not JSON")
            # It comes back, whatever a callback does.
            await seen.get()
        await client.close()


async def test_frames_that_answer_nobody_are_ignored() -> None:
    odd = [
        '[null, {}, "room:1", "phx_reply", {"status": "ok"}]',
        '[null, "77", "room:1", "phx_reply", {"status": "ok"}]',
        '[null, null, ["room:1"], "x", {}]',
        '[null, null, "room:1", {}, {}]',
        '[null, null, "room:2", "x", {}]',
        '[null, "1", "room:1", "phx_reply", "no object"]',
        '["1", "1", "room:1", "phx_reply", {"status": "ok", "response": "joined"}]',
    ]

    async def oddly(connection: ServerConnection) -> None:
        await connection.recv()
        for frame in odd:
            await connection.send(frame)
        await connection.wait_closed()

    async with serve(oddly, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Client(f"ws://127.0.0.1:{port}/socket") as client:
            assert await client.channel("room:1").join(timeout=10) == "joined"


async def test_params_that_fail_once_do_not_end_the_client(endpoint: Endpoint, url: str) -> None:
    calls: list[int] = []

    def params() -> dict[str, str]:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("the token cannot be read")
        return {}

    client = Client(url, params=params, backoff=lambda attempt: 0.01)
    await asyncio.wait_for(client.connect(retry=True), 10)
    assert len(calls) == 2
    await client.close()


async def test_closing_ends_a_connect_that_keeps_trying() -> None:
    client = Client("ws://127.0.0.1:1/socket", backoff=lambda attempt: 0.01)
    connecting = asyncio.create_task(client.connect(retry=True))
    await asyncio.sleep(0)
    await client.close()
    with pytest.raises(ConnectFailed, match="closed"):
        await asyncio.wait_for(connecting, 10)


async def test_cancelling_a_connect_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    client = Client("ws://127.0.0.1:1/socket", backoff=lambda attempt: 0.01)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.connect(retry=True), 0.05)
    assert await left_since(before) == []
