"""Event streams of jobs and pipelines: what changed, as it happens, until it is over.

A stream holds no connection to the database, not even while it looks. It is woken by the engine's
events and looks by itself once per interval, so a lost event costs that long. It ends when the
work is over (``stream_closed``), when the client is gone, when the server drains, with its token,
and after its longest life at the latest; browsers then come back by themselves.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final

import msgspec

from handlers.config import Settings
from handlers.pipeline_feed import PipelineFeed, PipelinesUnavailableError

UPDATE: Final = "pipeline-update"
HEADERS: Final = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
MEDIA_TYPE: Final = "text/event-stream"

_SILENT: Final = frozenset({"meta", "locked_at", "locked_by", "updated_at"})
"""Fields of a pipeline's jobs whose change alone is not told: heartbeats would be."""

Subscribe = Callable[[Callable[[Any], None]], Callable[[], None]]
Look = Callable[[], Awaitable[dict[str, Any] | None]]


class Watched(msgspec.Struct, frozen=True):
    """What a stream watches.

    Attributes:
        event: Name of its events; None sends unnamed ones.
        look: Reads it; None when it is gone.
        over: Whether nothing more will happen to what was read.
        essence: What must differ for it to be sent again.
        subscribe: Registers a function that is called when something may have changed.
    """

    event: str | None
    look: Look
    over: Callable[[dict[str, Any]], bool]
    essence: Callable[[dict[str, Any]], Any]
    subscribe: Subscribe


def frame(event: str | None, data: Any) -> bytes:
    """Return one event as it goes over the wire."""
    name = b"" if event is None else b"event: " + event.encode() + b"\n"
    return name + b"data: " + msgspec.json.encode(data) + b"\n\n"


async def stream(
    watched: Watched,
    feed: PipelineFeed,
    settings: Settings,
    expires_at: float | None = None,
    may_stay: Callable[[], bool] = lambda: True,
) -> AsyncGenerator[bytes]:
    """Yield the events of one client.

    Args:
        watched: What it watches.
        feed: Where that is read; when it closes, so does the stream.
        settings: How often is looked, and how long it lasts at most.
        expires_at: Unix seconds at which its token ends, and the stream with it.
        may_stay: Asked at each look; when it says no, as for a revoked token, the stream ends.
    """
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()
    unsubscribe = watched.subscribe(lambda _event: woken.set())
    life = settings.stream_lifetime
    if expires_at is not None:
        life = min(life, expires_at - time.time())
    ends = loop.time() + life
    told: Any = None
    spoke, over = loop.time(), False
    try:
        while not feed.closed.is_set() and loop.time() < ends and may_stay():
            woken.clear()
            try:
                wire = await watched.look()
            except PipelinesUnavailableError:
                wire = {}
            if wire is None:
                return
            if wire and over and watched.over(wire):
                yield frame(watched.event, {**wire, "stream_closed": True})
                return
            if wire and (essence := watched.essence(wire)) != told:
                told, spoke = essence, loop.time()
                yield frame(watched.event, wire)
            elif loop.time() - spoke >= settings.stream_ping:
                spoke = loop.time()
                yield frame("ping", {})
            over = bool(wire) and watched.over(wire)
            rest = max(0.0, ends - loop.time())
            await wait_for_either(woken, feed.closed, min(settings.stream_interval, rest))
    finally:
        unsubscribe()


def pipeline_essence(wire: dict[str, Any]) -> Any:
    """Return what of a pipeline is worth an event."""
    jobs = [{k: v for k, v in job.items() if k not in _SILENT} for job in wire["jobs"]]
    return {**wire, "jobs": jobs, "updated_at": None}


def job_essence(wire: dict[str, Any]) -> Any:
    """Return what of a job is worth an event: all but its heartbeat."""
    return {**wire, "locked_at": None}


async def wait_for_either(woken: asyncio.Event, closed: asyncio.Event, seconds: float) -> None:
    """Wait until one of two events is set, or the time is over."""
    waits = [asyncio.ensure_future(event.wait()) for event in (woken, closed)]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
