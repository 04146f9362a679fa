"""What the transport does with frames, well made or not: phoenix-protocol 2.4 and 15.1."""

import asyncio
from typing import Any

import pytest

from channel_server.socket import Route
from channel_server.testing.raw import BINARY, CLOSE, PING, PONG, TEXT, make_frame
from tests.channel_server.echo_room import (
    HEARTBEAT,
    EchoSocket,
    Open,
    Serve,
    alive,
    join,
)

# Malformed messages: each closes with a code that says whose fault it is, never 1011.

MALFORMED_V2 = [
    ("not json", TEXT, b"hello", 1007),
    ("number", TEXT, b"1", 1008),
    ("null", TEXT, b"null", 1008),
    ("object", TEXT, b'{"topic":"t","event":"e","payload":{},"ref":"1"}', 1008),
    ("four elements", TEXT, b'["1","1","t","e"]', 1008),
    ("empty text", TEXT, b"", 1007),
    ("NaN", TEXT, b'["1","1","t","e",NaN]', 1007),
    ("infinite number", TEXT, b'["1","1","t","e",1e999]', 1008),
    ("too deep", TEXT, b'["1","1","t","e",' + b"[" * 100 + b"]" * 100 + b"]", 1008),
    ("much too deep", TEXT, b"[" * 30_000, 1008),
    ("empty binary", BINARY, b"", 1008),
    ("short binary", BINARY, b"\x00\x01", 1008),
    ("truncated binary", BINARY, b"\x00\x00\x00\x08\x01roo", 1008),
    ("binary of kind 1", BINARY, b"\x01\x00\x00\x01\x01te", 1003),
    ("not utf-8", TEXT, b'["1","1","t","e","\xff"]', 1007),
]


@pytest.mark.parametrize(
    ("opcode", "data", "code"),
    [case[1:] for case in MALFORMED_V2],
    ids=[c[0] for c in MALFORMED_V2],
)
async def test_a_malformed_v2_message_closes_with_its_code(
    serve: Serve, websocket: Open, opcode: int, data: bytes, code: int
) -> None:
    endpoint = await serve(EchoSocket)
    client, other = await websocket(endpoint), await websocket(endpoint)
    client.send(opcode, data)
    assert (await client.closed()).close_code == code
    assert endpoint.metrics.protocol_errors.total() == 1
    await alive(other)


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"[]", 1008), (b'{"topic":"t","event":"e","payload":{}}', 1008), (b"1", 1008), (b"{", 1007)],
    ids=["array", "missing key", "number", "not json"],
)
async def test_a_malformed_v1_message_closes_with_its_code(
    serve: Serve, websocket: Open, data: bytes, code: int
) -> None:
    client = await websocket(await serve(EchoSocket), vsn="1.0.0")
    client.send(TEXT, data)
    assert (await client.closed()).close_code == code


async def test_a_v1_binary_frame_holding_json_works(serve: Serve, websocket: Open) -> None:
    client = await websocket(await serve(EchoSocket), vsn="1.0.0")
    client.send(BINARY, b'{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"7"}')
    assert (await client.json())["ref"] == "7"


@pytest.mark.parametrize(
    "message",
    [
        ["1", "2", "room:1", "echo", {}, "extra", "elements"],
        [None, "2", 17, "echo", {}],
        [None, "2", None, None, None],
        [None, {"a": [1]}, "room:2", "echo", {}],
        [None, "2", "room:2", "echo", "text"],
    ],
)
async def test_odd_but_well_formed_messages_do_not_close(
    serve: Serve, websocket: Open, message: list[Any]
) -> None:
    client = await websocket(await serve(EchoSocket))
    client.send_json(message)
    reply = await client.json()
    assert reply[1] == message[1]
    assert reply[4] == {"status": "error", "response": {"reason": "unmatched topic"}}
    await alive(client)


# Frames.


