"""A server that tests may stop, kill and move about; making one costs more than most tests do."""

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from schema.embedded import EmbeddedPostgres
from schema.watchdog import Session

FOLDER = Path(".channel_server/test-postgres")
"""Where sessions have their folders, inside the clone."""


class SpareServer:
    """The folder of a server, made when it is first wanted and given from test to test.

    What a test leaves in its databases stays there.

    Args:
        root: Folder of the clone.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._session: Session | None = None

    @contextmanager
    def at(
        self, place: Path | None = None, *, settings: dict[str, str] | None = None
    ) -> Generator[EmbeddedPostgres]:
        """The server, in a folder where there is none yet, or its own; it does not run.

        Args:
            place: The folder, which is gone afterwards.
            settings: Further settings of PostgreSQL.
        """
        home = self._home()
        server = EmbeddedPostgres(place or home, fast=True, settings=settings)
        if place is not None:
            home.rename(place)
        try:
            yield server
        finally:
            server.stop(mode="immediate")
            if place is not None:
                place.rename(home)

    def copy_to(self, place: Path) -> None:
        """Make a folder into that of a server that does not run, to be destroyed by the test."""
        # Most of it is a log of zeros.
        words = ["cp", "--archive", "--sparse=always", self._home(), place]
        subprocess.run(words, check=True)

    def close(self) -> None:
        """Delete it."""
        if self._session is not None:
            self._session.close()

    def _home(self) -> Path:
        if self._session is None:
            self._session = Session(self._root / FOLDER)
            home = self._session.directory / "server"
            server = EmbeddedPostgres(home, fast=True)
            server.start()
            server.stop()
        return self._session.directory / "server"
