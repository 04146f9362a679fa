"""``runs list|show|watch|retry|cancel``: what became of the work."""

import argparse
from typing import Any

from handlers.cli import runs_change, runs_read
from handlers.cli.parsing import add_command
from schema.lifecycle import RUN_STATES


def register(commands: Any) -> None:
    """Add the commands."""
    runs = commands.add_parser("runs", help="list, show, watch, retry and cancel runs")
    actions = runs.add_subparsers(metavar="ACTION", required=True)
    _register_list(actions)
    _with_id(add_command(actions, "show", runs_read.show, help="show a run, its steps and logs"))
    watch = add_command(
        actions,
        "watch",
        runs_read.watch,
        help="watch a run until it is over; exits with 1 unless it succeeds",
    )
    _with_url(_with_id(watch))
    retry = add_command(
        actions, "retry", runs_change.retry, help="run a finished run's work order once more"
    )
    _with_url(_with_id(retry))
    retry.add_argument(
        "--step", metavar="ID", help="begin at this step, with the input that it had"
    )
    retry.add_argument("--wait", action="store_true", help="wait for the end of the new run")
    cancel = add_command(
        actions, "cancel", runs_change.cancel, help="cancel a run, or ask its worker to"
    )
    _with_id(cancel)


def _register_list(actions: Any) -> None:
    parser = add_command(actions, "list", runs_read.list_runs, help="list runs, newest first")
    parser.add_argument("--project", help="name or id")
    parser.add_argument("--workflow", help="key, name or id")
    parser.add_argument(
        "--state", action="append", choices=RUN_STATES, help="may be given several times"
    )
    parser.add_argument("--worker", help="name of the worker that claimed it")
    parser.add_argument("--search", metavar="TEXT", help="in the error or in a log line")
    parser.add_argument("--limit", type=int, default=20, help="at most so many (default 20)")
    parser.add_argument("--after", help="the cursor that the page before ended with")


def _with_id(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("run_id", metavar="RUN", help="the id of the run")
    return parser


def _with_url(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--url", help="address of the server, to watch at")
    return parser
