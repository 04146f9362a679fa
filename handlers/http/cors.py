"""Pages of other origins: refused by their browsers, unless a setting names the origin.

Tokens travel in a header, never in a cookie, so no answer ever allows credentials. An origin is
compared as a whole; there are no wildcards.
"""

from collections.abc import Iterable
from typing import Final

from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

METHODS: Final = b"GET, POST, DELETE"
REQUEST_HEADERS: Final = b"Authorization, Content-Type, If-None-Match, Last-Event-ID"
EXPOSED: Final = b"ETag, Location, Retry-After, Content-Disposition"
LASTS: Final = b"600"
"""Seconds for which a browser may remember what it may ask."""

_OF_API: Final = ("/api/", "/schema")


class Cors:
    """An ASGI application that lets pages of some origins use the API of another.

    Args:
        app: The other.
        origins: Exact origins, as ``https://example.org``; none by default.
    """

    def __init__(self, app: ASGIApp, origins: Iterable[str] = ()) -> None:
        self.app = app
        self._origins = frozenset(origin.rstrip("/").encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or not self._origins or not _is_api(scope):
            await self.app(scope, receive, send)
            return
        origin = next((value for name, value in scope["headers"] if name == b"origin"), b"")
        allowed = origin in self._origins
        if allowed and scope["method"] == "OPTIONS":
            await _preflight(origin, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = [(b"vary", b"Origin")]
                if allowed:
                    more += [
                        (b"access-control-allow-origin", origin),
                        (b"access-control-expose-headers", EXPOSED),
                    ]
                message["headers"] = [*message.get("headers", ()), *more]
            await send(message)

        await self.app(scope, receive, send_with_headers)


def _is_api(scope: HTTPScope) -> bool:
    return scope["path"].startswith(_OF_API)


async def _preflight(origin: bytes, send: Send) -> None:
    headers = [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", REQUEST_HEADERS),
        (b"access-control-max-age", LASTS),
        (b"vary", b"Origin"),
        (b"content-length", b"0"),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
