"""The server of the scenario of emissions: gateway and jobs in one process, its loop watched.

On SIGUSR1 it writes the longest time that its event loop was blocked since the last one, in
milliseconds, to the file that the environment names.
"""

import asyncio
import gc
import os
import signal
import time
from pathlib import Path
from typing import Final

import uvloop

from benchmarks.process import announce, pin_server
from channel_server.log import configure
from handlers.application import Application
from handlers.config import Settings
from handlers.emissions.service import JOB_TYPES, register

LAG_FILE: Final = "CHANNEL_SERVER_BENCH_LAG_FILE"
"""Name of the variable with the path of the file."""

_TICK: Final = 0.002


class LagProbe:
    """Wakes up every 2 ms and notes by how much it was late."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            began = time.perf_counter()
            await asyncio.sleep(_TICK)
            self.longest = max(self.longest, time.perf_counter() - began - _TICK)

    def dump(self, path: Path) -> None:
        """Write the longest delay, whole or not at all, and begin anew."""
        partial = path.with_suffix(".partial")
        partial.write_text(str(self.longest * 1e3))
        partial.replace(path)
        self.longest = 0.0


async def serve() -> None:
    """Serve until SIGTERM."""
    application = Application(Settings.load())
    await application.open()
    registry = application.gateway.engine.registry
    if not registry.job_types >= JOB_TYPES:
        register(registry)
    await application.start()
    gc.freeze()
    stopped = asyncio.Event()
    probe = LagProbe()
    watching = asyncio.create_task(probe.run())
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_signal_handler(signal.SIGUSR1, probe.dump, Path(os.environ[LAG_FILE]))
    announce(application.endpoint.port)
    await stopped.wait()
    watching.cancel()
    await application.stop(drain=False)


if __name__ == "__main__":
    pin_server()
    configure(level="error")
    uvloop.run(serve())
