"""Channels that join when a test says so, one client of them, and what it is sent."""

import asyncio
from typing import Any, ClassVar, cast

from channel_server import Channel, Reply, Route, Socket, ok, on
from channel_server.testing.recording import RecordedMount, until


class JoinChannel(Channel):
    """Joins when the test says so."""

    made: ClassVar["list[JoinChannel]"] = []
    result: Any = None
    stubborn = False

    async def join(self, payload: Any) -> Reply | None:
        self.gate = asyncio.Event()
        self.ends: list[str] = []
        self.cancelled = False
        self.made.append(self)
        if payload == "crash":
            raise ZeroDivisionError
        if payload == "send_info":
            self.send_info("hello")
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            if not self.stubborn:
                raise
        return self.result

    async def joined(self) -> None:
        await asyncio.sleep(0)
        self.push("welcome", {})

    def handle_info(self, message: Any) -> None:
        self.push("info", {"message": message})

    @on("echo")
    def echo(self, payload: Any) -> Reply:
        return ok(payload)

    def terminate(self, reason: str) -> None:
        self.ends.append(reason)
        self.push("last_words", {})


class SilentChannel(Channel):
    """Joins when the test says so, and does nothing more then."""

    gate: ClassVar[asyncio.Event]
    heard: ClassVar[list[Any]]

    async def join(self, payload: Any) -> None:
        await self.gate.wait()

    @on("hear")
    def hear(self, payload: Any) -> None:
        self.heard.append(payload)


class PlainJoin(Channel):
    def join(self, payload: Any) -> Any:
        if payload == "crash":
            raise ZeroDivisionError
        if payload == "shout":
            self._services.broadcast("e", {}, to_self=True)
        return {
            "number": 1,
            "status": Reply("maybe", {}),
            "unserialisable": ok(object()),
            "binary": ok(b"\x01\x02"),
            "unicode": ok({"x": "\ud800"}),
        }.get(payload)


class Unsubscribed(Channel):
    subscribe_topic = False
    join_timeout = 0.01

    async def join(self, payload: Any) -> None:
        if payload == "hang":
            await asyncio.Event().wait()


class UserSocket(Socket):
    channels = (
        Route("room:*", JoinChannel),
        Route("plain:*", PlainJoin),
        Route("silent:*", SilentChannel),
        Route("quiet:*", Unsubscribed),
    )


class World(RecordedMount):
    def __init__(self, **limits: Any) -> None:
        super().__init__(UserSocket, **limits)
        JoinChannel.made = []
        JoinChannel.result = None
        JoinChannel.stubborn = False
        self.one = self.client()
        self.take = self.one.take
        self.connection = self.one.connection

    def join(self, ref: str = "1", topic: str = "room:1", payload: Any = None) -> None:
        self.one.send(ref, ref, topic, "phx_join", payload)

    def push(self, join_ref: Any, ref: str, event: str, payload: Any = None) -> None:
        self.one.send(join_ref, ref, "room:1", event, payload)

    def shapes(self) -> list[tuple[Any, ...]]:
        """join_ref, ref, event, and the status or reason of what was sent."""
        return [(f[0], f[1], f[3], outcome(f[4])) for f in self.take()]


def outcome(payload: Any) -> Any:
    response = payload.get("response")
    if isinstance(response, dict) and "reason" in response:
        return cast("Any", response["reason"])
    return payload.get("status")


async def made(count: int) -> JoinChannel:
    await until(lambda: len(JoinChannel.made) == count)
    return JoinChannel.made[-1]
