"""Closes, deadlines and compression on the wire: phoenix-protocol 7 and 15."""

import asyncio
import time
import zlib
from typing import Any

import pytest

from channel_server.testing.raw import BINARY, CLOSE, PING, PONG, TEXT, RawClient, make_frame
from tests.channel_server.echo_room import (
    HEARTBEAT,
    EchoSocket,
    Open,
    Serve,
    Until,
    alive,
    join,
)

# Closing.


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
async def test_a_close_of_the_client_is_echoed_and_the_connection_ends(
    serve: Serve, websocket: Open, code: int
) -> None:
    endpoint = await serve(EchoSocket)
    client = await websocket(endpoint)
    client.send(CLOSE, code.to_bytes(2) + b"bye")
    frame = await client.closed()
    assert (frame.close_code, frame.reason) == (code, "bye")
    await client.ended()
    assert endpoint.metrics.disconnects == {str(code): 1}
    assert endpoint.metrics.connections == 0


async def test_a_close_without_code_is_echoed_without_code(serve: Serve, websocket: Open) -> None:
    client = await websocket(await serve(EchoSocket))
    client.send(CLOSE, b"")
    assert (await client.closed()).payload == b""


async def test_messages_before_a_close_are_answered(serve: Serve, websocket: Open) -> None:
    client = await websocket(await serve(EchoSocket))
    client.write(make_frame(TEXT, HEARTBEAT) + make_frame(CLOSE, b"\x03\xe8"))
    assert (await client.json())[1] == "1"
    await client.closed()


async def test_a_client_that_does_not_answer_the_close_is_cut(
    serve: Serve, websocket: Open
) -> None:
    client = await websocket(await serve(EchoSocket, close_timeout=0.1))
    client.send(TEXT, b"malformed")
    assert (await client.closed()).close_code == 1007
    await client.ended()


async def test_a_client_that_vanishes_is_counted_as_1006(
    serve: Serve, websocket: Open, until: Until
) -> None:
    endpoint = await serve(EchoSocket)
    client = await websocket(endpoint)
    await client.close()
    await until(lambda: not endpoint.metrics.connections)
    assert endpoint.metrics.disconnects == {"1006": 1}


# Deadlines.


async def test_a_silent_client_is_closed_with_1002(serve: Serve, websocket: Open) -> None:
    client = await websocket(await serve(EchoSocket, idle_timeout=0.2))
    frame = await client.closed()
    assert (frame.close_code, frame.reason) == (1002, "no data received for too long")


async def test_any_frame_counts_as_received_data_but_sending_does_not(
    serve: Serve, websocket: Open
) -> None:
    endpoint = await serve(EchoSocket, idle_timeout=0.5)
    pinging, listening = await websocket(endpoint), await websocket(endpoint)
    await join(listening)
    silent = asyncio.ensure_future(drain(listening))
    while not silent.done():
        pinging.send(PING, b"")
        assert (await pinging.frame()).opcode == PONG
        endpoint.broadcast("room:1", "news", {})
        await asyncio.wait([silent], timeout=0.02)
    assert (await silent)[-1].close_code == 1002
    await alive(pinging)


async def drain(client: RawClient) -> list[Any]:
    frames: list[Any] = []
    try:
        while True:
            frames.append(await client.frame())
            if frames[-1].opcode == CLOSE:
                return frames
    except EOFError:
        return frames


@pytest.mark.parametrize(
    "start",
    [make_frame(TEXT, b"[", fin=False), make_frame(TEXT, HEARTBEAT)[:-1], b"\x81"],
    ids=["fragment", "frame", "header"],
)
async def test_a_message_that_does_not_finish_in_time_closes_with_1008(
    serve: Serve, websocket: Open, start: bytes
) -> None:
    client = await websocket(await serve(EchoSocket, message_deadline=0.2))
    client.write(start)
    frame = await client.closed()
    assert (frame.close_code, frame.reason) == (1008, "message took too long to arrive")


