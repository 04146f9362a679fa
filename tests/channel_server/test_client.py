"""The asyncio client against a real server, over the wire."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from channel_server.client import (
    BufferFull,
    ChannelClosed,
    Client,
    ClientChannel,
    Disconnected,
    Event,
    EventsLost,
    JoinRefused,
    PushTimeout,
    ReplyValue,
)
from channel_server.endpoint import Endpoint, Mount
from channel_server.testing.proxy import FaultProxy
from channel_server.testing.rooms import RoomSocket
from tests.waiting import left_since

Proxies = Callable[[str, int], Awaitable[FaultProxy]]


class Seen:
    """Remembers values and lets a test wait for them."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._changed = asyncio.Event()

    def __call__(self, value: Any) -> None:
        self.values.append(value)
        self._changed.set()

    async def wait(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.values) < count:
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    server = Endpoint([Mount("/socket", RoomSocket)], port=0, drain_window=0)
    await server.start()
    yield server
    await server.stop(drain=False)


@pytest.fixture
async def url(endpoint: Endpoint) -> str:
    return f"{endpoint.url}/socket"


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., Awaitable[Client]]]:
    clients: list[Client] = []

    async def make(url: str, **options: Any) -> Client:
        options = {"backoff": soon, "timeout": 5.0} | options
        client = Client(url, **options)
        clients.append(client)
        await client.connect()
        return client

    yield make
    for client in clients:
        await client.close()


Connect = Callable[..., Awaitable[Client]]


def soon(attempt: int) -> float:
    return min(0.2, 0.01 * 2.0**attempt)


async def joined(client: Client, topic: str = "room:1", payload: Any = None) -> ClientChannel:
    channel = client.channel(topic, payload)
    await channel.join()
    return channel


async def test_join_push_reply_and_leave(url: str, connect: Connect) -> None:
    client = await connect(url)
    room = client.channel("room:1", {"nick": "ada"})
    assert await room.join() == {"room": "room:1", "got": {"nick": "ada"}}
    reply = await room.push("echo", {"n": 1})
    assert reply == ReplyValue("ok", {"n": 1})
    assert reply.ok
    assert not (await room.push("fail")).ok
    await room.leave()
    assert room.state == "closed"
    with pytest.raises(ChannelClosed):
        await room.push("echo")


async def test_binary_goes_both_ways(url: str, connect: Connect) -> None:
    room = await joined(await connect(url))
    assert (await room.push("echo", b"\x00\xff")).response == b"\x00\xff"
    seen = Seen()
    room.on("shouted", seen)
    await room.push("shout", b"\x01")
    room.on("whispered", seen)
    await room.cast("whisper", b"\x02")
    await seen.wait(2)
    assert seen.values == [b"\x01", b"\x02"]


async def test_events_come_in_order_and_end_with_the_channel(url: str, connect: Connect) -> None:
    room = await joined(await connect(url))
    stream = room.events()
    for number in range(3):
        await room.push("shout", {"n": number})
    await room.leave()
    assert [event async for event in stream] == [Event("shouted", {"n": n}) for n in range(3)]
    assert [event async for event in room.events()] == []


async def test_a_stream_that_is_not_read_loses_events_and_says_so(
    url: str, connect: Connect
) -> None:
    room = await joined(await connect(url, max_events=2))
    stream = room.events()
    for number in range(4):
        await room.push("shout", {"n": number})
    assert [(await anext(stream)).payload["n"] for _ in range(2)] == [0, 1]
    with pytest.raises(EventsLost, match="more than 2 events of room:1"):
        await anext(stream)
    await room.push("shout", {"n": 4})
    assert (await anext(stream)).payload == {"n": 4}
    stream.close()
    stream.close()
    assert [event async for event in stream] == []


async def test_a_callback_can_be_removed_and_may_fail(url: str, connect: Connect) -> None:
    room = await joined(await connect(url))
    seen = Seen()

    def failing(payload: Any) -> None:
        raise RuntimeError("a callback's own mistake")

    room.on("shouted", failing)
    remove = room.on("shouted", seen)
    await room.push("shout", {})
    await seen.wait(1)
    remove()
    await room.push("shout", {})
    await room.push("echo")
    assert seen.values == [{}]


async def test_a_refused_join_raises_and_is_not_tried_again(url: str, connect: Connect) -> None:
    client = await connect(url)
    room = client.channel("room:1", {"refuse": True})
    with pytest.raises(JoinRefused, match="refused") as caught:
        await room.join()
    assert caught.value.response == {"reason": "refused"}
    assert room.state == "closed"
    await joined(client)


