"""A whole application on the channel server: a chat room, in one file.

    python examples/chat.py

Then, with any Phoenix client (phoenix.js here)::

    const socket = new Socket("ws://localhost:4001/socket", {params: {name: "ada"}})
    socket.connect()
    const room = socket.channel("room:lobby")
    room.on("said", ({name, text}) => console.log(name, text))
    room.join()
    room.push("say", {text: "hello"}).receive("ok", ({count}) => console.log(count))

It has no database and knows nothing of runs: ``channel_server`` is all it imports.
"""

import argparse
import asyncio
import signal
from typing import Any, cast

from channel_server.channel import Channel, Reply, error, ok, on
from channel_server.endpoint import Endpoint, Mount
from channel_server.log import configure
from channel_server.socket import ConnectInfo, Refuse, Route, Socket

LONGEST_TEXT = 1000


class RoomChannel(Channel):
    """One client in one room."""

    def join(self, payload: Any) -> Reply | None:
        """Everybody may enter every room but the secret one."""
        if self.topic == "room:secret":
            return error({"reason": "unauthorized"})
        self.assigns["count"] = 0
        return ok({"room": self.topic.removeprefix("room:")})

    def joined(self) -> None:
        """Tell the others; the join was answered just now."""
        self.broadcast_from("entered", {"name": self.assigns["name"]})

    @on("say")
    def say(self, payload: Any) -> Reply:
        """Tell everybody in the room, and say how often this client has spoken."""
        text: Any = cast("dict[str, Any]", payload).get("text") if isinstance(payload, dict) else ""
        if not isinstance(text, str) or not 0 < len(text) <= LONGEST_TEXT:
            return error({"text": [f"must have 1 to {LONGEST_TEXT} characters"]})
        self.assigns["count"] += 1
        self.broadcast("said", {"name": self.assigns["name"], "text": text})
        return ok({"count": self.assigns["count"]})

    @on("think")
    async def think(self, payload: Any) -> Reply:
        """A coroutine may wait: only this client's messages to this room wait with it."""
        await asyncio.sleep(0.1)
        return ok({"thought": payload})

    def terminate(self, reason: str) -> None:
        """Tell the others that this client is gone."""
        self.broadcast_from("left", {"name": self.assigns["name"]})


class ChatSocket(Socket):
    """One connection: somebody with a name."""

    channels = (Route("room:*", RoomChannel),)

    def connect(self, params: dict[str, Any], info: ConnectInfo) -> Refuse | None:
        """Accept who has a name; a real application would check a token here."""
        name = params.get("name")
        if not isinstance(name, str) or not name.strip():
            return Refuse(403, "say who you are: ?name=…")
        self.assigns["name"] = name.strip()
        return None


async def main(port: int) -> None:
    """Serve until SIGTERM or Ctrl-C, then close all sockets so that clients come back elsewhere."""
    configure("console")
    endpoint = Endpoint([Mount("/socket", ChatSocket)], port=port)
    await endpoint.start()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    print(f"chat at {endpoint.url}/socket", flush=True)
    await stopped.wait()
    await endpoint.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A chat room on the channel server.")
    parser.add_argument("--port", type=int, default=4001, help="0 takes a free one")
    asyncio.run(main(parser.parse_args().port))
