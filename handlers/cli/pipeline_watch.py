"""Watching a pipeline over its channel: a bar on a terminal, a line per change elsewhere."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from channel_server.client import Client, ClientError, JoinRefused
from handlers.cli import exit_codes
from handlers.cli.dashboard import dashboard
from handlers.cli.errors import CommandError, unavailable
from handlers.cli.output import Output
from handlers.config import Settings

STYLES = {"SUCCESS": "green", "WARNING": "yellow", "PARTIAL": "yellow", "ERROR": "red",
          "FAILED": "red", "RUNNING": "yellow", "NOT_STARTED": "cyan"}  # fmt: skip
"""Colour of each state, result and status."""


class PipelineView:
    """What has been shown of a pipeline.

    Args:
        out: Where to; progress goes to its notes.
    """

    def __init__(self, out: Output) -> None:
        self._out = out
        self._told: dict[int, tuple[str, str | None]] = {}
        self._bar: Progress | None = None
        self._task: Any = None

    def __enter__(self) -> "PipelineView":
        if self._out.notes.is_terminal and not self._out.as_json:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[message]}", style="dim"),
                TimeElapsedColumn(),
                console=self._out.notes,
                transient=True,
            )
            self._task = self._bar.add_task("waiting", total=1, message="")
            self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, wire: dict[str, Any]) -> None:
        """Show a pipeline as it is now; what was shown before is not repeated."""
        progress, jobs = wire["progress"], wire["jobs"]
        if self._bar is not None:
            over = sum(job["state"] == "FINISHED" for job in jobs)
            message = next((job["status_message"] for job in jobs if job["state"] == "RUNNING"), "")
            label = f"{progress['phase']}/{progress['phases_total']} {progress['phase_label']}"
            self._bar.update(
                self._task, total=len(jobs), completed=over, description=label, message=message
            )
            return
        for job in jobs:
            news = (job["result"] or job["state"], job["status_message"])
            if self._told.get(job["job_id"]) != news:
                self._told[job["job_id"]] = news
                self._out.note(job_line(job))


def job_line(job: dict[str, Any]) -> Text:
    """Return one line about a job."""
    state = job["result"] or job["state"]
    message = job["status_message"] or ""
    det = "" if job["data_entry_type_id"] is None else f" {job['data_entry_type_id']}"
    name = f"{job['job_type']}{det}"
    return Text.assemble(f"{name:<24} ", (f"{state:<12}", STYLES.get(state, "")), message)


async def follow_pipeline(
    client: Client, pipeline_id: str, show: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Watch a pipeline until it is over, and return it as it is then.

    After a lost connection the snapshot of the new join is what is gone on from.

    Args:
        client: A connection to the dashboard socket.
        pipeline_id: The pipeline.
        show: Called with it, after each change.

    Raises:
        CommandError: The server refuses to show it, or is gone.
    """
    channel = client.channel(f"pipeline:{pipeline_id}")
    news: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    channel.on("pipeline-update", news.put_nowait)
    channel.on_join(news.put_nowait)
    try:
        await channel.join()
        while True:
            wire = await news.get()
            show(wire)
            if wire["progress"]["done"]:
                break
        await channel.leave()
    except JoinRefused as error:
        raise CommandError("The pipeline cannot be watched.", why=str(error)) from None
    except ClientError as error:
        raise unavailable("The server is gone.", why=str(error)) from None
    return wire


async def watch(settings: Settings, url: str, pipeline_id: str, out: Output) -> int:
    """Follow a pipeline to its end, print how it ended, and return the exit code."""
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(dashboard(settings, url, []))
        with PipelineView(out) as view:
            wire = await follow_pipeline(client, pipeline_id, view.show)
    text = Text.assemble(
        f"pipeline {pipeline_id}  ", (wire["status"], STYLES.get(wire["status"], ""))
    )
    if wire["progress"]["last_error"]:
        text.append(f"  {wire['progress']['last_error']}")
    out.result(wire, text)
    return exit_codes.OK if wire["status"] == "SUCCESS" else exit_codes.FAILED
