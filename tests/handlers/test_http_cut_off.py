"""Requests that the end of the server cuts off."""

import asyncio
from typing import Any

import msgspec
import pytest
from litestar.types import Receive, Scope, Send

from handlers.http.cut_off import CutOff

SCOPE: Any = {"type": "http", "path": "/i/trigger", "method": "POST"}


async def cut(app: Any, waiting: asyncio.Event) -> tuple[asyncio.Task[None], list[Any]]:
    """Ask, and cancel the request once it waits; what was sent."""
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("nobody reads the body")

    async def send(message: Any) -> None:
        sent.append(message)

    task = asyncio.create_task(CutOff(app)(SCOPE, receive, send))
    await waiting.wait()
    task.cancel()
    await asyncio.wait([task])
    return task, sent


async def test_a_request_that_is_cut_off_is_answered_503_and_raises_nothing() -> None:
    waiting = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        waiting.set()
        await asyncio.Event().wait()

    task, sent = await cut(app, waiting)
    assert task.exception() is None
    assert sent[0]["status"] == 503
    assert dict(sent[0]["headers"])[b"retry-after"] == b"2"
    body = msgspec.json.decode(sent[1]["body"])
    assert body["code"] == "draining"
    assert "unknown" in body["detail"]


async def test_an_answer_that_has_begun_is_not_answered_twice() -> None:
    waiting = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        waiting.set()
        await asyncio.Event().wait()

    task, sent = await cut(app, waiting)
    assert task.cancelled()
    assert [message["type"] for message in sent] == ["http.response.start"]
    with pytest.raises(asyncio.CancelledError):
        task.result()
