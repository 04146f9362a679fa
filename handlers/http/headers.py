"""The headers of every answer: of controllers, of the router, of the framework's errors."""

from typing import Final

from litestar.types import ASGIApp, Message, Receive, Scope, Send

SECURITY_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
"""What every answer carries: it is data, never a page."""


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
                names = {name.lower() for name, _ in given}
                missing = [pair for pair in SECURITY_HEADERS if pair[0] not in names]
                message["headers"] = [*given, *missing]
            await send(message)

        await self.app(scope, receive, send_with_headers)