async def test_a_topic_has_one_channel_at_a_time(url: str, connect: Connect) -> None:
    client = await connect(url)
    room = await joined(client)
    with pytest.raises(RuntimeError, match="joined already"):
        await room.join()
    with pytest.raises(RuntimeError, match="has a channel already"):
        client.channel("room:1")


async def test_a_push_without_an_answer_times_out(url: str, connect: Connect) -> None:
    room = await joined(await connect(url))
    with pytest.raises(PushTimeout, match=r"no reply to silent on room:1 within 0.01 s"):
        await room.push("silent", timeout=0.01)
    assert (await room.push("echo")).ok


async def test_a_push_before_the_join_waits_for_it_in_order(url: str, connect: Connect) -> None:
    client = await connect(url)
    room = client.channel("room:1")
    with pytest.raises(ChannelClosed, match="not joined"):
        await room.push("echo")
    stream = room.events()
    join = asyncio.create_task(room.join())
    await asyncio.sleep(0)
    await asyncio.gather(*(room.push("shout", {"n": n}) for n in range(5)))
    await join
    assert [(await anext(stream)).payload["n"] for _ in range(5)] == list(range(5))


async def test_the_client_joins_again_after_a_server_restart(
    endpoint: Endpoint, url: str, connect: Connect
) -> None:
    client = await connect(url)
    seen, closes = Seen(), Seen()
    client.on_close(closes)
    calls: list[int] = []

    def payload() -> dict[str, int]:
        calls.append(1)
        return {"join": len(calls)}

    room = client.channel("room:1", payload)
    room.on_join(seen)
    await room.join()
    await endpoint.stop()
    assert (await asyncio.wait_for(asyncio.shield(first(closes)), 5)).code == 1012
    again = Endpoint([Mount("/socket", RoomSocket)], port=endpoint.port, drain_window=0)
    waiting = asyncio.create_task(room.push("echo", {"sent": "while away"}))
    await again.start()
    try:
        await seen.wait(2)
        assert [value["got"] for value in seen.values] == [{"join": 1}, {"join": 2}]
        assert (await waiting).response == {"sent": "while away"}
    finally:
        await client.close()
        await again.stop(drain=False)


async def first(seen: Seen) -> Any:
    await seen.wait(1)
    return seen.values[0]


async def test_a_push_in_flight_fails_when_the_connection_is_lost(
    endpoint: Endpoint, url: str, connect: Connect, fault_proxy: Proxies
) -> None:
    proxy = await fault_proxy("127.0.0.1", endpoint.port)
    room = await joined(await connect(f"ws://127.0.0.1:{proxy.port}/socket"))
    push = asyncio.create_task(room.push("silent", timeout=30))
    await room.push("echo")
    proxy.cut()
    with pytest.raises(Disconnected):
        await push
    assert (await room.push("echo")).ok


async def test_pushes_while_away_are_bounded_and_time_out(
    endpoint: Endpoint, connect: Connect, fault_proxy: Proxies
) -> None:
    proxy = await fault_proxy("127.0.0.1", endpoint.port)
    client = await connect(f"ws://127.0.0.1:{proxy.port}/socket", max_buffered=1)
    closes = Seen()
    client.on_close(closes)
    room = await joined(client)
    proxy.refusing = True
    proxy.cut()
    await closes.wait(1)
    assert not client.connected
    late = asyncio.create_task(room.push("shout", {"n": 1}, timeout=0.05))
    await asyncio.sleep(0)
    with pytest.raises(BufferFull, match="1 pushes on room:1"):
        await room.push("shout")
    with pytest.raises(PushTimeout):
        await late
    stream = room.events()
    proxy.refusing = False
    await room.push("shout", {"n": 2})
    assert (await anext(stream)).payload == {"n": 2}


async def test_a_crashed_channel_is_joined_again(url: str, connect: Connect) -> None:
    room = await joined(await connect(url))
    seen = Seen()
    room.on_join(seen)
    with pytest.raises(Disconnected, match="channel_crash"):
        await room.push("crash")
    await seen.wait(1)
    assert (await room.push("echo")).ok


async def test_a_rejoin_that_is_refused_too_often_ends_the_channel(
    url: str, connect: Connect
) -> None:
    answers = iter([dict[str, Any]()])
    client = await connect(url, rejoin_limit=2)
    room = client.channel("room:1", lambda: next(answers, {"refuse": True}))
    await room.join()
    with pytest.raises(Disconnected):
        await room.push("crash")
    assert "refused" in await asyncio.wait_for(room.wait_closed(), 5)
    assert room.state == "closed"


