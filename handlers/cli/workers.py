"""``workers list``: who is connected, and what each of them holds."""

import argparse
import asyncio
from typing import Any
from uuid import UUID

from handlers.cli import exit_codes
from handlers.cli.database import accept, open_repo
from handlers.cli.environment import load_settings
from handlers.cli.lookup import find_project
from handlers.cli.output import Output
from handlers.cli.parsing import add_command
from handlers.config import Settings
from schema.workers import Worker, connected


def register(commands: Any) -> None:
    """Add the commands."""
    workers = commands.add_parser("workers", help="list workers and what they hold")
    actions = workers.add_subparsers(metavar="ACTION", required=True)
    parser = add_command(
        actions,
        "list",
        list_workers,
        help="list workers that are connected, hold runs, or went a moment ago",
    )
    parser.add_argument("--project", help="name or id; count runs of this project only")


def list_workers(options: argparse.Namespace, out: Output) -> int:
    """List workers, those who are there first."""
    found = asyncio.run(_workers(options, load_settings()))
    rows = [
        (
            worker.id,
            worker.name,
            "online" if worker.online else "gone",
            worker.runs_held if worker.capacity is None else _load(worker),
            worker.version,
            worker.server,
            worker.seen_at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        )
        for worker in found
    ]
    head = ("worker", "name", "state", "runs", "version", "server", "seen")
    out.table(head, rows, {"workers": found})
    return exit_codes.OK


async def _workers(options: argparse.Namespace, settings: Settings) -> list[Worker]:
    async with open_repo(settings) as repo:
        projects: list[UUID] | None = None
        if options.project:
            projects = [await find_project(repo, options.project)]
        answer = await connected(repo, projects, gone_after_s=settings.worker_gone_after)
        return accept(answer, "The workers cannot be listed.")


def _load(worker: Worker) -> str:
    return f"{worker.runs_held}/{worker.capacity}"
