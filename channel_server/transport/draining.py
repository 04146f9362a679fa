"""Sending all clients away, without sending them away all at once."""

import asyncio
import random
from typing import Final

from channel_server.log import get_logger
from channel_server.transport.hub import Hub

log = get_logger(__name__)

_STEP: Final = 0.02
"""Seconds between two batches of closes; a window longer than this per client spares nobody."""


async def drain(hub: Hub, *, window: float, timeout: float) -> None:  # noqa: ASYNC109
    """Close all websockets with 1012, in random order and evenly over ``window`` seconds.

    Clients reconnect within milliseconds of a close, so the window is what keeps the next server
    from being hit by all of them at one moment. New ones are refused with 503 from the start. What
    is still open ``timeout`` seconds after the window is cut.
    """
    hub.draining = True
    waiting = list(hub.connections)
    random.shuffle(waiting)
    total = len(waiting)
    steps = max(1, min(total, round(window / _STEP)))
    for step in range(steps, 0, -1):
        batch = -(-len(waiting) // step)
        for connection in waiting[:batch]:
            connection.drain()
        del waiting[:batch]
        if not waiting:
            break
        await asyncio.sleep(min(_STEP, window / steps))
    await _wait_or_cut(hub, timeout)
    if total:
        log.info("endpoint_drained", connections=total)


async def _wait_or_cut(hub: Hub, timeout: float) -> None:  # noqa: ASYNC109
    try:
        async with asyncio.timeout(timeout):
            await hub.empty()
    except TimeoutError:
        left = list(hub.connections)
        log.warning("drain_timed_out", connections=len(left))
        for connection in left:
            connection.transport.abort()


async def close_all(hub: Hub, *, timeout: float) -> None:  # noqa: ASYNC109
    """Close all websockets with 1012 at once, without waiting for what is being handled."""
    hub.draining = True
    for connection in list(hub.connections):
        connection.shut()
    await _wait_or_cut(hub, timeout)
