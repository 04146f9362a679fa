"""``token``: what opens the dashboard socket and ``/api``, for some time."""

import argparse
import asyncio
import re
import time
from typing import Any, Final
from uuid import UUID

from handlers.cli import exit_codes, token_revocations
from handlers.cli.database import open_repo
from handlers.cli.environment import load_settings
from handlers.cli.errors import usage
from handlers.cli.lookup import find_project
from handlers.cli.output import Output
from handlers.cli.parsing import add_command
from handlers.cli.people import who
from handlers.config import Settings
from handlers.run_tokens import ROLES, UserTokens

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def register(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands, "token", run, help="make a token for the dashboard socket and the API"
    )
    parser.add_argument(
        "--project",
        action="append",
        default=[],
        help="name or id of a project that may be seen; may be given several times",
    )
    parser.add_argument(
        "--tenant",
        action="append",
        help="whose pipelines may be seen, beside those that are nobody's in particular; may be"
        ' given several times, "*" is everybody',
    )
    parser.add_argument("--role", choices=ROLES, default="viewer")
    parser.add_argument(
        "--ttl", type=duration, default=8 * 3600.0, help="how long it is good, as 90s, 30m, 8h, 7d"
    )
    parser.add_argument("--subject", default=who(), help="who it is for (default: you)")
    token_revocations.register(parser.add_subparsers(metavar="ACTION"))


def duration(text: str) -> float:
    """Return the seconds of a duration such as ``8h``.

    Raises:
        ArgumentTypeError: It is none, or 0.
    """
    match = re.fullmatch(r"(\d{1,9})([smhd]?)", text)
    if match is None or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(f'"{text}" is no duration: 90s, 30m, 8h or 7d')
    return float(int(match[1]) * _UNITS[match[2]])


def run(options: argparse.Namespace, out: Output) -> int:
    """Print a token; whoever has it may see the projects and pipelines until it expires."""
    if not options.project and options.tenant is None:
        raise usage("A token is for something.", hint="give --project, --tenant, or both")
    settings = load_settings()
    projects = asyncio.run(_projects(options.project, settings))
    tokens = UserTokens(settings.user_key())
    token = tokens.issue(
        options.subject, projects, options.role, options.ttl, tenants=options.tenant
    )
    user = tokens.verify(token)
    data = {
        "token": token,
        "id": None if user is None else user.token_id,
        "subject": options.subject,
        "projects": [str(project) for project in projects],
        "role": options.role,
        "tenants": options.tenant,
        "expires_at": int(time.time() + options.ttl),
    }
    out.result(data, token)
    return exit_codes.OK


async def _projects(names: list[str], settings: Settings) -> list[UUID]:
    found = {name: as_id(name) for name in names}
    missing = [name for name, project in found.items() if project is None]
    if missing:
        async with open_repo(settings) as repo:
            found |= {name: await find_project(repo, name) for name in missing}
    return [project for project in found.values() if project is not None]


def as_id(text: str) -> UUID | None:
    """Return ``text`` as an id, or None if it is a name."""
    try:
        return UUID(text)
    except ValueError:
        return None
