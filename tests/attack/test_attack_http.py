"""The HTTP side: smuggling, slow bodies, huge bodies, odd paths, bodies the database dislikes."""

import asyncio
import json
from typing import Any

import pytest

from channel_server.testing.raw import Response
from tests.attack.target import Target

MIB = 1024 * 1024
JSON = "Content-Type: application/json"


def trigger(target: Target) -> str:
    return f"/i/{target.world.workflow().triggers['webhook']}"


async def exchange(target: Target, data: bytes) -> Response | None:
    """The response to these bytes; None if the connection just ended."""
    client = await target.tcp()
    client.write(data)
    try:
        return await client.response()
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return None


def post(target: Target, body: bytes, *headers: str, path: str | None = None) -> bytes:
    lines = [f"POST {path or trigger(target)} HTTP/1.1", "Host: 127.0.0.1", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def call(target: Target, body: bytes, *, path: str | None = None) -> Response:
    """The answer to a webhook call."""
    headers = ("Content-Type: application/json", f"Content-Length: {len(body)}")
    answer = await exchange(target, post(target, body, *headers, path=path))
    assert answer is not None
    return answer


SMUGGLING = [
    ("two lengths", ["Content-Length: 2", "Content-Length: 3"]),
    ("two equal lengths", ["Content-Length: 2", "Content-Length: 2"]),
    ("a list of lengths", ["Content-Length: 2, 2"]),
    ("length and chunks", ["Content-Length: 2", "Transfer-Encoding: chunked"]),
    ("chunks and length", ["Transfer-Encoding: chunked", "Content-Length: 2"]),
    ("a negative length", ["Content-Length: -2"]),
    ("a signed length", ["Content-Length: +2"]),
    ("a hexadecimal length", ["Content-Length: 0x2"]),
    ("a length of 64 bits and more", ["Content-Length: 99999999999999999999999999"]),
    ("an unknown coding", ["Transfer-Encoding: cow"]),
    ("a coding after chunked", ["Transfer-Encoding: chunked, identity"]),
    ("a bad chunk size", ["Transfer-Encoding: chunked"]),
    ("a coding behind a tab", ["Transfer-Encoding:\tchunked", "Content-Length: 2"]),
]


@pytest.mark.parametrize("fields", [case[1] for case in SMUGGLING], ids=[c[0] for c in SMUGGLING])
async def test_a_body_whose_length_is_ambiguous_creates_nothing(
    target: Target, fields: list[str]
) -> None:
    before = await target.world.value("SELECT count(*) FROM work_orders")
    smuggled = b"{}GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = await exchange(
        target, post(target, smuggled, "Content-Type: application/json", *fields)
    )
    assert answer is None or answer.status in (400, 413, 501), answer
    assert await target.world.value("SELECT count(*) FROM work_orders") == before


