"""The server of the scenario of whole runs: the run gateway, configured by its environment."""

import asyncio
import gc
import signal

import uvloop

from benchmarks.process import announce, pin_server
from channel_server.log import configure
from handlers.application import Application
from handlers.config import Settings


async def serve() -> None:
    """Serve until SIGTERM."""
    application = Application(Settings.load())
    await application.start()
    gc.freeze()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    announce(application.endpoint.port)
    await stopped.wait()
    await application.stop(drain=False)


if __name__ == "__main__":
    pin_server()
    configure(level="error")
    uvloop.run(serve())
