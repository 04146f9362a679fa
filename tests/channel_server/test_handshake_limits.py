"""Tokens, origins and limits of the opening handshake: phoenix-protocol 1.3, 1.4 and 15."""

import asyncio
import base64

import pytest

from channel_server.endpoint import Endpoint, Mount
from channel_server.limits import SocketLimits
from tests.channel_server.recorder import Asking, Raw, Recorder, Serve, ask

# Subprotocols and auth token.


def offer(*entries: str) -> tuple[str, str]:
    return "Sec-WebSocket-Protocol", ", ".join(entries)


def bearer(token: str, *, urlsafe: bool = False) -> str:
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    return "base64url.bearer.phx." + encode(token.encode()).decode().rstrip("=")


TOKEN = "s\u00fc\u00df~~???>>>token"  # its base64 has both characters that the alphabets differ in


@pytest.mark.parametrize("urlsafe", [False, True])
async def test_the_auth_token_is_taken_in_both_alphabets_and_never_echoed(
    serve: Serve, raw: Raw, recorder: type[Recorder], urlsafe: bool
) -> None:
    endpoint = await serve(recorder, auth_token=True)
    entry = bearer(TOKEN, urlsafe=urlsafe)
    answer = await ask(raw, endpoint, "/socket/websocket", offer("phoenix", entry))
    assert answer.status == 101
    assert answer.headers["sec-websocket-protocol"] == "phoenix"
    assert recorder.calls[0][1].auth_token == TOKEN


async def test_only_the_token_offered_echoes_nothing(
    serve: Serve, raw: Raw, recorder: type[Recorder]
) -> None:
    endpoint = await serve(recorder, auth_token=True)
    answer = await ask(raw, endpoint, "/socket/websocket", offer(bearer("t")))
    assert answer.status == 101
    assert "sec-websocket-protocol" not in answer.headers
    assert recorder.calls[0][1].auth_token == "t"


@pytest.mark.parametrize("entries", [("phoenix",), ("phoenix", bearer("a"), bearer("b"))])
async def test_zero_or_several_tokens_are_no_token(
    serve: Serve, raw: Raw, recorder: type[Recorder], entries: tuple[str, ...]
) -> None:
    endpoint = await serve(recorder, auth_token=True)
    assert (await ask(raw, endpoint, "/socket/websocket", offer(*entries))).status == 101
    assert recorder.calls[0][1].auth_token is None


@pytest.mark.parametrize("entry", ["base64url.bearer.phx.%%%", "base64url.bearer.phx.gICA"])
async def test_an_undecodable_token_is_403(
    serve: Serve, raw: Raw, recorder: type[Recorder], entry: str
) -> None:
    endpoint = await serve(recorder, auth_token=True)
    answer = await ask(raw, endpoint, "/socket/websocket", offer("phoenix", entry))
    assert (answer.status, answer.body) == (403, "auth token cannot be decoded")
    assert recorder.calls == []


async def test_no_offered_subprotocol_matches_is_403_with_auth_token(
    serve: Serve, raw: Raw, recorder: type[Recorder]
) -> None:
    endpoint = await serve(recorder, auth_token=True)
    assert (await ask(raw, endpoint, "/socket/websocket", offer("sip"))).status == 403


async def test_without_auth_token_and_subprotocols_the_header_is_ignored(
    serve: Serve, raw: Raw, recorder: type[Recorder]
) -> None:
    endpoint = await serve(recorder)
    answer = await ask(raw, endpoint, "/socket/websocket", offer("phoenix", bearer("t")))
    assert answer.status == 101
    assert "sec-websocket-protocol" not in answer.headers
    assert recorder.calls[0][1].auth_token is None


async def test_configured_subprotocols_refuse_only_what_does_not_match(
    serve: Serve, raw: Raw, recorder: type[Recorder]
) -> None:
    endpoint = await serve(recorder, subprotocols=("sip", "xmpp"))
    assert (await ask(raw, endpoint, "/socket/websocket")).status == 101
    assert (await ask(raw, endpoint, "/socket/websocket", offer("mqtt"))).status == 403
    answer = await ask(raw, endpoint, "/socket/websocket", offer("xmpp", "sip"))
    assert answer.headers["sec-websocket-protocol"] == "sip"


# connect_info.


