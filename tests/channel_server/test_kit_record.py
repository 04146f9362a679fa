"""What is recorded replays, with ids, tokens and timestamps rebound."""

from collections.abc import AsyncIterator, Callable

import pytest

from channel_server.client import Client
from channel_server.endpoint import Endpoint, Mount
from channel_server.testing.client import SocketClient
from channel_server.testing.fixture import Close, Connect, Expect, ExpectClose, Send, parse
from channel_server.testing.inprocess import InProcess
from channel_server.testing.record import Recorder
from channel_server.testing.replay import dial_url, replay
from channel_server.testing.rooms import RoomSocket

ID = "6e11745f-d7c3-4548-b926-a788b5aff521"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJpZCI6IjExMSJ9.I32bocy7eXVR-_a"


@pytest.fixture
def server(in_process: Callable[..., InProcess]) -> InProcess:
    return in_process({"/socket": RoomSocket})


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    started = Endpoint([Mount("/socket", RoomSocket)], port=0, drain_window=0)
    await started.start()
    yield started
    await started.stop(drain=False)


async def test_a_recorded_peer_replays(server: InProcess) -> None:
    recorder = Recorder("recorded", description="a test")
    peer = await server.connect("/socket")
    recorder.attach(peer)
    socket = SocketClient(peer)
    room = await socket.join(f"room:{ID}", {"at": "1795216548068837", "token": TOKEN})
    await room.call("echo", {"id": ID, "list": [ID, b"".decode()]})
    await room.push("whisper", {"n": 1})
    await room.assert_push("whispered")
    await room.leave()
    await socket.close()
    await socket.close()
    fixture = parse(recorder.text().splitlines())
    assert (fixture.header.name, fixture.header.description) == ("recorded", "a test")
    assert ID not in recorder.text()
    assert TOKEN not in recorder.text()
    kinds = [type(step) for step in fixture.steps]
    assert kinds == [Connect, Send, Expect, Send, Expect, Send, Expect, Send, Expect, Expect, Close]
    bindings = {"token:token.1": "abc"}
    (await replay(fixture, server.dial, bindings=bindings)).check()


async def test_timestamps_are_rebound_only_where_the_server_makes_them(
    server: InProcess,
) -> None:
    recorder = Recorder("times")
    peer = await server.connect("/socket")
    recorder.attach(peer)
    room = await SocketClient(peer).join("room:1")
    await room.call("echo", {"at": "1795216548068837"})
    sent, came = recorder.fixture().steps[-2:]
    assert isinstance(sent, Send)
    assert isinstance(came, Expect)
    assert sent.frame[4] == {"at": "1795216548068837"}
    assert came.frame[4]["response"] == {"at": "{{ts}}"}


async def test_a_recorded_client_replays_against_an_address(endpoint: Endpoint) -> None:
    recorder = Recorder("client")
    url = f"{endpoint.url}/socket"
    async with Client(url, observer=recorder.observe()) as client:
        room = client.channel("room:1")
        await room.join()
        await room.push("echo", {"n": 1})
        await room.leave()
    report = await replay(recorder.fixture(), dial_url(endpoint.url))
    report.check()
    assert report.steps > 6


async def test_a_close_of_the_server_and_a_lost_connection_are_recorded(
    server: InProcess,
) -> None:
    recorder = Recorder("closes", params={"name": "ada"})
    for _ in range(2):
        recorder.attach(await server.connect("/socket", {"name": "ada"}))
    server.pubsub.broadcast("user:ada", "disconnect", {})
    last = await server.connect("/socket")
    recorder.attach(last)
    await last.abort()
    steps = recorder.fixture().steps
    assert [step for step in steps if isinstance(step, ExpectClose)] == [
        ExpectClose(0, 1, 1001),
        ExpectClose(0, 2, 1001),
    ]
    assert steps[-1] == Close(0, 3, None)
