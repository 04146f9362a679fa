"""The server under test: a process of its own, on a core of its own."""

import contextlib
import os
import resource
import subprocess
import sys
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Final

import msgspec

TICKS: Final = os.sysconf("SC_CLK_TCK")
FILES: Final = 20_000


# Read before this process is moved.
_AVAILABLE: Final = sorted(os.sched_getaffinity(0))


def cores() -> tuple[int, int]:
    """The core of the server and the core of everything else; the same if there is only one."""
    return _AVAILABLE[0], _AVAILABLE[-1]


def pin_generator() -> None:
    """Keep this process, and the database that it starts, off the core of the server."""
    os.sched_setaffinity(0, {cores()[1]})


def raise_file_limit() -> int:
    """Allow as many connections as the system does; the number of files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = hard if hard != resource.RLIM_INFINITY else FILES
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


class Server:
    """A running server.

    Attributes:
        port: Where it listens on loopback.
        pid: Its process.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self._process = process
        self.port = port
        self.pid = process.pid

    def cpu(self) -> float:
        """Seconds of CPU that it has used, in user space and in the kernel."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self) -> int:
        """Bytes of memory that are its own."""
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        return 0

    def peak(self) -> int:
        """Bytes of memory that it had at the most, shared ones included."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return 0


@contextlib.contextmanager
def running(module: str, environment: Mapping[str, str] | None = None) -> Generator[Server]:
    """Start ``python -m module`` on the core of servers, and stop it at the end."""
    core = cores()[0]
    process = subprocess.Popen(
        [sys.executable, "-m", module, str(core)],
        stdout=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
    )
    try:
        stdout = process.stdout
        line = stdout.readline() if stdout is not None else b""
        if not line:
            raise RuntimeError(f"{module} did not start; exit status {process.wait()}")
        yield Server(process, msgspec.json.decode(line, type=dict[str, int])["port"])
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def announce(port: int) -> None:
    """Tell the process that started this one where to connect."""
    sys.stdout.write(msgspec.json.encode({"port": port}).decode() + "\n")
    sys.stdout.flush()


def pin_server() -> None:
    """Move this process to the core it was given as its only argument."""
    os.sched_setaffinity(0, {int(sys.argv[1])})