async def test_connect_info_has_the_listed_headers_and_no_cookies(
    serve: Serve, raw: Raw, recorder: type[Recorder]
) -> None:
    endpoint = await serve(recorder)
    await ask(
        raw,
        endpoint,
        "/socket/websocket?vsn=2.0.0&a=1",
        ("X-Request-Id", "r1"),
        ("traceparent", "00-1-2-01"),
        ("User-Agent", "test"),
        ("Cookie", "session=1"),
        ("Authorization", "Basic x"),
    )
    info = recorder.calls[0][1]
    assert info.peer is not None
    assert info.peer[0] == "127.0.0.1"
    assert (info.scheme, info.host, info.port) == ("ws", "127.0.0.1", endpoint.port)
    assert (info.path, info.query) == ("/socket/websocket", "vsn=2.0.0&a=1")
    assert info.x_headers == {"x-request-id": "r1"}
    assert info.trace_context_headers == {"traceparent": "00-1-2-01"}
    assert info.sec_websocket_headers["sec-websocket-version"] == "13"
    assert info.user_agent == "test"
    assert "session" not in repr(info)
    assert "Basic" not in repr(info)


async def test_forwarded_headers_are_believed_only_from_listed_proxies(
    serve: Serve, raw: Raw, recorder: type[Recorder]
) -> None:
    forwarded = (
        ("X-Forwarded-For", "6.6.6.6, 203.0.113.7"),
        ("X-Forwarded-Proto", "https"),
    )
    untrusting = await serve(recorder)
    await ask(raw, untrusting, "/socket/websocket", *forwarded)
    info = recorder.calls[-1][1]
    assert info.peer is not None
    assert (info.peer[0], info.scheme) == ("127.0.0.1", "ws")
    trusting = await serve(recorder, endpoint={"trusted_proxies": ["127.0.0.0/8"]})
    await ask(raw, trusting, "/socket/websocket", *forwarded)
    info = recorder.calls[-1][1]
    assert info.peer is not None
    assert (info.peer[0], info.scheme) == ("203.0.113.7", "wss")


# Limits and readiness.


async def test_too_many_connections_of_an_address_are_429_until_one_closes(
    serve: Serve, raw: Raw, recorder: type[Recorder]
) -> None:
    endpoint = await serve(recorder, max_connections_per_address=2)
    first = await raw(endpoint)
    assert (await first.upgrade("/socket/websocket")).status == 101
    assert (await ask(raw, endpoint, "/socket/websocket")).status == 101
    answer = await ask(raw, endpoint, "/socket/websocket")
    assert (answer.status, answer.body) == (429, "too many connections from this address")
    first.send(8, b"\x03\xe8")
    await first.ended()
    assert (await ask(raw, endpoint, "/socket/websocket")).status == 101


async def test_refused_handshakes_do_not_count_as_connections(serve: Serve, raw: Raw) -> None:
    endpoint = await serve(Asking, max_connections_per_address=1)
    for _ in range(3):
        client = await raw(endpoint)
        answer = await client.upgrade("/socket/websocket?do=refuse")
        assert answer.status == 403
        await client.ended()
    assert (await ask(raw, endpoint, "/socket/websocket")).status == 101


async def test_not_ready_is_503(serve: Serve, raw: Raw, recorder: type[Recorder]) -> None:
    endpoint = await serve(recorder)
    endpoint.ready = False
    answer = await ask(raw, endpoint, "/socket/websocket")
    assert (answer.status, answer.body) == (503, "not ready")
    client = await raw(endpoint)
    assert (await client.request("/socket/websocket")).status == 503
    endpoint.ready = True
    assert (await ask(raw, endpoint, "/socket/websocket")).status == 101


async def test_refusals_are_counted_by_reason(
    serve: Serve, raw: Raw, recorder: type[Recorder]
) -> None:
    endpoint = await serve(recorder)
    await ask(raw, endpoint, "/socket/websocket?vsn=9")
    await ask(raw, endpoint, "/socket/websocket", ("Origin", "https://evil.example"))
    assert endpoint.metrics.refusals == {"vsn": 1, "origin": 1}


