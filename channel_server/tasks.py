"""Starting coroutines as tasks that are not garbage collected while they run."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

_running: set[asyncio.Task[None]] = set()

if sys.version_info >= (3, 12):

    def _start(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # Runs up to the first suspension at once, often to the end.
        loop = asyncio.get_running_loop()
        return asyncio.Task(coroutine, loop=loop, eager_start=True)

else:

    def _start(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(coroutine)


def spawn(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run a coroutine as a task; it must handle its own exceptions."""
    task = _start(coroutine)
    if not task.done():
        _running.add(task)
        task.add_done_callback(_running.discard)
    return task
