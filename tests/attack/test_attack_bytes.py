"""Clients that send too many bytes: they are read no faster, nothing is lost, nobody else waits.

Where a rate is `NEVER`, nothing comes back while a test runs: what is counted is the burst.
"""

import time
from typing import Any

import pytest

from channel_server.endpoint import Endpoint
from channel_server.rate_limit import Rate
from channel_server.testing.raw import CLOSE, PING, PONG, TEXT, RawClient, make_frame
from handlers.config import ConfigError
from handlers.settings_rates import BURST
from handlers.sockets import user_limits, worker_limits
from tests.attack.conftest import Serve
from tests.attack.deflating import DEFLATE, deflated
from tests.attack.rooms import Room, RoomSocket, upgraded
from tests.attack.target import Target, alive
from tests.handlers.bench import settings
from tests.waiting import until

KIB = 1024
NEVER = 1e-4
"""Per second."""

PACED = Rate(100 * KIB, 20 * KIB)
LEAST = 0.35
"""Seconds that 60 KiB take at least: what is beyond the burst comes at the rate."""

DASHBOARDS = 10


async def joined(endpoint: Endpoint, *headers: tuple[str, str]) -> RawClient:
    client = await upgraded(endpoint, *headers)
    client.send_json(["1", "1", "room:1", "phx_join", {}])
    assert (await client.frame()).opcode == TEXT
    return client


def message(size: int) -> bytes:
    """A message of about so many bytes."""
    return b'["1","2","room:1","echo",{"text":"%s"}]' % (b"x" * size)


async def test_too_many_bytes_are_read_no_faster_and_nothing_is_refused(serve: Serve) -> None:
    endpoint = await serve(RoomSocket, byte_rate=PACED)
    client = await joined(endpoint)
    began = time.monotonic()
    client.write(make_frame(TEXT, message(KIB)) * 60)
    for _ in range(60):
        answer = (await client.json())[4]
        assert (answer["status"], len(answer["response"]["text"])) == ("ok", KIB)
    # Nothing more is read until the bytes of these are paid for: never less than this.
    client.write(make_frame(TEXT, message(KIB)))
    assert (await client.json())[4]["status"] == "ok"
    assert time.monotonic() - began >= LEAST
    assert endpoint.metrics.pauses
    await client.close()


async def test_a_message_larger_than_the_burst_arrives(serve: Serve) -> None:
    endpoint = await serve(RoomSocket, byte_rate=Rate(400 * KIB, KIB))
    client = await joined(endpoint)
    for _ in range(2):
        client.write(make_frame(TEXT, message(60 * KIB)))
        assert len((await client.json())[4]["response"]["text"]) == 60 * KIB
    await client.close()


async def test_messages_of_one_connection_count_against_no_other(serve: Serve) -> None:
    endpoint = await serve(RoomSocket, byte_rate=Rate(NEVER, 10 * KIB))
    flood, other = await joined(endpoint), await joined(endpoint)
    before = Room.heard
    flood.write(make_frame(TEXT, message(KIB)) * 1000)
    await until(lambda: endpoint.metrics.pauses)
    for _ in range(20):
        await alive(other)
    # What was read at once is handled: at most what a socket gives in one read.
    assert Room.heard - before <= 260
    flood.writer.transport.abort()
    await other.close()


@pytest.mark.parametrize(
    ("opcode", "fin"), [(PING, True), (PONG, True), (0, False)], ids=["ping", "pong", "fragment"]
)
async def test_a_frame_that_is_no_whole_message_counts_256_bytes_more(
    serve: Serve, opcode: int, fin: bool
) -> None:
    client = await joined(await serve(RoomSocket, byte_rate=PACED, max_fragments=1000))
    began = time.monotonic()
    client.send(TEXT, b"[", fin=False)
    client.write(make_frame(opcode, b"", fin=fin) * 240)
    client.send(PING, b"last")
    while (await client.frame()).payload != b"last":
        pass
    assert time.monotonic() - began >= LEAST
    await client.close()


async def test_compressed_messages_count_for_what_they_inflate_to(serve: Serve) -> None:
    endpoint = await serve(RoomSocket, byte_rate=PACED, compression=True)
    client = await joined(endpoint, DEFLATE)
    began = time.monotonic()
    client.write(make_frame(TEXT, deflated(message(10 * KIB)), rsv=4) * 6)
    client.send(PING, b"last")
    while (await client.frame()).payload != b"last":
        pass
    assert time.monotonic() - began >= LEAST
    await client.close()


async def test_a_dashboard_that_asks_for_a_lot_and_reads_nothing_is_read_no_faster(
    target: Target,
) -> None:
    size = 30_000
    question = make_frame(TEXT, b'[null,"1","phoenix","heartbeat",{"x":"%s"}]' % (b"x" * size))
    metrics = target.app.endpoint.metrics
    crowd = [await target.websocket(receive_buffer=4 * KIB) for _ in range(DASHBOARDS)]
    before = metrics.pauses
    for client in crowd:
        client.stop_reading()
        client.write(question * 40)
    await until(lambda: metrics.pauses - before >= DASHBOARDS)
    other = await target.websocket()
    for _ in range(20):
        began = time.perf_counter()
        await alive(other)
        assert time.perf_counter() - began < 0.5
    for client in crowd:
        client.writer.transport.abort()


async def test_who_sends_too_much_has_no_more_time_for_a_message(serve: Serve) -> None:
    client = await joined(await serve(RoomSocket, byte_rate=PACED, message_deadline=0.1))
    client.send(TEXT, b"[", fin=False)
    client.write(make_frame(PING, b"") * 5000)
    while (frame := await client.frame()).opcode == PONG:
        pass
    assert (frame.opcode, frame.close_code) == (CLOSE, 1008)
    await client.close()


def test_a_rate_at_which_the_largest_message_would_not_arrive_is_refused_at_start() -> None:
    low: dict[str, Any] = {"rate_user_bytes": 100.0, "rate_worker_bytes": 1000.0}
    with pytest.raises(ConfigError) as error:
        settings("postgresql://unused", **low)
    first, second = error.value.problems
    assert first.startswith("CHANNEL_SERVER_RATE_USER_BYTES: 65536 bytes")
    assert second.startswith("CHANNEL_SERVER_RATE_WORKER_BYTES: 33554432 bytes")


def test_both_sockets_of_the_gateway_limit_bytes_by_their_settings() -> None:
    given: dict[str, Any] = {"rate_user_bytes": 5e6, "rate_worker_bytes": 7e6}
    set_up = settings("postgresql://unused", **given)
    assert user_limits(set_up).byte_rate == Rate(5e6, 5e6 * BURST)
    assert worker_limits(set_up).byte_rate == Rate(7e6, 7e6 * BURST)