async def test_pings_do_not_prolong_an_unfinished_message(serve: Serve, websocket: Open) -> None:
    client = await websocket(await serve(EchoSocket, message_deadline=0.2))
    client.send(TEXT, b"[", fin=False)
    frame = None
    while frame is None or frame.opcode == PONG:
        client.send(PING, b"")
        frame = await client.frame()
    assert frame.close_code == 1008


async def test_finished_messages_have_no_deadline(serve: Serve, websocket: Open) -> None:
    client = await websocket(await serve(EchoSocket, message_deadline=0.1, idle_timeout=0.4))
    half = len(HEARTBEAT) // 2
    client.send(TEXT, HEARTBEAT[:half], fin=False)
    client.send(0, HEARTBEAT[half:])
    assert (await client.json())[1] == "1"
    assert (await client.closed()).close_code == 1002  # silent, but nothing unfinished


class Expiring(EchoSocket):
    def connect(self, params: dict[str, Any], info: Any) -> None:
        self.expires_at = time.time() + 0.2


async def test_a_connection_is_closed_with_1008_when_its_session_expires(
    serve: Serve, websocket: Open
) -> None:
    client = await websocket(await serve(Expiring))
    frame = await client.closed()
    assert (frame.close_code, frame.reason) == (1008, "session expired")


# Compression.

DEFLATE = ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")


def deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-12)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


async def test_compression_is_not_negotiated_by_default(serve: Serve, raw: Open) -> None:
    client = await raw(await serve(EchoSocket))
    answer = await client.upgrade("/socket/websocket", [DEFLATE])
    assert "sec-websocket-extensions" not in answer.headers


async def test_compressed_messages_go_both_ways_if_enabled(serve: Serve, raw: Open) -> None:
    endpoint = await serve(EchoSocket, compression=True)
    client = await raw(endpoint)
    answer = await client.upgrade("/socket/websocket?vsn=2.0.0", [DEFLATE])
    assert "permessage-deflate" in answer.headers["sec-websocket-extensions"]
    client.send(TEXT, deflate(b'["1","1","room:1","phx_join",{}]'), rsv=4)
    frame = await client.frame()
    assert frame.rsv1
    inflate = zlib.decompressobj(wbits=-12)
    assert b"phx_reply" in inflate.decompress(frame.payload + b"\x00\x00\xff\xff")
    endpoint.broadcast("room:1", "news", {"a": 1})
    frame = await client.frame()
    news = inflate.decompress(frame.payload + b"\x00\x00\xff\xff")
    assert news == b'[null,null,"room:1","news",{"a":1}]'
    client.send(TEXT, HEARTBEAT)  # not compressed: allowed at any time
    assert (await client.frame()).opcode == TEXT


async def test_compressed_binary_messages_go_both_ways(serve: Serve, raw: Open) -> None:
    client = await raw(await serve(EchoSocket, compression=True))
    await client.upgrade("/socket/websocket?vsn=2.0.0", [DEFLATE])
    client.send_json(["1", "1", "room:1", "phx_join", {}])
    inflate = zlib.decompressobj(wbits=-12)
    inflate.decompress((await client.frame()).payload + b"\x00\x00\xff\xff")
    client.send(BINARY, deflate(b"\x00\x01\x01\x06\x0412room:1echo\xff"), rsv=4)
    frame = await client.frame()
    assert (frame.opcode, frame.rsv1) == (BINARY, True)
    answer = inflate.decompress(frame.payload + b"\x00\x00\xff\xff")
    assert answer == b"\x01\x01\x01\x06\x0212room:1ok\xff"


async def test_an_inflated_message_over_the_limit_closes_with_1009(serve: Serve, raw: Open) -> None:
    client = await raw(await serve(EchoSocket, compression=True, max_frame_bytes=10_000))
    await client.upgrade("/socket/websocket?vsn=2.0.0", [DEFLATE])
    bomb = deflate(b" " * 10_000_000)
    assert len(bomb) < 10_100
    client.send(TEXT, bomb[:9_000], rsv=4, fin=False)
    client.send(0, bomb[9_000:])
    assert (await client.closed()).close_code == 1009
