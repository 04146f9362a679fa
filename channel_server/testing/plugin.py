"""The pytest plugin, registered by entry point; importing it costs nothing.

Fixtures, all asynchronous where they need to be:

* `channels`: connects to a socket class in-process and closes what was connected after the test:
  `socket = await channels(UserSocket, {"token": …})`;
* `channels_url`: the same over a real websocket: `socket = await channels_url(url, params)`;
* `in_process`: makes an `InProcess` server of `{path: socket class}`;
* `replay_fixture`: plays a fixture file and raises with the difference:
  `await replay_fixture(path, dial)`;
* `fault_proxy`: starts a `FaultProxy` before `host, port`.

They need pytest-asyncio. Everything under test is imported when a fixture is used.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

try:
    from pytest_asyncio import fixture as async_fixture
except ImportError:  # pragma: no cover  (then nobody asks for an asynchronous fixture)
    async_fixture = pytest.fixture

if TYPE_CHECKING:
    from channel_server.socket import Socket
    from channel_server.testing.client import SocketClient
    from channel_server.testing.inprocess import InProcess
    from channel_server.testing.proxy import FaultProxy
    from channel_server.testing.replay import Report


@async_fixture
async def in_process() -> "AsyncIterator[Callable[..., InProcess]]":
    """A function that makes an `InProcess` server; its connections are dropped after the test."""
    from channel_server.testing.inprocess import InProcess

    made: list[InProcess] = []

    def make(mounts: "Mapping[str, type[Socket]]", **options: Any) -> InProcess:
        made.append(InProcess(mounts, **options))
        return made[-1]

    yield make
    for server in made:
        await server.stop()


@async_fixture
async def channels() -> "AsyncIterator[Callable[..., Awaitable[SocketClient]]]":
    """A function that connects in-process, see `channel_server.testing.client.connect`."""
    from channel_server.testing.client import SocketClient, connect

    made: list[SocketClient] = []

    async def make(socket_class: "type[Socket]", *args: Any, **options: Any) -> SocketClient:
        made.append(await connect(socket_class, *args, **options))
        return made[-1]

    yield make
    for socket in made:
        await socket.close()


@async_fixture
async def channels_url() -> "AsyncIterator[Callable[..., Awaitable[SocketClient]]]":
    """A function that connects over a websocket, see `connect_url` in the same module."""
    from channel_server.testing.client import SocketClient, connect_url

    made: list[SocketClient] = []

    async def make(url: str, *args: Any, **options: Any) -> SocketClient:
        made.append(await connect_url(url, *args, **options))
        return made[-1]

    yield make
    for socket in made:
        await socket.close()


@pytest.fixture
def replay_fixture() -> "Callable[..., Awaitable[Report]]":
    """A function that replays a fixture and fails with a readable difference."""
    from channel_server.testing.replay import replay

    async def play(*args: Any, **options: Any) -> "Report":
        report = await replay(*args, **options)
        report.check()
        return report

    return play


@async_fixture
async def fault_proxy() -> "AsyncIterator[Callable[..., Awaitable[FaultProxy]]]":
    """A function that starts a `FaultProxy`; all are stopped after the test."""
    from channel_server.testing.proxy import FaultProxy

    made: list[FaultProxy] = []

    async def make(host: str, port: int = 0, **options: Any) -> FaultProxy:
        proxy = FaultProxy(host, port, **options)
        made.append(proxy)
        return await proxy.__aenter__()

    yield make
    for proxy in made:
        await proxy.stop()