@pytest.mark.parametrize(
    "path",
    [
        "/i/../metrics",
        "/i/..%2f..%2f..%2fetc%2fpasswd",
        "/i/%2e%2e/%2e%2e/etc/passwd",
        "/../../../../etc/passwd",
        "//etc/passwd",
        "/schema/../../pyproject.toml",
        "/schema/..%2f..%2fpyproject.toml",
        "/i/..\\..\\windows",
        "/i/%00",
        "/i/%ff%fe",
        "/i/__proto__",
        "/i/constructor",
        "/i/00000000-0000-0000-0000-000000000000",
        "/i/{00000000-0000-0000-0000-000000000000}",
        "/i/' OR 1=1",
        "/i/" + "a" * 8_000,
        "/" + "a/" * 2_000,
        "/.git/config",
        "/.env",
    ],
    ids=lambda path: str(path)[:40],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_no_path_leads_anywhere_but_to_the_routes(
    target: Target, method: str, path: str
) -> None:
    line = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    answer = await exchange(target, line.encode())
    assert answer is not None
    assert answer.status in (400, 404, 405), answer
    assert "root:" not in answer.body


async def test_a_body_over_the_limit_is_413_before_it_is_sent(target: Target) -> None:
    length = f"Content-Length: {11 * MIB}"
    answer = await exchange(target, post(target, b"", "Content-Type: application/json", length))
    assert answer is not None
    assert answer.status == 413


async def test_a_chunked_body_over_the_limit_is_413(target: Target) -> None:
    client = await target.tcp()
    client.write(post(target, b"", "Content-Type: application/json", "Transfer-Encoding: chunked"))
    chunk = b"%x\r\n" % MIB + b" " * MIB + b"\r\n"
    for _ in range(12):
        client.write(chunk)
    assert (await client.response()).status == 413


BODIES = [
    ("NaN", b"NaN", 415),
    ("Infinity", b'{"a":Infinity}', 415),
    ("a number out of range", b'{"a":1e999}', 415),
    ("too deep", b"[" * 65 + b"]" * 65, 415),
    ("far too deep", b"[" * 1_000_000, 415),
    ("deep objects", b'{"a":' * 100_000, 415),
    ("not utf-8", b'"\xff"', 415),
    ("a surrogate in utf-8", b'"\xed\xa0\x80"', 415),
    ("two values", b"{}{}", 415),
    ("html", b"<script>alert(1)</script>", 415),
    ("xml", b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', 415),
    ("a number too small", b'{"a":1e-999}', 200),
    ("a number far too small", b'{"a":1e-999999}', 422),
    ("a fraction of 20 000 digits", b'{"a":0.' + b"0" * 20_000 + b"1}", 422),
    ("a number of 5 000 digits", b"1" + b"0" * 5_000, 200),
    ("a number of 300 digits", b"1" + b"0" * 300, 200),
    ("minus zero", b"-0", 200),
    ("duplicate keys", b'{"a":1,"a":2}', 200),
    ("NUL in a string", b'{"a":"\\u0000"}', 200),
    ("NUL in a key", b'{"\\u0000":1}', 200),
    ("a lone surrogate", b'{"a":"\\ud800"}', 200),
    ("a lone surrogate in a key", b'{"\\udfff":1}', 200),
    ("prototype words", b'{"__proto__":{"a":1},"constructor":{"prototype":{}}}', 200),
    ("an empty key", b'{"":{"":[]}}', 200),
    ("a million zeros", b"[" + b"0," * 1_000_000 + b"0]", 200),
    ("10 000 keys", json.dumps({str(n): n for n in range(10_000)}).encode(), 200),
    ("null", b"null", 200),
    ("spaces", b" " * 100_000 + b"1", 200),
]


@pytest.mark.parametrize(
    ("body", "status"), [case[1:] for case in BODIES], ids=[case[0] for case in BODIES]
)
async def test_a_body_is_stored_or_refused_as_no_json(
    target: Target, body: bytes, status: int
) -> None:
    assert (await call(target, body)).status == status


@pytest.mark.parametrize("query", ["?a=%ff", "?a=\\ud800", "?%00=%00", "?" + "a=1&" * 1_000])
async def test_a_query_that_the_database_dislikes_is_repaired(target: Target, query: str) -> None:
    path = trigger(target) + query
    headers = ("Content-Type: application/json", "Content-Length: 2")
    answer = await exchange(target, post(target, b"{}", *headers, path=path))
    assert answer is not None
    assert answer.status in (200, 400), answer


async def test_header_values_that_are_no_text_are_stored_or_refused(target: Target) -> None:
    head = post(target, b"", "Content-Type: application/json", "Content-Length: 2")
    data = head.removesuffix(b"\r\n") + b"X-Odd: \xff\xfe\x80\r\n\r\n{}"
    answer = await exchange(target, data)
    assert answer is not None
    assert answer.status in (200, 400)


@pytest.mark.parametrize(
    "endless",
    [
        b"GET /healthz HTTP/1.1\r\nX-Endless: ",
        b"POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: ",
    ],
    ids=["a header", "a chunk extension", "a trailer"],
)
async def test_a_line_without_end_is_cut_off_while_it_arrives(
    target: Target, endless: bytes
) -> None:
    client = await target.tcp()
    client.write(endless)
    ended = asyncio.create_task(client.ended())
    sent = 0
    while not ended.done():
        assert sent < 32 * MIB
        client.write(b"a" * MIB)
        sent += MIB
        await asyncio.wait([ended], timeout=0.01)
    await ended


async def test_requests_in_a_row_are_answered_in_their_order(target: Target) -> None:
    client = await target.tcp()
    client.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 500)
    for _ in range(500):
        assert (await client.response()).status == 200


async def test_a_body_that_stops_arriving_hurts_nobody_else(target: Target) -> None:
    for _ in range(20):
        client = await target.tcp()
        client.write(post(target, b"{", "Content-Type: application/json", "Content-Length: 9"))
    assert (await call(target, b"{}")).status == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz"])
async def test_other_methods_are_refused(target: Target, method: str, path: str) -> None:
    answer = await exchange(target, f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert answer is not None
    assert answer.status in (204, 405)


@pytest.mark.parametrize(
    "response",
    [
        {"status": 0},
        {"status": -1},
        {"status": 99},
        {"status": 101},
        {"status": 204, "body": {"a": 1}},
        {"status": 304, "body": {"a": 1}},
        {"status": 600},
        {"status": 1e308},
        {"status": 2**63},
        {"status": "200"},
        {"status": True},
        {"status": [200]},
        {"status": 200, "body": "text"},
        {"status": 200, "body": {"__proto__": {"a": "\0\ud800"}}},
        {"body": [1]},
        [],
        "x",
        7,
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_an_odd_webhook_response_of_a_worker_is_still_a_whole_http_response(
    target: Target, response: Any
) -> None:
    worker = await target.worker()
    queue = await worker.join("worker:queue")
    flow = target.waiting.workflow()
    path = f"/i/{flow.triggers['webhook']}"
    calling = asyncio.create_task(call(target, b"{}", path=path))
    runs: list[Any] = []
    while not runs:  # what is told may be the work of an earlier test
        await queue.assert_broadcast("work-available", timeout=10)
        runs = (await queue.call("claim", {"demand": 1}))["runs"]
    (offer,) = runs
    run = await worker.join(f"run:{offer['id']}", {"token": offer["token"]})
    step = {"step_id": offer["id"], "job_id": str(flow.jobs["first"])}
    await run.call("step:start", step)
    end = {"reason": "success", "output_dataclip_id": offer["id"], "output_dataclip": "{}"}
    await run.call("step:complete", step | end | {"webhook_response": response})
    await run.call("run:complete", {"reason": "success", "final_state": {}})
    assert 200 <= (await calling).status <= 599
