"""Clients that do not read, or write without pause: bounded, and the others do not wait.

What a slow client and a full mailbox mean for the protocol is pinned in
tests/channel_server/test_wire_pressure.py; here the default limits have to hold.
"""

import asyncio
import resource
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest

from channel_server.channel import Channel, Reply, ok, on
from channel_server.endpoint import Endpoint
from channel_server.limits import DEFAULT_LIMITS
from channel_server.socket import Route, Socket
from channel_server.testing.raw import CLOSE, TEXT, RawClient, make_frame
from tests.attack.conftest import Serve
from tests.attack.target import Target, alive
from tests.waiting import until

KIB = 1024
BIG = "x" * 32 * KIB


class Room(Channel):
    gate: ClassVar[asyncio.Event]

    def join(self, payload: Any) -> None:
        del payload

    @on("echo")
    def echo(self, payload: Any) -> Reply:
        return ok(payload)

    @on("wait")
    async def wait(self, payload: Any) -> Reply:
        await self.gate.wait()
        return ok(payload)


class RoomSocket(Socket):
    channels = (Route("room:*", Room),)


async def joined(endpoint: Endpoint, **options: Any) -> RawClient:
    client = RawClient(endpoint.host, endpoint.port, **options)
    await client.open()
    assert (await client.upgrade("/socket/websocket?vsn=2.0.0")).status == 101
    client.send_json(["1", "1", "room:1", "phx_join", {}])
    assert (await client.json())[4]["status"] == "ok"
    return client


async def test_a_reader_of_64_bytes_a_time_is_closed_with_1013_and_its_queue_is_bounded(
    serve: Serve,
) -> None:
    endpoint = await serve(RoomSocket)
    slow, reader = await joined(endpoint, receive_buffer=4 * KIB), await joined(endpoint)
    slow.stop_reading()
    most = sent = 0
    while not endpoint.metrics.drops["slow_client"]:
        endpoint.broadcast("room:1", "big", {"text": BIG})
        assert (await reader.json())[3] == "big"
        most = max(most, *(q.queued_bytes() for q in endpoint.metrics.slow_clients), 0)
        sent += 1
        assert sent < 2_000
    assert most <= DEFAULT_LIMITS.max_send_queue_bytes + KIB
    slow.read_again()
    frame = await slow.frame()
    while frame.opcode != CLOSE:
        frame = await slow.frame()
    assert frame.close_code == 1013
    await alive(reader)
    await slow.close()
    await reader.close()


async def test_the_others_get_a_broadcast_at_once_while_fifty_do_not_read(serve: Serve) -> None:
    endpoint = await serve(RoomSocket)
    stuck = [await joined(endpoint, receive_buffer=4 * KIB) for _ in range(50)]
    reader = await joined(endpoint)
    for client in stuck:
        client.stop_reading()
    slowest = 0.0
    for _ in range(60):
        started = time.perf_counter()
        endpoint.broadcast("room:1", "big", {"text": BIG})
        assert (await reader.json())[3] == "big"
        slowest = max(slowest, time.perf_counter() - started)
    assert slowest < 0.5
    for client in [*stuck, reader]:
        await client.close()


async def test_a_client_that_asks_and_never_reads_is_paused_not_buffered(serve: Serve) -> None:
    endpoint = await serve(RoomSocket)
    client = await joined(endpoint, receive_buffer=4 * KIB)
    client.stop_reading()
    frame = make_frame(TEXT, b'["1","2","room:1","echo",{"text":"%s"}]' % BIG.encode())
    for _ in range(2_000):
        client.write(frame)
    await until(lambda: endpoint.metrics.slow_clients)
    waiting = max(queue.queued_bytes() for queue in endpoint.metrics.slow_clients)
    assert waiting <= DEFAULT_LIMITS.max_send_queue_bytes
    async with RawClient(endpoint.host, endpoint.port) as other:
        assert (await other.upgrade("/socket/websocket?vsn=2.0.0")).status == 101
        await alive(other)
    client.writer.transport.abort()


async def test_a_flood_to_a_busy_channel_is_paused_at_the_mailbox(serve: Serve) -> None:
    Room.gate = asyncio.Event()
    endpoint = await serve(RoomSocket)
    client = await joined(endpoint)
    client.write(make_frame(TEXT, b'["1","2","room:1","wait",{}]') * 20_000)
    await until(lambda: endpoint.metrics.pauses)
    (connection,) = endpoint.connections()
    (channel,) = connection.channels()
    assert channel.queued <= DEFAULT_LIMITS.mailbox + 1
    async with RawClient(endpoint.host, endpoint.port) as other:
        assert (await other.upgrade("/socket/websocket?vsn=2.0.0")).status == 101
        await alive(other)
    Room.gate.set()
    client.writer.transport.abort()


async def test_a_worker_that_floods_claims_leaves_the_others_their_turn(target: Target) -> None:
    client = await target.websocket("worker")
    client.send_json(["1", "1", "worker:queue", "phx_join", {}])
    assert (await client.json())[4]["status"] == "ok"
    for ref in range(3_000):
        client.send_json(["1", str(ref), "worker:queue", "claim", {"demand": 2**70 + ref}])
    started = time.perf_counter()
    await alive(await target.websocket("worker"))
    assert time.perf_counter() - started < 2.0
    for ref in range(3_000):
        answer = await client.json()
        while answer[3] == "work-available":  # told to everybody whenever the listener comes back
            answer = await client.json()
        assert (answer[1], answer[4]["response"]["runs"]) == (str(ref), [])


async def test_a_hundred_thousand_small_frames_do_not_stop_the_others(target: Target) -> None:
    flood, other = await target.websocket(), await target.websocket()
    flood.write(make_frame(TEXT, b'["1","2","t","e",{}]') * 50_000)
    for _ in range(20):
        started = time.perf_counter()
        await alive(other)
        assert time.perf_counter() - started < 0.5
    flood.writer.transport.abort()


async def test_connections_that_are_cut_at_any_moment_leave_nothing_behind(target: Target) -> None:
    created = await target.world.enqueue()
    before = len(target.app.endpoint.connections())
    for stage in range(60):
        client = await target.tcp()
        head = f"GET {target.path('worker')} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        head += "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        head += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        frames = make_frame(TEXT, b'["1","1","worker:queue","phx_join",{}]')
        frames += make_frame(TEXT, b'["1","2","worker:queue","claim",{"demand":1}]')
        data = head.encode() + frames
        client.write(data[: len(data) * stage // 60])
        await asyncio.sleep(0)
        client.writer.transport.abort()
    await until(lambda: len(target.app.endpoint.connections()) == before)
    state = await target.world.value("SELECT state FROM runs WHERE id = $1", created.run_id)
    assert state in ("available", "claimed")


def resident() -> int:
    """Bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
async def test_five_hundred_broken_clients_leave_less_than_20_mib_behind(target: Target) -> None:
    async def attack(count: int) -> None:
        for number in range(count):
            client = await target.websocket("worker" if number % 2 else "socket")
            client.send(TEXT, b"[" * 60_000 if number % 3 else b"\xff" * 60_000)
            assert (await client.closed()).close_code in (1007, 1008)
            await client.close()
            target.raws.remove(client)

    await attack(50)
    before = resident()
    await attack(500)
    assert resident() - before < 20 * 1024 * KIB