async def test_policies_belong_to_the_mount(raw: Raw, recorder: type[Recorder]) -> None:
    endpoint = Endpoint(
        [
            Mount("/strict", recorder, SocketLimits(check_origin=("good.example",))),
            Mount("/open", recorder, SocketLimits(check_origin="any")),
        ],
        port=0,
    )
    await endpoint.start()
    try:
        evil = ("Origin", "https://evil.example")
        assert (await ask(raw, endpoint, "/open/websocket", evil)).status == 101
        assert (await ask(raw, endpoint, "/strict/websocket", evil)).status == 403
    finally:
        await endpoint.stop(drain=False)


# Heads of requests.


async def test_half_a_request_is_cut_at_the_handshake_timeout(
    serve: Serve, raw: Raw, recorder: type[Recorder]
) -> None:
    endpoint = await serve(recorder, handshake_timeout=0.1)
    client = await raw(endpoint)
    client.write(b"GET /socket/webso")
    assert await asyncio.wait_for(client.reader.read(), 5) == b""


@pytest.mark.parametrize("count", [10_000, 129])
async def test_too_many_headers_are_431(
    serve: Serve, raw: Raw, recorder: type[Recorder], count: int
) -> None:
    endpoint = await serve(recorder)
    headers = [("X-A", "b")] * count
    assert (await ask(raw, endpoint, "/socket/websocket", *headers)).status == 431


@pytest.mark.parametrize(
    "name", ["Origin", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Cookie"]
)
async def test_huge_headers_are_refused(
    serve: Serve, raw: Raw, recorder: type[Recorder], name: str
) -> None:
    endpoint = await serve(recorder, auth_token=True, compression=True)
    answer = await ask(raw, endpoint, "/socket/websocket", (name, " " * 32_000 + "x"))
    assert 400 <= answer.status < 500 or answer.status == 101
    answer = await ask(raw, endpoint, "/socket/websocket", (name, "x" * 32_000))
    assert 400 <= answer.status < 500


async def test_what_is_no_http_is_400(serve: Serve, raw: Raw, recorder: type[Recorder]) -> None:
    client = await raw(await serve(recorder))
    client.write(b"\x16\x03\x01 not http\r\n\r\n")
    assert (await client.response()).status == 400


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Length", "5")],
        [("Transfer-Encoding", "chunked")],
        [("Transfer-Encoding", "chunked"), ("Content-Length", "5")],
        [("Content-Length", "5"), ("Content-Length", "6")],
    ],
    ids=["length", "chunked", "both", "two lengths"],
)
async def test_an_upgrade_request_with_a_body_is_refused(
    serve: Serve, raw: Raw, recorder: type[Recorder], headers: list[tuple[str, str]]
) -> None:
    endpoint = await serve(recorder)
    assert (await ask(raw, endpoint, "/socket/websocket", *headers)).status == 400
    assert recorder.calls == []


async def test_a_path_that_is_no_utf8_is_not_found(
    serve: Serve, raw: Raw, recorder: type[Recorder]
) -> None:
    endpoint = await serve(recorder, path="/:tenant")
    assert (await ask(raw, endpoint, "/%ff/websocket")).status == 404


async def test_an_unreadable_host_header_is_no_host(
    serve: Serve, raw: Raw, recorder: type[Recorder]
) -> None:
    endpoint = await serve(recorder)
    assert (await ask(raw, endpoint, "/socket/websocket", ("Host", "a:port"))).status == 101
    assert (recorder.calls[0][1].host, recorder.calls[0][1].port) == ("", None)


async def test_two_origin_headers_are_refused(
    serve: Serve, raw: Raw, recorder: type[Recorder]
) -> None:
    endpoint = await serve(recorder)
    good = ("Origin", f"http://127.0.0.1:{endpoint.port}")
    assert (await ask(raw, endpoint, "/socket/websocket", good)).status == 101
    assert (await ask(raw, endpoint, "/socket/websocket", good, good)).status == 403


async def test_an_origin_may_be_required(serve: Serve, raw: Raw, recorder: type[Recorder]) -> None:
    endpoint = await serve(recorder, require_origin=True)
    assert (await ask(raw, endpoint, "/socket/websocket")).status == 403


async def test_a_cookie_does_not_help_an_evil_origin_with_the_default_limits(
    serve: Serve, raw: Raw, recorder: type[Recorder]
) -> None:
    endpoint = await serve(recorder)
    answer = await ask(
        raw,
        endpoint,
        "/socket/websocket",
        ("Origin", "https://evil.example"),
        ("Cookie", "session=valid"),
    )
    assert answer.status == 403
    assert recorder.calls == []