@pytest.mark.parametrize("size", [0, 1, 90, 91, 92, 125, 126, 127, 300, 65_000, 70_000, 200_000])
async def test_messages_of_every_length_encoding_go_both_ways(
    serve: Serve, websocket: Open, size: int
) -> None:
    client = await websocket(await serve(EchoSocket, max_frame_bytes=300_000))
    await join(client)
    client.send_json(["1", "2", "room:1", "echo", {"a": "x" * size}])
    assert (await client.json())[4]["response"] == {"a": "x" * size}


async def test_a_message_may_arrive_byte_by_byte(serve: Serve, websocket: Open) -> None:
    client = await websocket(await serve(EchoSocket))
    await join(client)
    text = '["1","2","room:1","echo",{"a":"' + "\u00e9" * 200 + '"}]'
    for byte in make_frame(TEXT, text.encode()):
        client.write(bytes([byte]))
        await client.writer.drain()
        await asyncio.sleep(0)
    assert (await client.json())[4]["response"] == {"a": "\u00e9" * 200}


async def test_the_answers_to_one_read_are_one_write(serve: Serve, websocket: Open) -> None:
    client = await websocket(await serve(EchoSocket))
    await join(client)
    frames = [make_frame(TEXT, f'["1","{n}","room:1","echo",{{}}]'.encode()) for n in range(2, 12)]
    client.write(b"".join(frames))
    replies = [await client.json() for _ in frames]
    assert [reply[1] for reply in replies] == [str(n) for n in range(2, 12)]


async def test_fragments_are_joined_and_may_be_interleaved_with_pings(
    serve: Serve, websocket: Open
) -> None:
    client = await websocket(await serve(EchoSocket))
    client.send(TEXT, HEARTBEAT[:5], fin=False)
    client.send(PING, b"are you there")
    client.send(0, b"", fin=False)
    client.send(0, HEARTBEAT[5:])
    pong = await client.frame()
    assert (pong.opcode, pong.payload) == (PONG, b"are you there")
    assert (await client.json())[1] == "1"
    await alive(client)


async def test_a_fragmented_text_that_is_no_utf8_closes_with_1007(
    serve: Serve, websocket: Open
) -> None:
    client = await websocket(await serve(EchoSocket))
    client.send(TEXT, b'["\xc3', fin=False)
    client.send(0, b'"]')
    assert (await client.closed()).close_code == 1007


@pytest.mark.parametrize("empty", [True, False])
async def test_too_many_fragments_close_with_1009(
    serve: Serve, websocket: Open, empty: bool
) -> None:
    client = await websocket(await serve(EchoSocket, max_fragments=10))
    client.send(TEXT, b"[", fin=False)
    for _ in range(20):
        client.send(0, b"" if empty else b" ", fin=False)
    frame = await client.closed()
    assert (frame.close_code, frame.reason) == (1009, "too many fragments")


async def test_a_message_over_the_limit_closes_with_1009_before_it_has_arrived(
    serve: Serve, websocket: Open
) -> None:
    client = await websocket(await serve(EchoSocket, max_frame_bytes=1000))
    client.write(make_frame(TEXT, b"", length=1001))
    assert (await client.closed()).close_code == 1009


async def test_a_message_at_the_limit_is_accepted(serve: Serve, websocket: Open) -> None:
    client = await websocket(await serve(EchoSocket, max_frame_bytes=1000))
    client.send(TEXT, HEARTBEAT + b" " * (1000 - len(HEARTBEAT)))
    assert (await client.json())[1] == "1"


async def test_fragments_over_the_limit_together_close_with_1009(
    serve: Serve, websocket: Open
) -> None:
    client = await websocket(await serve(EchoSocket, max_frame_bytes=1000))
    client.send(TEXT, b"[" + b" " * 600, fin=False)
    client.send(0, b" " * 600, fin=False)
    assert (await client.closed()).close_code == 1009


async def test_a_flood_after_the_limit_still_lets_the_close_frame_through(
    serve: Serve, websocket: Open
) -> None:
    client = await websocket(await serve(EchoSocket, max_frame_bytes=1000))
    client.write(make_frame(TEXT, b"x" * 5_000_000))
    assert (await client.closed()).close_code == 1009