async def test_a_close_of_the_server_ends_the_channel(url: str, connect: Connect) -> None:
    room = await joined(await connect(url))
    assert (await room.push("stop")).ok
    assert await asyncio.wait_for(room.wait_closed(), 5) == "the server closed it"


@pytest.mark.parametrize("final", [frozenset[int](), frozenset({1001})])
async def test_it_comes_back_after_any_close_that_is_not_final(
    endpoint: Endpoint, url: str, connect: Connect, final: frozenset[int]
) -> None:
    client = await connect(url, params={"name": "ada"}, final_codes=final)
    room = await joined(client)
    seen = Seen()
    room.on_join(seen)
    endpoint.broadcast("user:ada", "disconnect", {})
    if final:
        await asyncio.wait_for(client.wait_closed(), 5)
        assert "1001" in await room.wait_closed()
    else:
        await seen.wait(1)


async def test_an_unanswered_heartbeat_connects_again(
    endpoint: Endpoint, connect: Connect, fault_proxy: Proxies
) -> None:
    proxy = await fault_proxy("127.0.0.1", endpoint.port)
    client = await connect(f"ws://127.0.0.1:{proxy.port}/socket", heartbeat_interval=0.05)
    room = await joined(client)
    seen, closes = Seen(), Seen()
    room.on_join(seen)
    client.on_close(closes)
    proxy.to_client.stalled = True
    await closes.wait(1)
    proxy.to_client.stalled = False
    proxy.cut()
    await seen.wait(1)


async def test_heartbeats_that_are_answered_keep_the_connection(
    endpoint: Endpoint, connect: Connect
) -> None:
    beats = Seen()

    class Beats:
        def opened(self) -> None: ...
        def sent(self, frame: Any) -> None: ...
        def closing(self, code: int) -> None: ...
        def closed(self, code: int) -> None: ...
        def received(self, frame: Any) -> None:
            beats(frame)

    client = await connect(f"{endpoint.url}/socket", heartbeat_interval=0.01, observer=Beats())
    await beats.wait(5)
    assert client.connected
    assert all(beat.topic == "phoenix" for beat in beats.values)


async def test_a_message_above_the_limit_closes_the_connection(url: str, connect: Connect) -> None:
    client = await connect(url, max_size=1000)
    room = await joined(client)
    with pytest.raises(Disconnected, match="1009"):
        await room.push("echo", {"x": "y" * 2000})


async def test_closing_ends_everything_and_leaves_no_task(url: str) -> None:
    before = asyncio.all_tasks()
    async with Client(url) as client:
        room = await joined(client)
        stream = room.events()
        push = asyncio.create_task(room.push("silent"))
        await room.push("echo")
    assert await left_since(before | {push}) == []
    with pytest.raises((ChannelClosed, Disconnected)):
        await push
    assert [event async for event in stream] == []
    await client.close()
    await client.wait_closed()
    await room.leave()


async def test_leave_works_without_a_connection(
    endpoint: Endpoint, connect: Connect, fault_proxy: Proxies
) -> None:
    proxy = await fault_proxy("127.0.0.1", endpoint.port)
    client = await connect(f"ws://127.0.0.1:{proxy.port}/socket")
    closes = Seen()
    client.on_close(closes)
    room = await joined(client)
    proxy.refusing = True
    proxy.cut()
    await closes.wait(1)
    await room.leave()
    assert await room.wait_closed() == "left"


async def test_a_join_without_a_connection_times_out_and_can_be_repeated(
    endpoint: Endpoint, connect: Connect, fault_proxy: Proxies
) -> None:
    proxy = await fault_proxy("127.0.0.1", endpoint.port)
    client = await connect(f"ws://127.0.0.1:{proxy.port}/socket")
    closes = Seen()
    client.on_close(closes)
    proxy.refusing = True
    proxy.cut()
    await closes.wait(1)
    room = client.channel("room:1")
    with pytest.raises(PushTimeout, match="phx_join"):
        await room.join(timeout=0.01)
    proxy.refusing = False
    await room.join()


async def test_a_join_that_is_answered_too_late_is_left(
    endpoint: Endpoint, connect: Connect, fault_proxy: Proxies
) -> None:
    proxy = await fault_proxy("127.0.0.1", endpoint.port)
    client = await connect(f"ws://127.0.0.1:{proxy.port}/socket")
    room = client.channel("room:1")
    proxy.to_client.stalled = True
    with pytest.raises(PushTimeout, match="phx_join"):
        await room.join(timeout=0.05)
    proxy.to_client.stalled = False
    await joined(client, "room:2")
    (connection,) = endpoint.connections()
    assert connection.topics() == ["room:2"]
