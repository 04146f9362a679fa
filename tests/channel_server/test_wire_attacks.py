"""Clients that mean harm: only they are hurt, and nothing of them is left behind."""

import asyncio
import gc
import io
import json
import logging
import random
from collections.abc import Iterator

import pytest

from channel_server import log
from channel_server.connection import Connection
from channel_server.testing.raw import BINARY, CLOSE, TEXT, RawClient, make_frame
from channel_server.transport.websocket import WebSocketTransport
from tests import plain_logs
from tests.channel_server.echo_room import HEARTBEAT, Echo, EchoSocket, Open, Serve, Until


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    log.configure("json", stream=stream)
    yield stream
    plain_logs.use()
    root.handlers[:] = handlers
    root.setLevel(level)


async def until_closed(client: RawClient) -> int | None:
    """The close code, or None if the connection just ended."""
    try:
        while True:
            frame = await client.frame()
            if frame.opcode == CLOSE:
                return frame.close_code
    except (EOFError, ConnectionError):
        return None


def assert_quiet(lines: io.StringIO) -> None:
    shown = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [line for line in shown if line["level"] in ("error", "critical")] == []
    assert "Traceback" not in lines.getvalue()


@pytest.mark.parametrize("seed", range(20))
async def test_random_bytes_end_in_a_documented_close(
    serve: Serve, websocket: Open, lines: io.StringIO, seed: int
) -> None:
    endpoint = await serve(EchoSocket, message_deadline=0.2, idle_timeout=0.3, close_timeout=0.2)
    chance = random.Random(seed)
    for _ in range(10):
        client = await websocket(endpoint)
        client.write(chance.randbytes(chance.randrange(1, 400)))
        assert await until_closed(client) in {1002, 1003, 1007, 1008, 1009, 1005, None}
    assert_quiet(lines)


@pytest.mark.parametrize("seed", range(20))
async def test_changed_messages_end_in_a_reply_or_a_documented_close(
    serve: Serve, websocket: Open, lines: io.StringIO, seed: int
) -> None:
    endpoint = await serve(EchoSocket)
    chance = random.Random(seed)
    seeds = [
        b'["1","1","room:1","phx_join",{}]',
        b'["1","2","room:1","echo",{"a":[1,2.5,null,"x\\u00e9"]}]',
        b"\x00\x01\x01\x06\x0412room:1echo\xff\x00",
    ]
    for _ in range(30):
        client = await websocket(endpoint)
        for original in seeds:
            message = bytearray(original)
            for _ in range(chance.randrange(3)):
                message[chance.randrange(len(message))] = chance.randrange(256)
            client.send(BINARY if message[0] == 0 else TEXT, bytes(message))
        client.send(CLOSE, b"\x0b\xb8")  # 3000: nothing went wrong
        assert await until_closed(client) in {1003, 1007, 1008, 3000}
    shown = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert not [line for line in shown if line["event"] == "transport_crashed"]


@pytest.mark.parametrize(
    "topic", ["__proto__", "constructor", "toString", "", "\u0000", "x" * 9_000]
)
async def test_odd_topics_and_events_are_just_names(
    serve: Serve, websocket: Open, topic: str
) -> None:
    client = await websocket(await serve(EchoSocket))
    client.send_json(["1", "1", topic, "phx_join", {}])
    assert (await client.json())[2] == topic
    client.send_json(["1", "2", topic, topic, {"__proto__": {}}])
    assert (await client.json())[2] == topic
    client.send(TEXT, HEARTBEAT)
    assert (await client.json())[2] == "phoenix"


async def test_ten_thousand_joins_on_one_connection_get_a_clear_answer(
    serve: Serve, websocket: Open
) -> None:
    client = await websocket(await serve(EchoSocket))

    async def send() -> None:
        for n in range(10_000):
            client.send_json([str(n), str(n), f"room:{n}", "phx_join", {}])
            if n % 100 == 0:
                await client.writer.drain()

    sending = asyncio.ensure_future(send())
    statuses = [(await client.json())[4] for _ in range(10_000)]
    await sending
    assert [status["status"] for status in statuses[:100]] == ["ok"] * 100
    refused = {"status": "error", "response": {"reason": "too many channels joined"}}
    assert all(status == refused for status in statuses[100:])


async def test_frames_without_end_are_answered_in_turns(serve: Serve, websocket: Open) -> None:
    endpoint = await serve(EchoSocket)
    flooding, other = await websocket(endpoint), await websocket(endpoint)
    flooding.write(make_frame(TEXT, HEARTBEAT) * 20_000)
    other.send(TEXT, HEARTBEAT)
    assert (await other.json())[1] == "1"
    for _ in range(20_000):
        await flooding.frame()


async def test_nothing_is_left_of_connections_that_ended(
    serve: Serve, websocket: Open, raw: Open, until: Until
) -> None:
    def alive() -> set[int]:
        gc.collect()
        kinds = (WebSocketTransport, Connection, Echo)
        return {id(o) for o in gc.get_objects() if isinstance(o, kinds)}

    before = alive()  # other tests may keep theirs
    endpoint = await serve(EchoSocket)
    for n in range(60):
        client = await websocket(endpoint)
        client.send_json(["1", "1", "room:1", "phx_join", {}])
        await client.json()
        if n % 3 == 0:
            client.send(CLOSE, b"")
        elif n % 3 == 1:
            client.send(TEXT, b"malformed")
        await client.close()
        refused = await raw(endpoint)
        await refused.upgrade("/socket/websocket?vsn=9")
        await refused.close()
    await until(lambda: not endpoint.metrics.connections)
    await asyncio.sleep(0)
    assert alive() <= before
    assert endpoint.pubsub.topics() == []
