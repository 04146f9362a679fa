"""Requests that are cut off when the server ends: an answer in place of a traceback.

The port gives up on who is not answered in time after the drain, by cancelling the request. A call
that waits for the database then gets 503; whether it had its effect is not known.
"""

import asyncio
import math
from typing import Final

import msgspec
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from handlers.http.errors import MEDIA_TYPE, RETRY_AFTER, problem_response

DRAINING: Final = 503
DETAIL: Final = "The server was shut down before the request was answered; its effect is unknown."


class CutOff:
    """An ASGI application that answers requests whose task is cancelled.

    Args:
        app: Answers the others.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        begun = False

        async def note(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, note)
        except asyncio.CancelledError:
            if scope["type"] != "http" or begun:
                raise
            await _answer(send)


async def _answer(send: Send) -> None:
    problem = problem_response("draining", DETAIL, status=DRAINING, retry_after=RETRY_AFTER)
    body = msgspec.json.encode(problem.content)
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", str(math.ceil(RETRY_AFTER)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": DRAINING, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
