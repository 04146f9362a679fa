"""``runs retry`` and ``cancel``."""

import argparse
import asyncio
import contextlib
from uuid import UUID

from handlers.cli import exit_codes
from handlers.cli.dashboard import server_url
from handlers.cli.database import accept, open_repo
from handlers.cli.environment import load_settings
from handlers.cli.lookup import run_id
from handlers.cli.output import Output
from handlers.cli.people import who
from handlers.cli.runs_read import project_of
from handlers.cli.waiting import Waiter
from handlers.config import Settings
from schema import cancellations, work_orders


def retry(options: argparse.Namespace, out: Output) -> int:
    """Create another run of a finished run's work order."""
    return asyncio.run(_retry(options, load_settings(), out))


async def _retry(options: argparse.Namespace, settings: Settings, out: Output) -> int:
    run = run_id(options.run_id)
    step = None if options.step is None else run_id(options.step)
    async with contextlib.AsyncExitStack() as stack:
        repo = await stack.enter_async_context(open_repo(settings))
        waiter = Waiter(out)
        if options.wait:
            project = await project_of(repo, run)
            url = server_url(settings, options.url)
            await stack.enter_async_context(waiter.connected(settings, url, project))
        again = await work_orders.retry(repo, run, who(), step_id=step)
        created = accept(again, f"Run {run} was not tried again.")
        return await waiter.report(created)


def cancel(options: argparse.Namespace, out: Output) -> int:
    """Cancel a run, or ask the worker that holds it to end it."""
    run = run_id(options.run_id)
    if asyncio.run(_cancel(run, load_settings())):
        out.result({"run_id": str(run), "state": "cancelled"}, f"run {run} is cancelled")
    else:
        said = f"the worker of run {run} is asked to end it"
        out.result({"run_id": str(run), "state": "cancelling"}, said)
    return exit_codes.OK


async def _cancel(run: UUID, settings: Settings) -> bool:
    """Cancel a run; whether it is over."""
    async with open_repo(settings) as repo:
        done = await cancellations.cancel(repo, run, who())
        return not isinstance(accept(done, f"Run {run} was not cancelled."), cancellations.Asked)
