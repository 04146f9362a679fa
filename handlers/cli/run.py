"""``run WORKFLOW``: ask for one unit of work, and wait for its end if that is wanted."""

import argparse
import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Any

from handlers.cli.dashboard import server_url
from handlers.cli.database import accept, open_repo
from handlers.cli.environment import load_settings
from handlers.cli.errors import CommandError, usage
from handlers.cli.lookup import find_workflow
from handlers.cli.output import Output
from handlers.cli.parsing import add_command
from handlers.cli.people import who
from handlers.cli.waiting import Waiter
from handlers.config import Settings
from schema import work_orders
from schema.casts import CastError, json_text
from schema.views import WorkflowRow
from schema.work_orders import NewWorkOrder


def register(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "run",
        run,
        help="start a workflow",
        epilog="example:\n"
        '  echo \'{"data": {"id": 7}}\' | channel-server run order --input - --wait',
    )
    parser.add_argument("workflow", help="key, name or id of the workflow")
    parser.add_argument("--project", help="name or id, where several have such a workflow")
    parser.add_argument(
        "--input",
        metavar="FILE",
        help='JSON of the state to start from, as {"data": …}; - reads it from stdin',
    )
    parser.add_argument("--wait", action="store_true", help="wait for the end, and show the run")
    parser.add_argument("--url", help="address of the server, to wait at")


def run(options: argparse.Namespace, out: Output) -> int:
    """Create a run."""
    body = _read(options.input) if options.input else None
    return asyncio.run(_run(options, load_settings(), body, out))


def _read(source: str) -> str:
    try:
        data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        return json_text(data.decode())
    except OSError as error:
        raise usage(f"{source} cannot be read.", why=error.strerror or str(error)) from None
    except (CastError, UnicodeDecodeError):
        name = "stdin" if source == "-" else source
        raise usage(f"{name} is not JSON.", hint='give the state, as {"data": {}}') from None


async def _run(
    options: argparse.Namespace, settings: Settings, body: str | None, out: Output
) -> int:
    async with contextlib.AsyncExitStack() as stack:
        repo = await stack.enter_async_context(open_repo(settings))
        workflow = await find_workflow(repo, options.workflow, options.project)
        waiter = Waiter(out)
        if options.wait:
            # Before the run is made: if nobody is there to wait at, none shall be made.
            url = server_url(settings, options.url)
            await stack.enter_async_context(waiter.connected(settings, url, workflow.project_id))
        created = accept(
            await work_orders.create(repo, _order(workflow, body)),
            f'Workflow "{workflow.name}" was not started.',
        )
        return await waiter.report(created)


def _order(workflow: WorkflowRow, body: str | None) -> NewWorkOrder:
    if workflow.trigger_id is None:
        raise CommandError(
            f'Workflow "{workflow.name}" has no trigger to start from.',
            hint="add one to its spec, and provision it again",
        )
    return NewWorkOrder(
        trigger_id=workflow.trigger_id,
        dataclip_type=None if body is None else "saved_input",
        body=body,
        created_by=who(),
        priority="immediate",
        queue="manual",
    )
