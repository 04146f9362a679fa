"""HEAD: what GET would answer, without the body.

A stream ends with its head: the server tells it that the answer is complete, as if the client went.
"""

from litestar.types import ASGIApp, Message, Receive, Scope, Send


class Head:
    """An ASGI application that answers HEAD with what another answers to GET.

    Args:
        app: The other.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        over = False

        async def send_head(message: Message) -> None:
            nonlocal over
            if message["type"] == "http.response.body":
                if over:
                    return
                over = True
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        await self.app({**scope, "method": "GET"}, receive, send_head)
