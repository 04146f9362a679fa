"""``provision FILE``: bring the project that a YAML file describes into the database."""

import argparse
import asyncio
from pathlib import Path
from typing import Any

from handlers.cli import exit_codes
from handlers.cli.dashboard import server_url
from handlers.cli.database import accept, open_repo
from handlers.cli.environment import load_settings
from handlers.cli.errors import usage
from handlers.cli.output import Output
from handlers.cli.parsing import add_command
from handlers.config import Settings
from handlers.provision import provision_file
from handlers.spec_nodes import SpecError
from schema.projects import Provisioned


def register(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "provision",
        run,
        help="bring a project spec (YAML) into the database; doing it twice changes nothing",
    )
    parser.add_argument("file", type=Path, help="the project spec")
    parser.add_argument("--url", help="address of the server, for the webhooks that are shown")


def run(options: argparse.Namespace, out: Output) -> int:
    """Provision one file."""
    settings = load_settings()
    provisioned = asyncio.run(provision(settings, options.file))
    url = server_url(settings, options.url)
    rows = [
        (workflow.name, workflow.lock_version, "yes" if workflow.changed else "no", address)
        for workflow in provisioned.workflows
        for address in [f"{url}/i/{each}" for each in workflow.triggers.values()] or [None]
    ]
    out.table(("workflow", "version", "changed", "trigger"), rows, provisioned)
    return exit_codes.OK


async def provision(settings: Settings, file: Path) -> Provisioned:
    """Bring a file into the database.

    Raises:
        CommandError: The file is wrong, or the database cannot be used.
    """
    async with open_repo(settings) as repo:
        try:
            answer = await provision_file(repo, settings, file)
        except SpecError as error:
            raise usage(
                f"{file} is no valid project spec; nothing was stored.", why=str(error)
            ) from None
        except OSError as error:
            raise usage(f"{file} cannot be read.", why=error.strerror or str(error)) from None
        return accept(answer, f"{file} was not stored.")
