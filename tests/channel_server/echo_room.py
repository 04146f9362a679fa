"""A room that echoes, for tests of what happens below channels."""

from collections.abc import Awaitable, Callable
from typing import Any

from channel_server.channel import Channel, Reply, ok, on
from channel_server.endpoint import Endpoint
from channel_server.socket import Route, Socket
from channel_server.testing.raw import TEXT, RawClient

Serve = Callable[..., Awaitable[Endpoint]]
Open = Callable[..., Awaitable[RawClient]]
Until = Callable[[Callable[[], object]], Awaitable[None]]

HEARTBEAT = b'[null,"1","phoenix","heartbeat",{}]'


class Echo(Channel):
    def join(self, payload: Any) -> None:
        del payload

    @on("echo")
    def echo(self, payload: Any) -> Reply:
        return ok(payload)


class EchoSocket(Socket):
    channels = (Route("room:*", Echo), Route("__proto__", Echo))


async def alive(client: RawClient) -> None:
    """Assert that the connection still answers."""
    client.send(TEXT, HEARTBEAT)
    assert (await client.json())[1] == "1"


async def join(client: RawClient, topic: str = "room:1") -> None:
    client.send_json(["1", "1", topic, "phx_join", {}])
    assert (await client.json())[4]["status"] == "ok"