@pytest.mark.parametrize(
    "data",
    [
        make_frame(TEXT, HEARTBEAT, masked=False),
        make_frame(TEXT, HEARTBEAT, rsv=4),
        make_frame(TEXT, HEARTBEAT, rsv=1),
        make_frame(3, b""),
        make_frame(11, b""),
        make_frame(0, b"continues nothing"),
        make_frame(PING, b"x" * 126),
        make_frame(PING, b"", fin=False),
        make_frame(TEXT, b"[", fin=False) + make_frame(TEXT, b"]"),
        make_frame(CLOSE, b"\x01"),
        make_frame(CLOSE, b"\x03\xed"),
    ],
    ids=[
        "not masked",
        "rsv1 without compression",
        "rsv3",
        "reserved opcode",
        "reserved control opcode",
        "continuation of nothing",
        "long ping",
        "fragmented ping",
        "new message inside a fragmented one",
        "close of one byte",
        "close code that may not be sent",
    ],
)
async def test_a_protocol_error_closes_with_1002_and_is_counted_not_logged_as_an_error(
    serve: Serve, websocket: Open, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint = await serve(EchoSocket)
    client = await websocket(endpoint)
    client.write(data)
    assert (await client.closed()).close_code == 1002
    assert endpoint.metrics.protocol_errors == {"protocol": 1}
    assert "Traceback" not in "".join(capsys.readouterr())


async def test_nothing_after_a_protocol_error_is_handled(serve: Serve, websocket: Open) -> None:
    client = await websocket(await serve(EchoSocket))
    client.write(make_frame(3, b"") + make_frame(TEXT, HEARTBEAT))
    assert (await client.closed()).close_code == 1002
    client.send(TEXT, HEARTBEAT)
    assert await client.reader.read() == b""


async def test_a_ping_is_answered_with_its_payload_and_pongs_are_ignored(
    serve: Serve, websocket: Open
) -> None:
    client = await websocket(await serve(EchoSocket))
    client.send(PONG, b"unasked")
    client.send(PING, b"\x00\xff")
    frame = await client.frame()
    assert (frame.opcode, frame.payload) == (PONG, b"\x00\xff")


async def test_replies_and_pongs_keep_the_order_of_their_causes(
    serve: Serve, websocket: Open
) -> None:
    client = await websocket(await serve(EchoSocket))
    client.write(make_frame(TEXT, HEARTBEAT) + make_frame(PING, b"") + make_frame(TEXT, HEARTBEAT))
    assert [(await client.frame()).opcode for _ in range(3)] == [TEXT, PONG, TEXT]


# Broadcast frames.


async def test_a_broadcast_is_the_same_bytes_for_all_clients_of_a_serializer(
    serve: Serve, websocket: Open
) -> None:
    endpoint = await serve(EchoSocket)
    clients = [await websocket(endpoint) for _ in range(3)]
    for client in clients:
        await join(client)
    endpoint.broadcast("room:1", "news", {"text": "gr\u00fc\u00df"})
    frames = [(await client.frame()).raw for client in clients]
    assert set(frames) == {frames[0]}
    assert '[null,null,"room:1","news",{"text":"gr\u00fc\u00df"}]'.encode() in frames[0]


class Misrouted(EchoSocket):
    @classmethod
    def route(cls, topic: str) -> Route | None:
        raise RuntimeError("a bug")


async def test_a_bug_in_the_server_closes_with_1011_and_hurts_only_that_client(
    serve: Serve, websocket: Open
) -> None:
    endpoint = await serve(Misrouted)
    client, other = await websocket(endpoint), await websocket(endpoint)
    client.send_json(["1", "1", "room:1", "phx_join", {}])
    assert (await client.closed()).close_code == 1011
    await alive(other)


async def test_a_fragmented_binary_message_is_joined(serve: Serve, websocket: Open) -> None:
    client = await websocket(await serve(EchoSocket))
    await join(client)
    client.send(BINARY, b"\x00\x01\x01\x06\x0412room:", fin=False)
    client.send(0, b"1echo\xff")
    frame = await client.frame()
    assert (frame.opcode, frame.payload) == (BINARY, b"\x01\x01\x01\x06\x0212room:1ok\xff")
