"""Clients that read too slowly or write too fast hurt nobody but themselves."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import pytest

from channel_server.channel import Channel, Reply, ok, on
from channel_server.endpoint import Endpoint
from channel_server.socket import Route, Socket
from channel_server.testing.raw import CLOSE, TEXT, RawClient, make_frame

Serve = Callable[..., Awaitable[Endpoint]]
Open = Callable[..., Awaitable[RawClient]]
Until = Callable[[Callable[[], object]], Awaitable[None]]

KIB = 1024
BIG = "x" * 50_000


class Room(Channel):
    release: ClassVar[asyncio.Event]

    def join(self, payload: Any) -> None:
        del payload

    @on("echo")
    def echo(self, payload: Any) -> Reply:
        return ok(payload)

    @on("slow")
    async def slow(self, payload: Any) -> Reply:
        await self.release.wait()
        return ok(payload)

    @on("big")
    def big(self, payload: Any) -> Reply:
        self.push("big", {"text": "x" * payload["size"]})
        self.push("small", {})
        return ok()


class RoomSocket(Socket):
    channels = (Route("room:*", Room),)


@pytest.fixture(autouse=True)
def fresh() -> None:
    Room.release = asyncio.Event()


async def join(client: RawClient, topic: str = "room:1") -> None:
    client.send_json(["1", "1", topic, "phx_join", {}])
    assert (await client.json())[4]["status"] == "ok"


async def broadcast_until_dropped(endpoint: Endpoint, reader: RawClient) -> int:
    """Broadcast, with `reader` taking each message, until a client was dropped."""
    count = 0
    while not endpoint.metrics.drops["slow_client"]:
        endpoint.broadcast("room:1", "big", {"text": BIG})
        assert (await reader.json())[3] == "big"
        count += 1
        assert count < 2_000
    return count


async def test_a_stalled_subscriber_is_closed_with_1013_and_the_others_get_everything(
    serve: Serve, websocket: Open
) -> None:
    endpoint = await serve(RoomSocket, max_send_queue_bytes=256 * KIB)
    stalled = await websocket(endpoint, receive_buffer=4 * KIB)
    reader = await websocket(endpoint)
    await join(stalled)
    await join(reader)
    stalled.stop_reading()
    count = await broadcast_until_dropped(endpoint, reader)
    assert endpoint.metrics.drops["slow_client"] == 1
    endpoint.broadcast("room:1", "after", {})
    assert (await reader.json())[3] == "after"
    stalled.read_again()
    seen = 0
    frame = await stalled.frame()
    while frame.opcode != CLOSE:
        seen += 1
        frame = await stalled.frame()
    assert (frame.close_code, frame.reason) == (1013, "client reads too slowly")
    assert seen < count


async def test_a_client_that_never_reads_again_is_cut(
    serve: Serve, websocket: Open, until: Until
) -> None:
    endpoint = await serve(RoomSocket, max_send_queue_bytes=256 * KIB, close_timeout=0.1)
    stalled = await websocket(endpoint, receive_buffer=4 * KIB)
    reader = await websocket(endpoint)
    await join(stalled)
    await join(reader)
    stalled.stop_reading()
    await broadcast_until_dropped(endpoint, reader)
    await until(lambda: endpoint.metrics.disconnects)
    assert endpoint.metrics.disconnects == {"1013": 1}
    assert endpoint.metrics.connections == 1


async def test_what_waits_for_a_slow_client_is_bounded_and_shown(
    serve: Serve, websocket: Open
) -> None:
    limit = 256 * KIB
    endpoint = await serve(RoomSocket, max_send_queue_bytes=limit)
    stalled = await websocket(endpoint, receive_buffer=4 * KIB)
    reader = await websocket(endpoint)
    await join(stalled)
    await join(reader)
    stalled.stop_reading()
    most = 0
    while not endpoint.metrics.drops["slow_client"]:
        endpoint.broadcast("room:1", "big", {"text": BIG})
        await reader.json()
        waiting = sum(queue.queued_bytes() for queue in endpoint.metrics.slow_clients)
        most = max(most, waiting)
    assert 0 < most <= limit + KIB  # the close frame comes on top
    text = endpoint.metrics.render().decode()
    assert "channel_server_slow_connections 1.0" in text


async def test_one_message_over_the_limit_is_delivered_and_so_is_the_next(
    serve: Serve, websocket: Open
) -> None:
    endpoint = await serve(RoomSocket, max_send_queue_bytes=64 * KIB)
    client = await websocket(endpoint)
    await join(client)
    client.send_json(["1", "2", "room:1", "big", {"size": 12_000_000}])
    assert len((await client.json())[4]["text"]) == 12_000_000
    assert (await client.json())[3] == "small"
    assert (await client.json())[1] == "2"
    assert not endpoint.metrics.drops


async def test_a_client_that_floods_a_busy_channel_is_not_read_and_loses_nothing(
    serve: Serve, websocket: Open, until: Until
) -> None:
    endpoint = await serve(RoomSocket, mailbox=8)
    client = await websocket(endpoint)
    await join(client)
    client.send_json(["1", "2", "room:1", "slow", {}])
    for ref in range(3, 103):
        client.send_json(["1", str(ref), "room:1", "echo", {}])
    await until(lambda: endpoint.metrics.pauses)
    (connection,) = endpoint.connections()
    (channel,) = connection.channels()
    assert channel.queued <= 9
    Room.release.set()
    refs = [(await client.json())[1] for _ in range(101)]
    assert refs == [str(ref) for ref in range(2, 103)]


async def test_a_full_mailbox_does_not_stop_other_clients(serve: Serve, websocket: Open) -> None:
    endpoint = await serve(RoomSocket, mailbox=2)
    flooding, other = await websocket(endpoint), await websocket(endpoint)
    await join(flooding)
    await join(other, "room:2")
    for ref in range(2, 40):
        flooding.send_json(["1", str(ref), "room:1", "slow", {}])
    other.send_json(["1", "2", "room:2", "echo", {}])
    assert (await other.json())[1] == "2"
    Room.release.set()


async def test_silence_that_the_server_caused_is_not_idleness(
    serve: Serve, websocket: Open, until: Until
) -> None:
    endpoint = await serve(RoomSocket, mailbox=1, idle_timeout=0.2)
    client, silent = await websocket(endpoint), await websocket(endpoint)
    await join(client)
    for ref in range(2, 30):
        client.send_json(["1", str(ref), "room:1", "slow", {}])
    await until(lambda: endpoint.metrics.pauses)
    assert (await silent.closed()).close_code == 1002
    Room.release.set()
    assert [(await client.json())[1] for _ in range(28)] == [str(n) for n in range(2, 30)]


async def test_a_client_that_does_not_take_its_replies_is_not_read(
    serve: Serve, websocket: Open, until: Until
) -> None:
    endpoint = await serve(RoomSocket, max_send_queue_bytes=1_000 * KIB)
    client = await websocket(endpoint, receive_buffer=4 * KIB)
    await join(client)
    client.stop_reading()
    total = 400
    for ref in range(2, total + 2):
        client.send_json(["1", str(ref), "room:1", "echo", {"text": BIG}])
    await until(lambda: endpoint.metrics.slow_clients)
    client.read_again()
    assert [(await client.json())[1] for _ in range(total)] == [
        str(ref) for ref in range(2, total + 2)
    ]
    assert not endpoint.metrics.drops


async def test_many_messages_in_one_read_leave_the_others_their_turn(
    serve: Serve, websocket: Open
) -> None:
    endpoint = await serve(RoomSocket)
    client = await websocket(endpoint)
    frame = make_frame(TEXT, b'[null,"1","phoenix","heartbeat",{}]')
    client.write(frame * 2_000)
    for _ in range(2_000):
        assert (await client.json())[1] == "1"


async def test_twice_the_fragments_take_about_twice_the_time(serve: Serve, websocket: Open) -> None:
    endpoint = await serve(RoomSocket, max_frame_bytes=50_000_000, max_fragments=20_000)
    loop = asyncio.get_running_loop()

    async def measure(fragments: int) -> float:
        client = await websocket(endpoint)
        data = make_frame(TEXT, b"[", fin=False)
        data += make_frame(0, b" " * 1_000, fin=False) * fragments
        data += make_frame(0, b'null,"1","phoenix","heartbeat",{}]')
        start = loop.time()
        client.write(data)
        assert (await client.json())[1] == "1"
        return loop.time() - start

    short = min([await measure(2_000) for _ in range(3)])
    long = min([await measure(8_000) for _ in range(3)])
    assert long < short * 4 * 2.5


async def test_a_message_that_was_not_read_for_our_sake_has_its_time_again(
    serve: Serve, websocket: Open, until: Until
) -> None:
    endpoint = await serve(RoomSocket, mailbox=4, message_deadline=0.2)
    client, witness = await websocket(endpoint), await websocket(endpoint)
    await join(client)
    message = make_frame(TEXT, b'["1","2","room:1","slow",{}]')
    # One that runs and four that fill the mailbox, so that nothing but a beginning waits.
    client.write(message * 5 + message[:20])
    await until(lambda: endpoint.metrics.pauses)
    witness.write(message[:20])
    assert (await witness.closed()).close_code == 1008
    Room.release.set()
    for _ in range(5):
        assert (await client.json())[4]["status"] == "ok"
    client.write(message[20:])
    assert (await client.json())[4]["status"] == "ok"
