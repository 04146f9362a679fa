"""The folder of ``dev``: database, keys, logs. One ``dev`` at a time."""

import asyncio
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TextIO

import migrations
from channel_server.endpoint import Endpoint
from handlers.cli.dashboard import socket_address
from handlers.cli.database import reach
from handlers.cli.environment import ENV_FILE, FOLDER, read_env, write_env
from handlers.cli.errors import CommandError, unavailable, usage
from handlers.cli.keys import new_keys
from handlers.config import ConfigError, Settings
from schema.accounts import NoAccountError, UnreachableError
from schema.embedded import EmbeddedPostgres, EmbeddedPostgresError

WORKER_ENV_FILE: Final = "worker.env"
_GITIGNORE: Final = "*\n"


class DevFolder:
    """``.channel_server/`` of the current folder, while this process has it for itself.

    Args:
        path: The folder; made if missing.
    """

    def __init__(self, path: Path = FOLDER) -> None:
        self.path = path
        self._postgres = EmbeddedPostgres(path / "postgres")
        self._lock: TextIO | None = None
        self._logs: list[TextIO] = []

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / ".gitignore").write_text(_GITIGNORE)
        self._lock = (self.path / "dev.lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise usage(
                f"Another `channel-server dev` runs in {self.path.absolute()}.",
                hint="use that one, or end it with Ctrl-C first",
            ) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in (*self._logs, self._lock):
            if file is not None:
                file.close()

    async def start_database(self) -> None:
        """Start PostgreSQL, making its data first if there is none.

        Raises:
            CommandError: It does not start.
        """
        try:
            await asyncio.to_thread(self._postgres.start)
        except (EmbeddedPostgresError, NoAccountError, UnreachableError) as error:
            raise unavailable(
                "PostgreSQL could not be started.",
                why=str(error),
                hint=f"its log is {self._postgres.log}",
            ) from error

    def stop_database(self) -> None:
        """Stop PostgreSQL if it runs."""
        self._postgres.stop()

    async def migrate(self) -> list[str]:
        """Apply missing migrations; returns them."""
        return await reach(migrations.up, self._postgres.dsn())

    def settings(self, **overrides: Any) -> Settings:
        """Return the settings of the server; keys are made the first time and kept.

        Raises:
            CommandError: The keys that are kept cannot be used.
        """
        variables = {**self._keys(), "DATABASE_URL": self._postgres.dsn()}
        try:
            return Settings.load(variables, **overrides)
        except ConfigError as error:
            raise usage(
                f"The settings in {self.path / ENV_FILE} cannot be used.",
                why=str(error),
                hint=f"delete {self.path}/ to begin anew; its runs are lost then",
            ) from None

    def _keys(self) -> dict[str, str]:
        kept = read_env(self.path / ENV_FILE)
        if "WORKER_SECRET" in kept and "WORKER_LIGHTNING_PUBLIC_KEY" in kept:
            return kept
        server, worker = new_keys()
        keys = {**worker, **server}
        write_env(self.path / ENV_FILE, keys)
        return keys

    def remember(self, endpoint: Endpoint) -> None:
        """Write down where the server is, for other commands and for workers."""
        keys = self._keys()
        where = {
            "DATABASE_URL": self._postgres.dsn(),
            "CHANNEL_SERVER_HOST": endpoint.host,
            "CHANNEL_SERVER_PORT": str(endpoint.port),
        }
        write_env(self.path / ENV_FILE, {**keys, **where})
        write_env(self.path / WORKER_ENV_FILE, self.worker_variables(endpoint))

    def worker_variables(self, endpoint: Endpoint) -> dict[str, str]:
        """Return what a worker needs to know, as OpenFn workers call it."""
        keys = self._keys()
        return {
            "WORKER_LIGHTNING_SERVICE_URL": socket_address(endpoint.http_url, "/worker"),
            "WORKER_SECRET": keys["WORKER_SECRET"],
            "WORKER_LIGHTNING_PUBLIC_KEY": keys["WORKER_LIGHTNING_PUBLIC_KEY"],
        }

    def open_log(self, name: str) -> TextIO:
        """Return a log file, begun anew, that only its owner may read.

        Raises:
            CommandError: It cannot be written.
        """
        path = self.path / name
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise CommandError(f"{path} cannot be written.", why=str(error)) from None
        file = os.fdopen(descriptor, "w", encoding="utf-8", buffering=1)
        self._logs.append(file)
        return file
