"""Upgrade requests that are too large, too odd, or not requests at all."""

import asyncio
import time
from typing import Any

import pytest

from channel_server.socket import Socket
from channel_server.testing.raw import UPGRADE, RawClient
from tests.attack.conftest import Serve
from tests.attack.target import Target, alive

KIB = 1024
MOST_SECONDS = 0.5
"""What one odd request may cost; quadratic parsing of 32 KiB takes far longer."""

REFUSED = (400, 403, 408, 414, 426, 431, 501, 505)


async def sent(target: Target, head: bytes) -> int | None:
    """The status that these bytes are answered with; None if the connection just ended."""
    client = await target.tcp()
    client.write(head)
    try:
        return (await client.response()).status
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return None


def upgrade(target: Target, *more: bytes, **changes: str | None) -> bytes:
    """An upgrade request; keywords change headers (None leaves one out)."""
    fields: dict[str, str | None] = {"Host": "127.0.0.1", **UPGRADE}
    fields |= {name.replace("_", "-"): value for name, value in changes.items()}
    lines = [f"GET {target.path('socket')} HTTP/1.1".encode()]
    lines += [f"{name}: {value}".encode() for name, value in fields.items() if value is not None]
    return b"\r\n".join([*lines, *more, b"", b""])


HEADERS = [
    "Host",
    "Upgrade",
    "Connection",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
    "Origin",
    "Cookie",
    "User-Agent",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "Authorization",
]


