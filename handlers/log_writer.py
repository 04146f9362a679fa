"""Stores log lines of many runs with few commits.

While a statement is under way, the lines that arrive meanwhile wait, and then share the next one. A
lone line waits for nobody. Each message of a worker is still judged for itself, and the lines of a
run keep their order, because a run channel handles one message at a time.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, cast

from schema import log_lines
from schema.log_lines import Batch, Logged, LogLine
from schema.outcomes import Owner
from schema.refused import Refused
from schema.repo import Repo

STATEMENTS: Final = 2
"""Statements under way at one time: one commits while the next one is sent."""

LARGEST: Final = 256
"""Messages of workers in one statement."""

_Waiting = tuple[Batch, "asyncio.Future[Logged | Refused]"]


class LogWriter:
    """Group commit for log lines.

    Args:
        repo: where to.
    """

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._waiting: list[_Waiting] = []
        self._running: set[asyncio.Task[None]] = set()

    async def write(self, owner: Owner, lines: Sequence[LogLine]) -> Logged | Refused:
        """Store the lines of one message, all or none; see `schema.log_lines.insert`.

        Raises:
            Exception: a bug of ours, as the schema raised it; other messages are not affected.
        """
        future: asyncio.Future[Logged | Refused] = asyncio.get_running_loop().create_future()
        self._waiting.append((Batch(owner, lines), future))
        if len(self._running) < STATEMENTS:
            task = asyncio.create_task(self._work())
            self._running.add(task)
        return await future

    async def _work(self) -> None:
        try:
            while self._waiting:
                taken, self._waiting = self._waiting[:LARGEST], self._waiting[LARGEST:]
                await self._store(taken)
        finally:
            # Not in a callback of the task: whoever has its answer now may write before that, and
            # would take this one for somebody who still looks.
            self._running.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _store(self, taken: Sequence[_Waiting]) -> None:
        try:
            results = await log_lines.insert_many_runs(self._repo, [batch for batch, _ in taken])
        except Exception as error:
            await self._one_by_one(taken, error)
        else:
            for (_, future), result in zip(taken, results, strict=True):
                _settle(future, result)

    async def _one_by_one(self, taken: Sequence[_Waiting], error: Exception) -> None:
        """Find out whose lines the bug is about, so that the others do not suffer."""
        if len(taken) == 1:
            _settle(taken[0][1], error)
            return
        for batch, future in taken:
            try:
                result = await log_lines.insert(self._repo, batch.owner, batch.lines)
            except Exception as own:
                _settle(future, own)
            else:
                _settle(future, result)


def _settle(
    future: "asyncio.Future[Logged | Refused]", result: Logged | Refused | Exception
) -> None:
    if future.done():
        return
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
