"""The channel test client: what each assertion takes, and what makes it fail.

The same cases run in-process and over a real websocket.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, ClassVar

import pytest

from channel_server.channel import Channel, HandlerResult, JoinResult, ok, on
from channel_server.client_errors import ConnectRefused, Disconnected, JoinRefused
from channel_server.client_frames import V1
from channel_server.endpoint import Endpoint, Mount
from channel_server.limits import SocketLimits
from channel_server.socket import Route, Socket
from channel_server.testing.client import ANY, SocketClient
from channel_server.testing.inprocess import InProcess
from channel_server.testing.rooms import RoomSocket

Connect = Callable[..., Awaitable[SocketClient]]


@pytest.fixture(params=["in-process", "wire"])
async def rooms(
    request: pytest.FixtureRequest, channels: Connect, channels_url: Connect
) -> AsyncIterator[Connect]:
    """A function that connects to the rooms, one way or the other."""
    if request.param == "in-process":
        yield partial(channels, RoomSocket)
        return
    endpoint = Endpoint([Mount("/socket", RoomSocket)], port=0, drain_window=0)
    await endpoint.start()
    yield partial(channels_url, f"{endpoint.url}/socket")
    await endpoint.stop(drain=False)


class GateChannel(Channel):
    """A channel whose handler waits until the test opens the gate."""

    gate: ClassVar[asyncio.Event]

    def join(self, payload: Any) -> JoinResult:
        return None

    @on("wait")
    async def wait(self, payload: Any) -> HandlerResult:
        await self.gate.wait()
        self.push("late", {})
        return ok()


class GateSocket(Socket):
    channels = (Route("gate", GateChannel),)
    limits = SocketLimits(mailbox=2)


async def test_a_join_returns_the_response(rooms: Connect) -> None:
    room = await (await rooms()).join("room:1", {"nick": "ada"})
    assert room.response == {"room": "room:1", "got": {"nick": "ada"}}


async def test_a_refused_join_raises_the_response(rooms: Connect) -> None:
    socket = await rooms()
    with pytest.raises(JoinRefused) as caught:
        await socket.join("room:1", {"refuse": True})
    assert caught.value.response == {"reason": "refused"}


async def test_a_refused_connection_raises_status_and_body(rooms: Connect) -> None:
    with pytest.raises(ConnectRefused) as caught:
        await rooms({"refuse": "1"})
    assert (caught.value.status, caught.value.body) == (403, "refused as asked")


@pytest.mark.parametrize("vsn", ["2.1.0", "3.0.0", "x"])
async def test_an_unknown_version_is_refused(rooms: Connect, vsn: str) -> None:
    with pytest.raises(ConnectRefused):
        await rooms(vsn=vsn)


async def test_assert_reply_returns_the_response(rooms: Connect) -> None:
    room = await (await rooms()).join("room:1")
    assert await room.assert_reply(await room.push("echo", {"a": 1, "b": 2}), "ok", {"a": 1}) == {
        "a": 1,
        "b": 2,
    }
    await room.assert_reply(await room.push("fail"), "error", {"reason": ANY})


async def test_binary_goes_both_ways(rooms: Connect) -> None:
    room = await (await rooms()).join("room:1")
    assert await room.call("echo", b"\x00\xff") == b"\x00\xff"


@pytest.mark.parametrize(
    ("status", "response"),
    [("error", ANY), ("ok", {"a": 2}), ("ok", {"b": ANY}), ("ok", [1])],
)
async def test_assert_reply_fails_on_another_reply(
    rooms: Connect, status: str, response: Any
) -> None:
    room = await (await rooms()).join("room:1")
    with pytest.raises(AssertionError, match="reply to echo on room:1 differs"):
        await room.assert_reply(await room.push("echo", {"a": 1}), status, response)


async def test_assert_reply_fails_when_none_comes(rooms: Connect) -> None:
    room = await (await rooms()).join("room:1")
    with pytest.raises(AssertionError, match="did not come"):
        await room.assert_reply(await room.push("silent"), timeout=0.01)


async def test_refute_reply_passes_without_and_fails_with_a_reply(rooms: Connect) -> None:
    room = await (await rooms()).join("room:1")
    await room.refute_reply(await room.push("silent"))
    with pytest.raises(AssertionError, match="came"):
        await room.refute_reply(await room.push("echo"))


async def test_pushes_and_broadcasts_are_told_apart(rooms: Connect) -> None:
    room = await (await rooms()).join("room:1")
    await room.push("whisper", {"n": 1})
    await room.refute_broadcast("whispered")
    assert await room.assert_push("whispered", {"n": 1}) == {"n": 1}
    await room.push("shout", {"n": 2})
    await room.refute_push("shouted")
    assert await room.assert_broadcast("shouted", {"n": 2}) == {"n": 2}


async def test_refutes_fail_when_it_comes(rooms: Connect) -> None:
    room = await (await rooms()).join("room:1")
    await room.push("whisper", {})
    with pytest.raises(AssertionError, match="push whispered on room:1 came"):
        await room.refute_push("whispered")
    await room.push("shout", {})
    with pytest.raises(AssertionError, match="broadcast shouted on room:1 came"):
        await room.refute_broadcast("shouted")


async def test_v1_takes_a_broadcast_for_a_push(rooms: Connect) -> None:
    room = await (await rooms(vsn=V1)).join("room:1")
    await room.push("shout", {"n": 2})
    await room.assert_push("shouted", {"n": 2})


async def test_others_of_the_same_pubsub_hear_a_broadcast(
    in_process: Callable[..., InProcess],
) -> None:
    server = in_process({"/socket": RoomSocket})
    one = await SocketClient(await server.connect("/socket")).join("room:1")
    two = await SocketClient(await server.connect("/socket")).join("room:1")
    await one.push("shout", {"n": 1})
    await two.assert_broadcast("shouted", {"n": 1})
    server.pubsub.broadcast("room:1", "outside", {})
    await two.assert_broadcast("outside")


async def test_leave_waits_for_the_close(rooms: Connect) -> None:
    socket = await rooms()
    room = await socket.join("room:1")
    await room.leave()
    await room.assert_reply(await room.push("echo"), "error", {"reason": "unmatched topic"})


async def test_a_crash_and_a_stop_are_seen(rooms: Connect) -> None:
    socket = await rooms()
    room = await socket.join("room:1")
    await room.refute_crashed()
    await room.push("crash")
    assert await room.assert_crashed() == {"reason": "channel_crash"}
    await room.join()
    await room.push("stop")
    await room.assert_left()
    with pytest.raises(AssertionError, match="phx_error on room:1"):
        await room.assert_crashed(timeout=0.01)


async def test_a_forced_disconnect_is_seen(in_process: Callable[..., InProcess]) -> None:
    server = in_process({"/socket": RoomSocket})
    socket = SocketClient(await server.connect("/socket", {"name": "ada"}))
    await socket.refute_closed()
    with pytest.raises(AssertionError, match="the connection is open"):
        await socket.assert_closed(timeout=0.01)
    server.pubsub.broadcast("user:ada", "disconnect", {})
    assert await socket.assert_closed(1001) == 1001
    with pytest.raises(AssertionError, match="closed with 1001"):
        await socket.assert_closed(1000)
    with pytest.raises(AssertionError, match="closed with 1001"):
        await socket.refute_closed()
    with pytest.raises(Disconnected):
        await socket.join("room:1")


async def test_a_malformed_frame_closes_the_connection(rooms: Connect) -> None:
    socket = await rooms()
    await socket.peer.send_raw("nonsense")
    await socket.assert_closed(1007)


async def test_an_assertion_fails_at_once_when_the_connection_is_closed(rooms: Connect) -> None:
    socket = await rooms()
    room = await socket.join("room:1")
    await socket.close()
    await socket.close()
    with pytest.raises(AssertionError, match="never came"):
        await room.assert_push("x", timeout=30)


async def test_an_assertion_waits_for_a_busy_channel(channels: Connect) -> None:
    GateChannel.gate = asyncio.Event()
    gate = await (await channels(GateSocket)).join("gate")
    pushed = await gate.push("wait")
    # Far beyond the 100 ms: the time in which a channel is busy does not count.
    asyncio.get_running_loop().call_later(0.2, GateChannel.gate.set)
    await gate.assert_reply(pushed)


async def test_a_refute_waits_until_the_channel_is_idle(channels: Connect) -> None:
    GateChannel.gate = asyncio.Event()
    gate = await (await channels(GateSocket)).join("gate")
    await gate.push("wait")
    asyncio.get_running_loop().call_later(0.02, GateChannel.gate.set)
    with pytest.raises(AssertionError, match="push late"):
        await gate.refute_push("late")


async def test_a_full_mailbox_delays_what_is_sent_but_loses_nothing(channels: Connect) -> None:
    GateChannel.gate = asyncio.Event()
    gate = await (await channels(GateSocket)).join("gate")
    pushed = [await gate.push("wait") for _ in range(20)]
    GateChannel.gate.set()
    for each in pushed:
        await gate.assert_reply(each)


async def test_an_unready_server_and_an_unknown_mount_refuse(
    in_process: Callable[..., InProcess],
) -> None:
    server = in_process({"/socket": RoomSocket})
    with pytest.raises(ConnectRefused, match="404"):
        await server.connect("/other")
    server.ready = False
    with pytest.raises(ConnectRefused, match="503"):
        await server.connect("/socket")


async def test_a_drain_closes_with_1012_after_answering(
    in_process: Callable[..., InProcess],
) -> None:
    server = in_process({"/socket": RoomSocket})
    socket = SocketClient(await server.connect("/socket"))
    room = await socket.join("room:1")
    pushed = await room.push("shout")
    await server.drain()
    await room.assert_reply(pushed)
    await socket.assert_closed(1012)
