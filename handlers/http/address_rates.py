"""How often one address may ask, whatever it asks for; probes always get their answer."""

import math
from typing import Final

import msgspec
from litestar.types import ASGIApp, Receive, Scope, Send

from channel_server.rate_limit import Buckets, address_key
from handlers.http.errors import MEDIA_TYPE, problem_response
from handlers.request_rates import wait_for

PROBES: Final = frozenset({"/healthz", "/readyz"})


class AddressRates:
    """An ASGI application that answers 429 to an address that asks too often.

    Args:
        app: Answers the others.
        buckets: By address. Behind a proxy that is not listed, all clients are one address.
    """

    def __init__(self, app: ASGIApp, buckets: Buckets) -> None:
        self.app = app
        self._buckets = buckets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http" and scope["path"] not in PROBES:
            client = scope.get("client")
            wait = 0.0 if client is None else wait_for(self._buckets, address_key(client[0]))
            if wait:
                await _refuse(send, wait)
                return
        await self.app(scope, receive, send)


async def _refuse(send: Send, wait: float) -> None:
    problem = problem_response("rate_limited", retry_after=wait)
    body = msgspec.json.encode(problem.content)
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", str(math.ceil(wait)).encode()),
    ]
    await send({"type": "http.response.start", "status": 429, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
