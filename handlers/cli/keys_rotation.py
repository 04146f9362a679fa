"""``keys rotate-credentials``: encrypt what is stored with the current key."""

import argparse
import asyncio

from handlers import keyring
from handlers.cli import exit_codes
from handlers.cli.database import accept, open_repo
from handlers.cli.environment import load_settings
from handlers.cli.errors import CommandError
from handlers.cli.output import Output
from schema import credentials
from schema.credentials import Rotated


def run(_options: argparse.Namespace, out: Output) -> int:
    """Encrypt every credential anew whose key is not the current one; again is fine."""
    rotated = asyncio.run(_rotate())
    if rotated.unreadable:
        raise CommandError(
            f"{len(rotated.unreadable)} credentials cannot be read; {rotated.done} were rotated.",
            why=", ".join(str(one) for one in rotated.unreadable),
            hint="give their key as CHANNEL_SERVER_CREDENTIALS_KEY_PREVIOUS",
        )
    out.result({"rotated": rotated.done}, f"{rotated.done} credentials encrypted anew")
    return exit_codes.OK


async def _rotate() -> Rotated:
    settings = load_settings()
    async with open_repo(settings) as repo:
        done = await credentials.rotate(repo, keyring.cipher(settings))
        return accept(done, "The credentials were not rotated.")
