import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, ClassVar

import pytest

from channel_server.endpoint import Endpoint, Mount
from channel_server.limits import SocketLimits
from channel_server.socket import ConnectInfo, Socket
from channel_server.testing.raw import RawClient
from tests import waiting
from tests.channel_server.recorder import Recorder
from tests.channel_server.wire_rooms import V1, V2, Lobby, Room, RoomSocket, Wire

Serve = Callable[..., Awaitable[Endpoint]]
Connect = Callable[..., Awaitable[RawClient]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start endpoints, which the fixture stops again."""
    running: list[Endpoint] = []

    async def start(
        socket: type[Socket],
        *,
        path: str = "/socket",
        endpoint: dict[str, Any] | None = None,
        **limits: Any,
    ) -> Endpoint:
        mount = Mount(path, socket, SocketLimits(**limits) if limits else None)
        server = Endpoint([mount], port=0, **(endpoint or {}))
        await server.start()
        running.append(server)
        return server

    yield start
    for server in running:
        await server.stop(drain=False)


@pytest.fixture
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Wait until a condition holds."""
    return waiting.until


@pytest.fixture
async def raw() -> AsyncIterator[Connect]:
    """Open TCP connections."""
    clients: list[RawClient] = []

    async def connect(endpoint: Endpoint, **options: Any) -> RawClient:
        client = RawClient(endpoint.host, endpoint.port, **options)
        await client.open()
        clients.append(client)
        return client

    yield connect
    for client in clients:
        await client.close()


@pytest.fixture
async def websocket(raw: Connect) -> Connect:
    """Open websockets."""

    async def connect(
        endpoint: Endpoint,
        *,
        vsn: str = "2.0.0",
        target: str = "/socket/websocket",
        headers: Any = (),
        **options: Any,
    ) -> RawClient:
        client = await raw(endpoint, **options)
        response = await client.upgrade(f"{target}?vsn={vsn}", headers)
        assert response.status == 101, response
        return client

    return connect


@pytest.fixture
def recorder() -> type[Recorder]:
    class Fresh(Recorder):
        calls: ClassVar[list[tuple[dict[str, Any], ConnectInfo]]] = []

    return Fresh


@pytest.fixture
async def endpoint(serve: Serve) -> Endpoint:
    Room.release = asyncio.Event()
    Room.terminated = []
    Lobby.release, Lobby.entered = asyncio.Event(), asyncio.Event()
    endpoint = await serve(RoomSocket)
    Lobby.broadcast_to = endpoint.broadcast
    return endpoint


@pytest.fixture(params=[V1, V2])
async def wire(request: pytest.FixtureRequest, endpoint: Endpoint, websocket: Connect) -> Wire:
    return Wire(await websocket(endpoint, vsn=request.param), request.param)


@pytest.fixture
async def wire2(endpoint: Endpoint, websocket: Connect) -> Wire:
    return Wire(await websocket(endpoint), V2)
