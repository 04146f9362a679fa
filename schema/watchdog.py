"""The folder of a test session and of its server, and the process that outlasts the session.

The server of a session ends with the process that made the session, even if that one is killed: the
watchdog waits for a lock on the file ``alive``, which the kernel releases when its holder is gone.

Run as a program, this module is the watchdog: ``python -m schema.watchdog DIRECTORY``.
"""

import fcntl
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

from schema.embedded import EmbeddedPostgres


class Session:
    """The folder of a test session, held by the process that everything ends with.

    Args:
        parent: Folder to make it in.
    """

    def __init__(self, parent: Path) -> None:
        self.directory = parent / f"{os.getpid()}-{secrets.token_hex(3)}"
        self.directory.mkdir(parents=True)
        self._alive = (self.directory / "alive").open("w")
        fcntl.flock(self._alive, fcntl.LOCK_EX)

    def close(self) -> None:
        """Stop the server, if one was started, and delete the folder. Twice is fine."""
        if not self._alive.closed:
            EmbeddedPostgres(self.directory / "server").destroy()
            shutil.rmtree(self.directory, ignore_errors=True)
            self._alive.close()


def watch(session: Path) -> "subprocess.Popen[bytes]":
    """Start the process that ends the server of a session whose holder is gone."""
    return subprocess.Popen(  # noqa: S603 (this interpreter, this module)
        [sys.executable, "-m", "schema.watchdog", str(session)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def outlast(session: Path) -> None:
    """Wait until the holder of a session is gone, then stop its server and delete the folder."""
    try:
        with (session / "alive").open("w") as alive:
            fcntl.flock(alive, fcntl.LOCK_EX)
    except FileNotFoundError:
        # The session was over before we came to look.
        return
    EmbeddedPostgres(session / "server").destroy()
    shutil.rmtree(session, ignore_errors=True)


if __name__ == "__main__":
    outlast(Path(sys.argv[1]))
