"""``migrate up|status|down``: the tables of the database."""

import argparse
import asyncio
from typing import Any

import migrations
from handlers.cli import exit_codes
from handlers.cli.database import reach
from handlers.cli.environment import database_url
from handlers.cli.errors import usage
from handlers.cli.output import Output
from handlers.cli.parsing import add_command


def register(commands: Any) -> None:
    """Add the command."""
    migrate = commands.add_parser("migrate", help="bring the database to this release, or back")
    actions = migrate.add_subparsers(metavar="ACTION", required=True)
    parser = add_command(actions, "up", run_up, help="apply what is missing")
    parser.add_argument("revision", nargs="?", default="head", help="default: the newest")
    add_command(
        actions,
        "status",
        run_status,
        help="say what is missing; changes nothing, exits with 1 if anything is",
    )
    parser = add_command(actions, "down", run_down, help="undo migrations; data is lost")
    parser.add_argument("revision", help="where to; `base` is the empty database")
    parser.add_argument("--yes", action="store_true", help="yes, data may be lost")


def run_up(options: argparse.Namespace, out: Output) -> int:
    """Apply what is missing."""
    applied = asyncio.run(reach(migrations.up, database_url(), _known(options.revision)))
    text = "\n".join(f"applied {name}" for name in applied) or "nothing to do"
    out.result({"applied": applied}, text)
    return exit_codes.OK


def run_status(_options: argparse.Namespace, out: Output) -> int:
    """Say what is missing."""
    status = asyncio.run(reach(migrations.status, database_url()))
    rows = [
        (name, "pending" if name in status.pending else "applied")
        for name in migrations.revisions()
    ]
    data = {"current": status.current, "head": status.head, "pending": status.pending}
    out.table(("migration", "state"), rows, data)
    return exit_codes.OK if status.up_to_date else exit_codes.FAILED


def run_down(options: argparse.Namespace, out: Output) -> int:
    """Undo migrations."""
    revision = _known(options.revision)
    if not options.yes:
        raise usage(
            f"Going back to {revision} deletes tables and what is in them.",
            hint="say --yes if that is meant",
        )
    undone = asyncio.run(reach(migrations.down, database_url(), revision))
    text = "\n".join(f"undone {name}" for name in undone) or "nothing to do"
    out.result({"undone": undone}, text)
    return exit_codes.OK


def _known(revision: str) -> str:
    known = ["base", *migrations.revisions(), "head"]
    if revision not in known:
        raise usage(f'There is no migration "{revision}".', hint=f"there are: {', '.join(known)}")
    return revision
