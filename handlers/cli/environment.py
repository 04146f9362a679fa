"""Where the settings of a command come from.

The environment, always. Where ``DATABASE_URL`` is not set and the current folder has a
``.channel_server/env`` (``channel-server dev`` writes it), that file stands in, so that the other
commands reach the server that ``dev`` runs without any set-up. What the environment sets wins.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from handlers.cli.errors import usage
from handlers.config import ConfigError, Settings

FOLDER: Final = Path(".channel_server")
"""Folder of everything that ``dev`` keeps, in the current folder."""

ENV_FILE: Final = "env"


def environ() -> dict[str, str]:
    """Return the variables that count."""
    own = dict(os.environ)
    if own.get("DATABASE_URL"):
        return own
    return read_env(FOLDER / ENV_FILE) | own


def read_env(path: Path) -> dict[str, str]:
    """Return the ``NAME=value`` lines of a file; nothing if there is no such file."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, value in pairs}


def write_env(path: Path, variables: Mapping[str, str]) -> None:
    """Write ``NAME=value`` lines to a file that only its owner may read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{name}={value}\n" for name, value in variables.items())
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)


def load_settings(**overrides: Any) -> Settings:
    """Return the settings; ``overrides`` win.

    Raises:
        CommandError: Settings are missing or wrong; all of them are named.
    """
    try:
        return Settings.load(environ(), **overrides)
    except ConfigError as error:
        raise usage(
            "The configuration is not complete.",
            why=str(error),
            hint="set the variables, or run this where `channel-server dev` was started",
        ) from None


def database_url() -> str:
    """Return the URL of the database, for commands that need nothing else.

    Raises:
        CommandError: It is not set.
    """
    url = environ().get("DATABASE_URL")
    if not url:
        raise usage(
            "There is no database to talk to.",
            why="DATABASE_URL is not set.",
            hint="set it to postgresql://user:password@host:port/name",
        )
    return url
