"""Pages of other sites: who may open a dashboard socket from a browser."""

import pytest

from channel_server.endpoint import Endpoint
from channel_server.socket import Socket
from channel_server.testing.raw import RawClient, Response
from tests.attack.conftest import Serve
from tests.attack.target import Target, alive

OTHERS = [
    ("null", "null"),
    ("a file", "file://"),
    ("a file of a host", "file://127.0.0.1x/"),
    ("empty", ""),
    ("another site", "https://evil.example"),
    ("our host as a subdomain", "http://127.0.0.1.evil.example"),
    ("our host as a suffix", "http://evil-127.0.0.1"),
    ("our host as a prefix", "http://127.0.0.1evil.example"),
    ("our host as the user", "http://127.0.0.1@evil.example"),
    ("our host and port as the user", "http://127.0.0.1:4000@evil.example"),
    ("our host in the path", "http://evil.example/127.0.0.1"),
    ("our host in the query", "http://evil.example?127.0.0.1"),
    ("our host in the fragment", "http://evil.example#127.0.0.1"),
    ("a trailing dot", "http://127.0.0.1."),
    ("a short form of our address", "http://127.1"),
    ("our address as a number", "http://2130706433"),
    ("our address in octal", "http://0177.0.0.1"),
    ("our address in ipv6", "http://[::ffff:127.0.0.1]"),
    ("ipv6 loopback", "http://[::1]"),
    ("broken ipv6", "http://[::1"),
    ("another name of this machine", "http://localhost"),
    ("no scheme", "127.0.0.1"),
    ("two origins in one header", "http://127.0.0.1 https://evil.example"),
    ("two origins with a comma", "http://127.0.0.1, https://evil.example"),
    ("javascript", "javascript:alert(1)"),
    ("a wildcard", "*"),
    ("a wildcard label", "http://*.0.0.1"),
    ("a port that is none", "http://127.0.0.1:evil"),
    ("a port out of range", "http://127.0.0.1:99999"),
    ("full-width digits", "http://\uff1127.0.0.1"),
    ("a backslash before our host", "http://evil.example\\@127.0.0.1"),
    ("a user at our host", "http://evil.example@127.0.0.1"),
    ("a tab inside our host", "http://127.0.\t0.1"),
]


@pytest.mark.parametrize("origin", [case[1] for case in OTHERS], ids=[case[0] for case in OTHERS])
async def test_a_page_of_another_site_is_refused_even_with_a_genuine_token(
    target: Target, origin: str
) -> None:
    client = await target.tcp()
    answer = await client.upgrade(target.path("socket"), [("Origin", origin)])
    assert (answer.status, answer.body) == (403, "origin not allowed")


@pytest.mark.parametrize(
    "origin",
    [None, "http://127.0.0.1", "https://127.0.0.1", "http://127.0.0.1:8080", "HTTP://127.0.0.1"],
)
async def test_our_own_host_and_programs_without_an_origin_are_let_in(
    target: Target, origin: str | None
) -> None:
    client = await target.tcp()
    headers = [] if origin is None else [("Origin", origin)]
    assert (await client.upgrade(target.path("socket"), headers)).status == 101
    await alive(client)


async def test_two_origin_headers_are_refused(target: Target) -> None:
    for second in ("http://127.0.0.1", "https://evil.example"):
        client = await target.tcp()
        headers = [("Origin", "http://127.0.0.1"), ("Origin", second)]
        assert (await client.upgrade(target.path("socket"), headers)).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Forwarded-Host", "evil.example")],
        [("X-Original-Host", "evil.example")],
        [("Forwarded", "host=evil.example")],
        [("X-Host", "evil.example")],
    ],
    ids=lambda headers: headers[0][0],
)
async def test_no_header_but_host_says_what_our_host_is(
    target: Target, headers: list[tuple[str, str]]
) -> None:
    client = await target.tcp()
    evil = ("Origin", "https://evil.example")
    assert (await client.upgrade(target.path("socket"), [evil, *headers])).status == 403


async def test_two_host_headers_match_no_origin(target: Target) -> None:
    client = await target.tcp()
    headers = [
        ("Host", "127.0.0.1"),
        ("Host", "evil.example"),
        ("Origin", "https://evil.example"),
    ]
    assert (await client.upgrade(target.path("socket"), headers)).status in (400, 403)


async def test_a_cookie_opens_nothing_with_or_without_an_evil_origin(target: Target) -> None:
    cookie = ("Cookie", f"token={target.user_token()}; session={target.user_token()}")
    for headers in ([cookie], [cookie, ("Origin", "https://evil.example")]):
        client = await target.tcp()
        answer = await client.upgrade("/socket/websocket?vsn=2.0.0", headers)
        assert answer.status == 403


class OpenSocket(Socket):
    """Lets everybody in, so that only the origin decides."""


PATTERNS = ("https://app.example.com", "*.example.org", "//[2001:db8::1]")


async def ask(endpoint: Endpoint, origin: str) -> Response:
    async with RawClient(endpoint.host, endpoint.port) as client:
        return await client.upgrade("/socket/websocket?vsn=2.0.0", [("Origin", origin)])


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://app.example.com", 101),
        ("https://APP.EXAMPLE.COM", 101),
        ("https://app.example.com:443", 101),
        ("http://app.example.com", 403),
        ("https://app.example.com:8443", 403),
        ("https://app.example.com.", 403),
        ("https://app.example.com.evil.com", 403),
        ("https://evil-app.example.com", 403),
        ("https://example.com", 403),
        ("https://deep.app.example.com", 403),
        ("https://example.org", 101),
        ("https://a.b.example.org", 101),
        ("https://evilexample.org", 403),
        ("https://example.org.evil.com", 403),
        ("https://*.example.org", 403),
        ("https://example.org.", 403),
        ("https://.example.org", 403),
        ("http://[2001:db8::1]:8080", 101),
        ("http://[2001:DB8::1]", 101),
        ("http://[2001:db8::2]", 403),
        ("null", 403),
        ("file://", 403),
    ],
)
async def test_listed_origins_match_exactly(serve: Serve, origin: str, status: int) -> None:
    endpoint = await serve(OpenSocket, check_origin=PATTERNS)
    assert (await ask(endpoint, origin)).status == status
