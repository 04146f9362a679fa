"""A room that answers with what it hears, and counts it."""

from typing import Any, ClassVar

from channel_server.channel import Channel, Reply, ok, on
from channel_server.endpoint import Endpoint
from channel_server.socket import Route, Socket
from channel_server.testing.raw import RawClient
from tests.attack.target import PATIENCE


class Room(Channel):
    """`room:*`."""

    heard: ClassVar[int] = 0

    def join(self, payload: Any) -> None:
        """Let everybody in."""
        del payload

    @on("echo")
    def echo(self, payload: Any) -> Reply:
        """Answer with the same."""
        Room.heard += 1
        return ok(payload)


class RoomSocket(Socket):
    """A socket with rooms."""

    channels = (Route("room:*", Room),)


async def client_of(endpoint: Endpoint) -> RawClient:
    """A TCP connection on which nothing was sent yet."""
    client = RawClient(endpoint.host, endpoint.port, timeout=PATIENCE)
    await client.open()
    return client


async def upgraded(endpoint: Endpoint, *headers: tuple[str, str]) -> RawClient:
    """A websocket."""
    client = await client_of(endpoint)
    assert (await client.upgrade("/socket/websocket?vsn=2.0.0", headers)).status == 101
    return client
