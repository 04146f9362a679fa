"""``runs list``, ``show`` and ``watch``."""

import argparse
import asyncio
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import msgspec
from rich.text import Text

from handlers.cli import exit_codes
from handlers.cli.dashboard import server_url
from handlers.cli.database import accept, open_repo
from handlers.cli.environment import load_settings
from handlers.cli.errors import CommandError
from handlers.cli.lookup import find_project, find_workflow, run_id
from handlers.cli.output import Output
from handlers.cli.waiting import Waiter
from handlers.config import Settings
from schema import views
from schema.reading import run_list
from schema.reading.run_list import RunFilter, RunPage
from schema.repo import Repo


def list_runs(options: argparse.Namespace, out: Output) -> int:
    """List runs, newest first."""
    page = asyncio.run(_page(options, load_settings()))
    runs: list[dict[str, Any]] = [msgspec.json.decode(text) for text in page.runs_json]
    rows = [
        (
            run["id"],
            run["state"],
            run["project_name"],
            run["workflow_name"],
            _moment(run["inserted_at"]),
            _seconds(run["started_at"], run["finished_at"]),
            run["error_type"],
        )
        for run in runs
    ]
    data = {"runs": runs, "after": page.next}
    out.table(("run", "state", "project", "workflow", "created", "took", "error"), rows, data)
    if page.next and not out.as_json:
        out.note(f"there are more: --after {page.next}")
    return exit_codes.OK


async def _page(options: argparse.Namespace, settings: Settings) -> RunPage:
    async with open_repo(settings) as repo:
        project = await find_project(repo, options.project) if options.project else None
        workflow: UUID | None = None
        if options.workflow:
            workflow = (await find_workflow(repo, options.workflow, options.project)).id
        wanted = RunFilter(
            projects=None if project is None else [project],
            workflow=workflow,
            states=options.state or (),
            worker=options.worker,
            text=options.search,
        )
        answer = await run_list.page(repo, wanted, cursor=options.after, limit=options.limit)
        return accept(answer, "The runs cannot be listed.")


def show(options: argparse.Namespace, out: Output) -> int:
    """Show a run, its steps and logs."""
    run, logs = asyncio.run(_whole(run_id(options.run_id), load_settings()))
    if out.as_json:
        out.data({"run": run, "logs": logs})
        return exit_codes.OK
    out.table(("", ""), [(name, run.get(name)) for name in _SHOWN if run.get(name)], None)
    steps = cast("list[dict[str, Any]]", run["steps"])
    if steps:
        out.say(Text("\nsteps", style="bold"))
        rows = [
            (_job(step), step["exit_reason"] or "started", step["error_type"]) for step in steps
        ]
        out.table(("job", "state", "error"), rows, None)
    if logs:
        out.say(Text("\nlogs", style="bold"))
        for line in logs:
            out.say(f"{line['timestamp'][11:23]} {line['level'] or '-':<7} {line['message']}")
    return exit_codes.OK


_SHOWN = (
    "id",
    "state",
    "error_type",
    "error_message",
    "created_by",
    "worker_name",
    "inserted_at",
    "claimed_at",
    "started_at",
    "finished_at",
    "work_order_id",
)


async def _whole(run: UUID, settings: Settings) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    async with open_repo(settings) as repo:
        view = accept(await views.run(repo, run), "The run cannot be read.")
        if view is None:
            raise _unknown(run)
        logs = accept(await views.logs(repo, run), "The logs cannot be read.")
    return msgspec.json.decode(view.payload_json)["run"], msgspec.json.decode(logs)["logs"]


def watch(options: argparse.Namespace, out: Output) -> int:
    """Watch a run until it is over."""
    return asyncio.run(_watch(options, load_settings(), out))


async def _watch(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    run = run_id(options.run_id)
    async with open_repo(settings) as repo:
        project = await project_of(repo, run)
    waiter = Waiter(out)
    async with waiter.connected(settings, server_url(settings, options.url), project):
        return await waiter.watch(str(run), {"run_id": str(run)})


async def project_of(repo: Repo, run: UUID) -> UUID:
    """Return the project of a run.

    Raises:
        CommandError: There is no such run.
    """
    project = accept(await views.project_of(repo, run), "The run cannot be read.")
    if project is None:
        raise _unknown(run)
    return project


def _unknown(run: UUID) -> CommandError:
    return CommandError(f"There is no run {run}.", hint="`channel-server runs list` shows the ids")


def _job(step: dict[str, Any]) -> str:
    job: dict[str, Any] = step.get("job") or {}
    return str(job.get("name") or step["job_id"])


def _moment(text: str) -> str:
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _seconds(start: str | None, end: str | None) -> str | None:
    if start is None or end is None:
        return None
    took = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    return f"{took.total_seconds():.1f} s"
