"""The headers of every answer: of controllers, of the page, of the framework's errors."""

from typing import Final

from litestar.types import ASGIApp, Message, Receive, Scope, Send

Headers = list[tuple[bytes, bytes]]

SECURITY_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)
"""What every answer carries unless it says otherwise: it is data, never a page."""

PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)
"""What the page may do: its own files and its own server, nothing inline. ``'self'`` covers the
websocket of the same origin."""


def missing(given: Headers) -> Headers:
    """Return those of :data:`SECURITY_HEADERS` that an answer does not have yet."""
    names = {name.lower() for name, _ in given}
    return [pair for pair in SECURITY_HEADERS if pair[0] not in names]


class SecurityHeaders:
    """An ASGI application that adds :data:`SECURITY_HEADERS` to the answers of another.

    Args:
        app: The other; headers that it sets itself are left alone.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                message["headers"] = [*given, *missing(given)]
            await send(message)

        await self.app(scope, receive, send_with_headers)
