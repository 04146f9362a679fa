"""A client that was closed: what is asked of it fails at once, not when its time is over."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from channel_server.channel import Channel
from channel_server.client import Client
from channel_server.client_errors import ChannelClosed, ClientError, Disconnected
from channel_server.endpoint import Endpoint
from channel_server.socket import Route, Socket

Serve = Callable[..., Awaitable[Endpoint]]

NEVER = 3600.0


class Room(Channel):
    def join(self, payload: Any) -> None:
        pass


class RoomSocket(Socket):
    channels = (Route("room:*", Room),)


@pytest.fixture
async def client(serve: Serve) -> Client:
    endpoint = await serve(RoomSocket)
    client = Client(f"{endpoint.url}/socket", timeout=NEVER)
    await client.connect()
    return client


async def test_a_join_on_a_closed_client_fails_at_once(client: Client) -> None:
    await client.close()
    room = client.channel("room:1")
    with pytest.raises(Disconnected, match="the client was closed"):
        await asyncio.wait_for(room.join(), 5)
    assert room.state == "closed"


async def test_a_push_on_a_closed_client_fails_at_once(client: Client) -> None:
    room = client.channel("room:1")
    await room.join()
    await client.close()
    with pytest.raises(ChannelClosed):
        await asyncio.wait_for(room.push("echo"), 5)


async def test_a_join_that_waits_for_a_connection_fails_when_the_client_is_closed() -> None:
    client = Client("ws://127.0.0.1:1/socket", timeout=NEVER)
    connecting = asyncio.create_task(client.connect(retry=True))
    joining = asyncio.create_task(client.channel("room:1").join())
    await asyncio.sleep(0)
    await client.close()
    with pytest.raises(ClientError):
        await asyncio.wait_for(joining, 5)
    with pytest.raises(ClientError):
        await asyncio.wait_for(connecting, 5)
