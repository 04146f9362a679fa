"""``dev``: a whole installation in one folder, for development and for the demo.

Everything is kept in ``.channel_server/`` of the current folder: PostgreSQL's data, the keys, the
logs. Nothing is written anywhere else, and deleting the folder forgets all of it.
"""

import argparse
import asyncio
import time
from typing import Any

from channel_server.log import configure
from handlers.application import Application
from handlers.cli import exit_codes
from handlers.cli.dev_folder import DevFolder
from handlers.cli.dev_port import choose_port
from handlers.cli.errors import CommandError
from handlers.cli.loop import run_loop
from handlers.cli.output import Output
from handlers.cli.parsing import add_command
from handlers.cli.serve import start
from handlers.cli.stopping import StopSignals, end, stop_signals

DRAIN_WINDOW = 0.5
"""Seconds over which sockets are closed: nobody must be spared a rush here."""


SIGNAL_TIME = 0.5
"""Seconds in which a signal that was sent to all of us is seen by this process."""


def register(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "dev",
        run,
        help="run a database, a server and, with --demo, a worker and two runs",
        description=__doc__,
    )
    parser.add_argument(
        "--demo",
        action="store_true",
        help="provision the demo project, start the example worker, show two runs",
    )
    parser.add_argument("--no-worker", action="store_true", help="leave the worker to you")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument(
        "--port", type=int, help="port to listen on; default 4000, or a free one if it is taken"
    )


def run(options: argparse.Namespace, out: Output) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    run_loop(Dev(options, out).run())
    return exit_codes.OK


class Dev:
    """One run of the command.

    Args:
        options: The command line.
        out: Where to write.
    """

    def __init__(self, options: argparse.Namespace, out: Output) -> None:
        self._options = options
        self._out = out
        self._began = time.monotonic()

    async def run(self) -> None:
        """Start everything, wait for SIGTERM or Ctrl-C, and stop everything."""
        stopped = stop_signals()
        with DevFolder() as folder:
            try:
                await self._with_database(folder, stopped)
            finally:
                await asyncio.to_thread(folder.stop_database)
        self._step("stopped")

    async def _with_database(self, folder: DevFolder, stopped: StopSignals) -> None:
        self._step(f"starting PostgreSQL in {folder.path}/")
        try:
            await folder.start_database()
        except CommandError:
            # Ctrl-C reaches its helper programs too, and they may be faster than our own handler.
            if await _happens(stopped):
                return
            raise
        applied = await folder.migrate()
        self._step(f"database ready, {len(applied)} migrations applied")
        port = choose_port(self._options.host, self._options.port, self._out)
        settings = folder.settings(host=self._options.host, port=port, drain_window=DRAIN_WINDOW)
        if self._options.demo:
            configure("console", stream=folder.open_log("server.log"))
        else:
            configure("console", level=settings.log_level)
        application = Application(settings)
        await start(application, settings)
        try:
            folder.remember(application.endpoint)
            self._step(f"serving at {application.endpoint.http_url}")
            await self._serve(folder, application, stopped)
        finally:
            self._step("stopping")
            await end(application, stopped, leave=False)

    async def _serve(
        self, folder: DevFolder, application: Application, stopped: asyncio.Event
    ) -> None:
        if not self._options.demo:
            self._out.note("Ctrl-C stops it.")
            await stopped.wait()
            return
        from handlers.cli.demo import Demo

        demo = Demo(folder, application, self._out, self._began)
        await demo.run(stopped, worker=not self._options.no_worker)

    def _step(self, text: str) -> None:
        seconds = time.monotonic() - self._began
        self._out.note(f"{seconds:6.1f} s  {text}")


async def _happens(event: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(SIGNAL_TIME):
            await event.wait()
    except TimeoutError:
        return False
    return True
