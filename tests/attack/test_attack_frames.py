"""Websocket frames against the rules, fragments without end, bombs.

What each broken rule of RFC 6455 closes with is pinned in tests/channel_server/test_wire_frames.py;
here the gateway with its default limits has to stand it.
"""

import time

import pytest

from channel_server.endpoint import Endpoint
from channel_server.socket import Socket
from channel_server.testing.raw import BINARY, CLOSE, PING, TEXT, RawClient, make_frame
from tests.attack.conftest import Serve
from tests.attack.deflating import DEFLATE, deflated
from tests.attack.target import Target, alive

KIB = 1024
MIB = 1024 * KIB
HEARTBEAT = b'[null,"1","phoenix","heartbeat",{}]'


def head(first: int, second: int, *rest: int) -> bytes:
    return bytes([first, second, *rest])


FRAMES: list[tuple[str, bytes, tuple[int, ...]]] = [
    ("not masked", make_frame(TEXT, HEARTBEAT, masked=False), (1002,)),
    ("reserved bit 1", make_frame(TEXT, HEARTBEAT, rsv=4), (1002,)),
    ("all reserved bits", make_frame(TEXT, HEARTBEAT, rsv=7), (1002,)),
    ("a reserved opcode", make_frame(3, b""), (1002,)),
    ("a reserved control opcode", make_frame(11, b""), (1002,)),
    ("a continuation of nothing", make_frame(0, HEARTBEAT), (1002,)),
    ("a ping of 126 bytes", make_frame(PING, b"x" * 126), (1002,)),
    ("a fragmented ping", make_frame(PING, b"", fin=False), (1002,)),
    ("a close of one byte", make_frame(CLOSE, b"x"), (1002,)),
    ("a close with code 1005", make_frame(CLOSE, (1005).to_bytes(2)), (1002,)),
    ("a close with code 0", make_frame(CLOSE, b"\0\0"), (1002,)),
    ("a close with code 65535", make_frame(CLOSE, b"\xff\xff"), (1002,)),
    ("a close whose reason is no text", make_frame(CLOSE, b"\x03\xe8\xff"), (1002, 1007)),
    ("a length of 2^63", head(0x81, 0xFF, 0x80, *[0] * 7) + b"\0" * 4, (1002, 1009)),
    ("a length of 2^63 - 1", head(0x82, 0xFF, 0x7F, *[255] * 7) + b"\0" * 4, (1009,)),
    ("a gibibyte", head(0x82, 0xFF, 0, 0, 0, 0, 0x40, 0, 0, 0) + b"\0" * 4, (1009,)),
    ("an empty binary message", make_frame(BINARY, b""), (1008,)),
    ("an empty text message", make_frame(TEXT, b""), (1007,)),
    ("text that is no utf-8", make_frame(TEXT, b"\xc3\x28"), (1007,)),
    ("text that ends inside a character", make_frame(TEXT, b"\xf0\x9f\x92"), (1007,)),
    ("a new message inside of another", make_frame(TEXT, b"[", fin=False) * 2, (1002,)),
    ("zeros", b"\0" * 64, (1002,)),
    ("ones", b"\xff" * 64, (1002,)),
    ("http inside of the websocket", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", (1002,)),
]


@pytest.mark.parametrize("mount", ["socket", "worker"])
@pytest.mark.parametrize(
    ("data", "codes"), [case[1:] for case in FRAMES], ids=[case[0] for case in FRAMES]
)
async def test_a_frame_against_the_rules_closes_its_sender(
    target: Target, mount: str, data: bytes, codes: tuple[int, ...]
) -> None:
    client, other = await target.websocket(mount), await target.websocket(mount)
    client.write(data)
    assert (await client.closed()).close_code in codes
    await alive(other)


async def test_a_dashboard_that_sends_more_than_64_kib_is_closed_with_1009(target: Target) -> None:
    client = await target.websocket()
    client.send(TEXT, b" " * (64 * KIB + 1))
    assert (await client.closed()).close_code == 1009


async def test_a_worker_that_sends_more_than_32_mib_is_closed_before_it_has_sent_it(
    target: Target,
) -> None:
    client = await target.websocket("worker")
    client.send(TEXT, b"[", length=32 * MIB + 1)
    assert (await client.closed()).close_code == 1009


async def test_five_thousand_empty_fragments_are_1009(target: Target) -> None:
    for mount in ("socket", "worker"):
        client = await target.websocket(mount)
        client.write(make_frame(TEXT, b"", fin=False) + make_frame(0, b"", fin=False) * 5_000)
        assert (await client.closed()).close_code == 1009


async def test_fragments_larger_than_the_limit_together_are_1009(target: Target) -> None:
    client = await target.websocket()
    client.write(
        make_frame(TEXT, b" " * KIB, fin=False) + make_frame(0, b" " * KIB, fin=False) * 64
    )
    assert (await client.closed()).close_code == 1009


@pytest.mark.parametrize(("mount", "count"), [("socket", 2_000), ("worker", 10_000)])
async def test_thousands_of_pings_between_fragments_are_answered_in_order(
    target: Target, mount: str, count: int
) -> None:
    client = await target.websocket(mount)
    client.write(make_frame(TEXT, HEARTBEAT[:5], fin=False))
    client.write(b"".join(make_frame(PING, b"%d" % n) for n in range(count)))
    client.write(make_frame(0, HEARTBEAT[5:]))
    for n in range(count):
        assert (await client.frame()).payload == b"%d" % n
    assert (await client.json())[1] == "1"


async def test_twice_the_fragments_cost_about_twice_the_time(target: Target) -> None:
    async def measure(fragments: int) -> float:
        client = await target.websocket("worker")
        piece = make_frame(0, b" " * 16 * KIB, fin=False)
        data = make_frame(TEXT, b"[", fin=False) + piece * fragments
        data += make_frame(0, b'null,"1","phoenix","heartbeat",{}]')
        started = time.process_time()
        client.write(data)
        assert (await client.json())[1] == "1"
        return time.process_time() - started

    short = min([await measure(250) for _ in range(3)])
    long = min([await measure(1_000) for _ in range(3)])
    assert long < 4 * 2.5 * short


async def test_a_byte_at_a_time_costs_no_more_than_it_should(target: Target) -> None:
    client = await target.websocket()
    started = time.process_time()
    for byte in make_frame(TEXT, b" " * 20_000 + HEARTBEAT):
        client.write(bytes([byte]))
    assert (await client.json())[1] == "1"
    assert time.process_time() - started < 2.0


class OpenSocket(Socket):
    """Lets everybody in."""


async def connect(endpoint: Endpoint, *headers: tuple[str, str]) -> RawClient:
    client = RawClient(endpoint.host, endpoint.port)
    await client.open()
    assert (await client.upgrade("/socket/websocket?vsn=2.0.0", headers)).status == 101
    return client


@pytest.mark.parametrize(
    "start",
    [make_frame(TEXT, b"[", fin=False), make_frame(TEXT, HEARTBEAT)[:9], b"\x81"],
    ids=["a first fragment", "half a frame", "one byte"],
)
async def test_a_message_that_does_not_end_is_1008_at_the_message_deadline(
    serve: Serve, start: bytes
) -> None:
    client = await connect(await serve(OpenSocket, message_deadline=0.1))
    client.write(start)
    assert (await client.closed()).close_code == 1008
    await client.close()


async def test_a_silent_client_is_1002_at_the_idle_timeout(serve: Serve) -> None:
    client = await connect(await serve(OpenSocket, idle_timeout=0.1))
    assert (await client.closed()).close_code == 1002
    await client.close()


async def test_compression_is_not_negotiated(target: Target) -> None:
    client = await target.tcp()
    offer = [("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")]
    answer = await client.upgrade(target.path("socket"), offer)
    assert (answer.status, answer.headers.get("sec-websocket-extensions")) == (101, None)
    client.send(TEXT, deflated(HEARTBEAT), rsv=4)
    assert (await client.closed()).close_code == 1002


async def test_a_bomb_of_1_to_1000_is_1009_where_compression_is_on(serve: Serve) -> None:
    client = await connect(await serve(OpenSocket, compression=True), DEFLATE)
    bomb = deflated(b" " * 50 * MIB)
    assert len(bomb) < 64 * KIB
    client.send(TEXT, bomb, rsv=4)
    assert (await client.closed()).close_code == 1009
    await client.close()


async def test_a_bomb_in_fragments_is_1009(serve: Serve) -> None:
    client = await connect(await serve(OpenSocket, compression=True), DEFLATE)
    bomb = deflated(b" " * 50 * MIB)
    client.send(TEXT, bomb[:100], rsv=4, fin=False)
    for start in range(100, len(bomb), 100):
        client.send(0, bomb[start : start + 100], fin=False)
    assert (await client.closed()).close_code == 1009
    await client.close()


async def test_garbage_where_deflate_is_expected_is_refused(serve: Serve) -> None:
    client = await connect(await serve(OpenSocket, compression=True), DEFLATE)
    client.send(TEXT, b"\xff" * 100, rsv=4)
    assert (await client.closed()).close_code in (1002, 1007)
    await client.close()


@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate; client_max_window_bits=99",
        "permessage-deflate; server_max_window_bits=0",
        "permessage-deflate; unknown=1",
        "permessage-deflate; client_no_context_takeover=1",
        "permessage-deflate" + ", permessage-deflate" * 300,
        ";;;;",
        'a;b="c',
        "=",
    ],
    ids=lambda offer: offer[:50],
)
async def test_an_odd_extension_offer_is_declined_or_refused(serve: Serve, offer: str) -> None:
    endpoint = await serve(OpenSocket, compression=True)
    async with RawClient(endpoint.host, endpoint.port) as client:
        headers = [("Sec-WebSocket-Extensions", offer)]
        assert (await client.upgrade("/socket/websocket?vsn=2.0.0", headers)).status in (101, 400)
