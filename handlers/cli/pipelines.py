"""``pipelines list|show|watch|abort|recover``: durable jobs, through a server."""

import argparse
import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from handlers.cli import exit_codes
from handlers.cli.api import Api
from handlers.cli.dashboard import server_url
from handlers.cli.environment import load_settings
from handlers.cli.errors import usage
from handlers.cli.output import Output
from handlers.cli.parsing import add_command
from handlers.cli.pipeline_watch import job_line
from handlers.cli.pipeline_watch import watch as watch_pipeline
from handlers.config import Settings
from pipelines import PipelineStatus

_BASE = "/api/pipelines"

Work = Callable[[argparse.Namespace, Settings, str, Output], Coroutine[Any, Any, int]]


def register(commands: Any) -> None:
    """Add the commands."""
    parser = commands.add_parser(
        "pipelines", help="list, show, watch, abort and recover durable jobs"
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = add_command(actions, "list", _with(_list), help="list pipelines, newest first")
    listing.add_argument(
        "--status", action="append", choices=[each.value for each in PipelineStatus]
    )
    listing.add_argument("--kind", action="append", help="type of the first job")
    listing.add_argument("--year", type=int)
    listing.add_argument("--module", type=int)
    listing.add_argument("--limit", type=int, default=20, help="at most so many (default 20)")
    listing.add_argument("--after", help="the cursor that the page before ended with")
    show = add_command(actions, "show", _with(_show), help="show a pipeline and its jobs")
    watch = add_command(
        actions,
        "watch",
        _with(_watch),
        help="watch a pipeline until it is over; exits with 1 unless it succeeds",
    )
    abort = add_command(actions, "abort", _with(_abort), help="end all active jobs of a pipeline")
    recover = add_command(
        actions, "recover", _with(_recover), help="put a job back whose process went silent"
    )
    for command in (show, watch, abort):
        command.add_argument("pipeline_id", metavar="PIPELINE", help="the id of the pipeline")
    recover.add_argument("job_id", metavar="JOB", type=int, help="the id of the job")
    for command in (listing, show, watch, abort, recover):
        command.add_argument("--url", help="address of the server")


def _with(work: Work) -> Callable[[argparse.Namespace, Output], int]:
    def run(options: argparse.Namespace, out: Output) -> int:
        settings = load_settings()
        return asyncio.run(work(options, settings, server_url(settings, options.url), out))

    return run


def pipeline_id(text: str) -> str:
    """Return the id of a pipeline in its canonical form.

    Raises:
        CommandError: It is none.
    """
    try:
        return str(UUID(text))
    except ValueError:
        raise usage(
            f'"{text}" is no id of a pipeline.', hint="`channel-server pipelines list` shows them"
        ) from None


async def _list(options: argparse.Namespace, settings: Settings, url: str, out: Output) -> int:
    names = ("status", "kind", "year", "module", "limit", "after")
    query = {name: getattr(options, name) for name in names}
    page = await Api(settings, url).get(f"{_BASE}/", query)
    rows = [
        (
            each["pipeline_id"],
            each["status"],
            each["kind"],
            each["module_type_id"],
            each["year"],
            each["tenant_id"],
            each["created_at"][:19],
            each["last_error"],
        )
        for each in page["pipelines"]
    ]
    columns = ("pipeline", "status", "kind", "module", "year", "tenant", "created", "error")
    out.table(columns, rows, page)
    if page["after"] and not out.as_json:
        out.note(f"there are more: --after {page['after']}")
    return exit_codes.OK


async def _show(options: argparse.Namespace, settings: Settings, url: str, out: Output) -> int:
    wire = await Api(settings, url).get(f"{_BASE}/{pipeline_id(options.pipeline_id)}")
    if out.as_json:
        out.data(wire)
        return exit_codes.OK
    names = ("pipeline_id", "status", "kind", "module_type_id", "year", "tenant_id", "last_error")
    out.table(("", ""), [(name, wire[name]) for name in names if wire[name] is not None], None)
    for job in wire["jobs"]:
        out.say(job_line(job))
    return exit_codes.OK


async def _watch(options: argparse.Namespace, settings: Settings, url: str, out: Output) -> int:
    return await watch_pipeline(settings, url, pipeline_id(options.pipeline_id), out)


async def _abort(options: argparse.Namespace, settings: Settings, url: str, out: Output) -> int:
    identifier = pipeline_id(options.pipeline_id)
    wire = await Api(settings, url).post(f"{_BASE}/{identifier}/abort")
    out.result(wire, f"pipeline {identifier} is aborted")
    return exit_codes.OK


async def _recover(options: argparse.Namespace, settings: Settings, url: str, out: Output) -> int:
    job = await Api(settings, url).post(f"{_BASE}/jobs/{options.job_id}/recover")
    out.result(job, f"job {options.job_id} may be claimed again")
    return exit_codes.OK
