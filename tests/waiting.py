"""Waiting for what tells nobody when it has happened."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable

PAUSE = 0.002
"""Seconds between two looks: who looks all the time takes the processor from what is waited for."""


async def until(
    condition: "Callable[[], object | Awaitable[object]]", patience: float = 30.0
) -> None:
    """Wait until a condition holds.

    Args:
        condition: Asked again and again; may be asynchronous.
        patience: Seconds to wait.

    Raises:
        TimeoutError: It did not hold in time.
    """
    async with asyncio.timeout(patience):
        while not await _answer(condition()):  # noqa: ASYNC110 (nothing tells of it)
            await asyncio.sleep(PAUSE)


async def _answer(asked: "object | Awaitable[object]") -> object:
    return await asked if isawaitable(asked) else asked
