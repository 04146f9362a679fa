"""Waiting for what tells nobody when it has happened."""

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any

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


async def left_since(before: "set[asyncio.Task[Any]]", patience: float = 5.0) -> list[str]:
    """What was begun since then and does not end, by the names of its coroutines.

    Applications that outlive a test come and go with tasks of their own on the same loop; those end
    in a moment, and so does what was cancelled last.

    Args:
        before: All tasks of then.
        patience: Seconds until a task that has not ended counts as left behind.
    """
    since = asyncio.all_tasks() - before
    if not since:
        return []
    _, left = await asyncio.wait(since, timeout=patience)
    return sorted(str(task.get_coro()) for task in left)


async def _answer(asked: "object | Awaitable[object]") -> object:
    return await asked if isawaitable(asked) else asked
