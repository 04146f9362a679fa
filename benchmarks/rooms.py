"""The server of the echo, fan-out and idle scenarios: a socket with rooms, default limits."""

import asyncio
import gc
import signal
from typing import Any

import uvloop

from benchmarks.process import announce, pin_server, raise_file_limit
from channel_server import Channel, Reply, Route, Socket, SocketLimits, ok, on
from channel_server.endpoint import Endpoint, Mount
from channel_server.log import configure
from channel_server.rate_limit import Rate


class Room(Channel):
    """Answers `echo`, and tells everybody what `bcast` brings."""

    def join(self, payload: Any) -> None:
        """Everybody may."""

    @on("echo")
    def echo(self, payload: Any) -> Reply:
        """Send back what came."""
        return ok(payload)

    @on("bcast")
    def bcast(self, payload: Any) -> Reply:
        """Tell all."""
        self.broadcast("msg", payload)
        return ok()


class RoomsSocket(Socket):
    """Rooms only."""

    channels = (Route("room:*", Room),)
    # Every connection of a benchmark comes from one address.
    limits = SocketLimits(max_connections_per_address=100_000, upgrades=Rate(per_second=0, burst=1))


async def serve() -> None:
    """Serve until SIGTERM."""
    endpoint = Endpoint([Mount("/socket", RoomsSocket)], port=0, drain_window=0)
    await endpoint.start()
    gc.freeze()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    announce(endpoint.port)
    await stopped.wait()
    await endpoint.stop(drain=False)


if __name__ == "__main__":
    pin_server()
    raise_file_limit()
    configure(level="error")
    uvloop.run(serve())