@pytest.mark.parametrize("fill", [b" ", b"\t", b",", b";", b"a, ", b"\xff"], ids=repr)
@pytest.mark.parametrize("name", HEADERS)
async def test_32_kib_in_a_handshake_header_are_answered_at_once(
    target: Target, name: str, fill: bytes
) -> None:
    value = b"a" + fill * (32 * KIB // len(fill)) + b"b"
    started = time.process_time()
    status = await sent(target, upgrade(target, name.encode() + b": " + value))
    assert status in (None, *REFUSED)
    assert time.process_time() - started < MOST_SECONDS


@pytest.mark.parametrize("name", ["X-Same", "Host", "Cookie", "Sec-WebSocket-Protocol", "Origin"])
async def test_ten_thousand_equal_headers_are_refused(target: Target, name: str) -> None:
    lines = [f"{name}: a".encode()] * 10_000
    assert await sent(target, upgrade(target, *lines)) in (None, 431)


async def test_a_header_line_without_end_is_cut_off(target: Target) -> None:
    head = upgrade(target).removesuffix(b"\r\n") + b"X-Endless: " + b"a" * (1024 * KIB)
    assert await sent(target, head) in (None, 400, 431)


async def test_a_url_of_a_megabyte_is_refused(target: Target) -> None:
    head = b"GET /socket/websocket?" + b"a" * (1024 * KIB) + b" HTTP/1.1\r\nHost: x\r\n\r\n"
    assert await sent(target, head) in (None, 400, 414, 431)


BAD_UPGRADES: list[tuple[str, dict[str, str | None]]] = [
    ("no upgrade header", {"Upgrade": None}),
    ("another protocol", {"Upgrade": "h2c"}),
    ("no connection header", {"Connection": None}),
    ("connection close", {"Connection": "close"}),
    ("no key", {"Sec_WebSocket_Key": None}),
    ("an empty key", {"Sec_WebSocket_Key": ""}),
    ("a key of 15 bytes", {"Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAA"}),
    ("a key that is no base64", {"Sec_WebSocket_Key": "!" * 24}),
    ("no version", {"Sec_WebSocket_Version": None}),
    ("version 8", {"Sec_WebSocket_Version": "8"}),
    ("version 13 twice", {"Sec_WebSocket_Version": "13, 13"}),
    ("a version that is no number", {"Sec_WebSocket_Version": "\u0661\u0663"}),
]


@pytest.mark.parametrize(
    "changes", [case[1] for case in BAD_UPGRADES], ids=[case[0] for case in BAD_UPGRADES]
)
async def test_what_is_no_upgrade_of_rfc_6455_is_refused(
    target: Target, changes: dict[str, str | None]
) -> None:
    assert await sent(target, upgrade(target, **changes)) in (400, 426)


async def test_a_version_other_than_13_is_426(target: Target) -> None:
    assert await sent(target, upgrade(target, Sec_WebSocket_Version="12")) == 426


NOT_HTTP = [
    ("tls", bytes.fromhex("160301020001000001fc0303") + b"\0" * 64),
    ("http/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("a redis command", b"*1\r\n$4\r\nPING\r\n"),
    ("zeros", b"\0" * 4096),
    ("high bytes", b"\xff" * 4096),
    ("newlines", b"\n" * 4096 + b"x\n\n"),
    ("no version", b"GET /socket/websocket\r\n\r\n"),
    ("an unknown version", b"GET / HTTP/9.9\r\nHost: x\r\n\r\n"),
    ("an unknown method", b"\x01GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("a header without colon", b"GET / HTTP/1.1\r\nHost x\r\n\r\n"),
    ("a space before the colon", b"GET / HTTP/1.1\r\nHost : x\r\n\r\n"),
    ("NUL in a header", b"GET / HTTP/1.1\r\nHost: x\0y\r\n\r\n"),
    ("a bare carriage return", b"GET / HTTP/1.1\r\nHost: x\ry: z\r\n\r\n"),
    ("a folded header", b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n"),
]


@pytest.mark.parametrize("head", [case[1] for case in NOT_HTTP], ids=[case[0] for case in NOT_HTTP])
async def test_what_is_no_http_is_refused(target: Target, head: bytes) -> None:
    client = await target.tcp()
    client.write(head)
    client.writer.write_eof()
    data = await asyncio.wait_for(client.reader.read(), 10)
    assert data == b"" or data.split()[1] in (b"400", b"403", b"404", b"431"), data


TARGETS = [
    ("connect", b"CONNECT evil.example:443"),
    ("asterisk", b"OPTIONS *"),
    ("absolute", b"GET http://evil.example/worker/websocket"),
    ("a fragment", b"GET /socket/websocket#?token=x"),
    ("high bytes in the path", b"GET /\xff\xfe/websocket"),
    ("high bytes in the query", b"GET /socket/websocket?a=\xff\xfe"),
    ("escaped high bytes", b"GET /%ff%fe/websocket"),
    ("escaped NUL", b"GET /socket%00/websocket"),
    ("a broken escape", b"GET /%zz/websocket?a=%zz"),
    ("dots", b"GET /socket/../worker/websocket"),
    ("escaped dots", b"GET /socket/%2e%2e/worker/websocket"),
    ("two slashes", b"GET //socket//websocket"),
    ("an escaped slash", b"GET /socket%2fwebsocket"),
    ("a deep query", b"GET /socket/websocket?" + b"a" + b"[b]" * 500 + b"=1"),
    ("a long list of parameters", b"GET /socket/websocket?" + b"a&" * 3_000),
    ("prototype words", b"GET /socket/websocket?__proto__[a]=1&constructor[prototype][a]=1"),
    ("trace", b"TRACE /socket/websocket"),
    ("an unusual method", b"PROPFIND /worker/websocket"),
]


@pytest.mark.parametrize("line", [case[1] for case in TARGETS], ids=[case[0] for case in TARGETS])
@pytest.mark.parametrize("upgrading", [True, False], ids=["upgrade", "plain"])
async def test_an_odd_request_target_opens_nothing(
    target: Target, line: bytes, upgrading: bool
) -> None:
    head = line + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if upgrading:
        head += b"".join(f"{name}: {value}\r\n".encode() for name, value in UPGRADE.items())
    status = await sent(target, head + b"\r\n")
    assert status in (None, 400, 403, 404, 405, 414, 431)


@pytest.mark.parametrize("proto", ["https", "wss", "javascript"])
async def test_forwarded_headers_of_strangers_say_nothing(target: Target, proto: str) -> None:
    client = await target.tcp()
    headers = [("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Proto", proto)]
    headers += [("X-Real-IP", "203.0.113.7"), ("Forwarded", "for=203.0.113.7")]
    assert (await client.upgrade(target.path("socket"), headers)).status == 101
    await alive(client)
    (line,) = [line for line in target.log() if line["event"] == "socket_connected"]
    assert line["peer"] == "127.0.0.1"


class OpenSocket(Socket):
    """Lets everybody in."""


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"GET /socket/webs",
        b"GET /socket/websocket HTTP/1.1\r\n",
        b"GET /socket/websocket HTTP/1.1\r\nHost: x\r\nX: ",
    ],
    ids=["nothing", "half a request line", "no headers", "half a header"],
)
async def test_half_a_request_is_cut_at_the_handshake_timeout(serve: Serve, start: bytes) -> None:
    endpoint = await serve(OpenSocket, handshake_timeout=0.1)
    async with RawClient(endpoint.host, endpoint.port) as client:
        client.write(start)
        await client.ended()


async def test_a_request_that_trickles_in_does_not_outlive_the_handshake_timeout(
    serve: Serve,
) -> None:
    endpoint = await serve(OpenSocket, handshake_timeout=0.2)
    async with RawClient(endpoint.host, endpoint.port) as client:
        client.write(b"GET /socket/websocket HTTP/1.1\r\n")
        ended = asyncio.create_task(client.ended())
        while not ended.done():
            client.write(b"X: y\r\n")
            await asyncio.wait([ended], timeout=0.02)
        await ended


async def test_one_address_gets_no_more_connections_than_its_limit(serve: Serve) -> None:
    endpoint = await serve(OpenSocket)
    clients: list[Any] = []
    try:
        for _ in range(1_000):
            client = RawClient(endpoint.host, endpoint.port)
            await client.open()
            clients.append(client)
            assert (await client.upgrade("/socket/websocket?vsn=2.0.0")).status == 101
        async with RawClient(endpoint.host, endpoint.port) as one_more:
            assert (await one_more.upgrade("/socket/websocket?vsn=2.0.0")).status == 429
        await alive(clients[0])
    finally:
        for client in clients:
            await client.close()
