"""Reporting a run that was just created, and waiting for its end where that is wanted."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Any
from uuid import UUID

from rich.text import Text

from channel_server.client import Client
from handlers.cli import exit_codes
from handlers.cli.dashboard import dashboard, follow
from handlers.cli.output import Output
from handlers.cli.picture import RunPicture
from handlers.config import Settings
from schema.work_orders import Created


class Waiter:
    """Prints a run: at once, or when it is over if it was :meth:`connected` before."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._client: Client | None = None

    @contextlib.asynccontextmanager
    async def connected(self, settings: Settings, url: str, project: UUID) -> AsyncGenerator[None]:
        """Wait for runs at the server at ``url``.

        Raises:
            CommandError: It does not answer, or refuses us.
        """
        async with dashboard(settings, url, [project]) as client:
            self._client = client
            yield

    async def report(self, created: Created) -> int:
        """Print a new run, or follow it to its end; returns the exit code."""
        ids = {"run_id": str(created.run_id), "work_order_id": str(created.work_order_id)}
        if self._client is None:
            self._out.result(ids, f"run {created.run_id}")
            return exit_codes.OK
        return await self.watch(str(created.run_id), ids)

    async def watch(self, run_id: str, ids: dict[str, Any]) -> int:
        """Follow a run to its end, then print ``ids`` with its state; returns the exit code."""
        if self._client is None:
            raise RuntimeError("watch needs a connection")
        picture = RunPicture(run_id)
        self._out.note(Text(f"run {run_id}", style="bold"))
        await follow(self._client, picture, self._tell)
        if self._out.as_json:
            self._out.data({**ids, "state": picture.state, "error": picture.error})
        return exit_codes.OK if picture.succeeded else exit_codes.FAILED

    def _tell(self, _picture: RunPicture, news: list[Text]) -> None:
        for line in news:
            self._out.note(line)
