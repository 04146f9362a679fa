"""The command line in this process, against an application that runs in this process too."""

import asyncio
import io
import json
import os
import runpy
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from handlers.cli.main import main
from handlers.config import Settings
from tests.programs import STDERR, Program, program

REPOSITORY = Path(__file__).parents[2]
DEMO = REPOSITORY / "examples" / "demo-project.yaml"
WORKER = REPOSITORY / "examples" / "worker.py"


class Result(NamedTuple):
    """What one command did."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The JSON value that it printed."""
        return json.loads(self.out)


async def cli(*arguments: str) -> Result:
    """Run a command in a thread, as the application may live in this one."""
    return await asyncio.to_thread(call, *arguments)


def call(*arguments: str) -> Result:
    """Run a command; what the parser itself prints is not in the result."""
    out, err = io.StringIO(), io.StringIO()
    try:
        code = main(arguments, stdout=out, stderr=err)
    except SystemExit as error:
        code = int(error.code or 0)
    return Result(code, out.getvalue(), err.getvalue())


def variables(settings: Settings, port: int | None = None) -> dict[str, str]:
    """The environment that a deployment with these settings has."""
    return {
        "DATABASE_URL": settings.database_url,
        "WORKER_SECRET": settings.worker_secret,
        "WORKER_RUNS_PRIVATE_KEY": settings.worker_runs_private_key,
        "CHANNEL_SERVER_PORT": str(settings.port if port is None else port),
    }


@asynccontextmanager
async def worker(settings: Settings, url: str, *options: str) -> AsyncGenerator[Program]:
    """The example worker as a process, until the end of the block; it must end well."""
    env = {**os.environ, "WORKER_SECRET": settings.worker_secret}
    words = (str(WORKER), f"--url={url}/worker", *options)
    async with program(work, *words, env=env, streams=(STDERR,)) as process:
        async with asyncio.timeout(30):
            assert (await process.said.readline()).strip() == b"worker: ready"
        yield process
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            said = await process.said.read()
            assert await process.wait() == 0, said.decode()


def work() -> None:
    """Be the worker, as an interpreter would that is given its file."""
    sys.path.insert(0, str(WORKER.parent))
    runpy.run_path(str(WORKER), run_name="__main__")
