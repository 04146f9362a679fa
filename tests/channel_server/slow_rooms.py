"""Channels that wait for what a test says, and a world with one client for them."""

import asyncio
from typing import Any, ClassVar, cast

import pytest

from channel_server import (
    Channel,
    HandlerResult,
    NoReplyRef,
    NotJoined,
    Reply,
    ReplyRef,
    Route,
    Socket,
    Stop,
    ok,
    on,
)
from channel_server.testing.recording import RecordedMount

CRASHED: list[Any] = ["1", "1", "room:1", "phx_error", {"reason": "channel_crash"}]
CLOSED: list[Any] = ["1", "1", "room:1", "phx_close", {}]


class SlowChannel(Channel):
    """Waits for what the test says."""

    intercept = frozenset({"seen"})
    made: ClassVar["list[SlowChannel]"] = []

    def join(self, payload: Any) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        self.began: list[Any] = []
        self.cancelled: list[Any] = []
        self.ends: list[str] = []
        self.infos: list[Any] = []
        self.ref: ReplyRef | None = None
        self.made.append(self)

    def gate(self, name: str) -> asyncio.Event:
        return self.gates.setdefault(name, asyncio.Event())

    @on("slow")
    async def slow(self, payload: Any) -> Reply:
        self.began.append(payload)
        try:
            await self.gate(payload).wait()
        except asyncio.CancelledError:
            self.cancelled.append(payload)
            raise
        return ok(payload)

    @on("slow_boom")
    async def slow_boom(self, payload: Any) -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    @on("slow_stop")
    async def slow_stop(self, payload: Any) -> Stop:
        await asyncio.sleep(0)
        return Stop(reply=ok())

    @on("cancel_itself")
    async def cancel_itself(self, payload: Any) -> None:
        raise asyncio.CancelledError

    @on("no_wait")
    async def no_wait(self, payload: Any) -> Reply:
        return ok(payload)

    @on("fast")
    def fast(self, payload: Any) -> Reply:
        self.began.append(payload)
        return ok(payload)

    @on("later")
    def later(self, payload: Any) -> None:
        self.ref = self.reply_ref()

    @on("info")
    def info(self, payload: Any) -> Reply:
        self.send_info(payload)
        return ok()

    @on("stop_me")
    def stop_me(self, payload: Any) -> Reply:
        self.send_info("too late")
        self.stop(payload)
        return ok()

    @on("subscribe")
    def listen(self, payload: Any) -> None:
        self.subscribe(payload)

    @on("unsubscribe")
    def ignore(self, payload: Any) -> None:
        self.unsubscribe(payload)

    async def handle_info(self, message: Any) -> Stop | None:
        self.infos.append(message)
        if message == "wait":
            await self.gate("info").wait()
        if message == "boom":
            raise ZeroDivisionError
        return Stop("normal") if message == "stop" else cast("Any", 1 if message == "odd" else None)

    async def handle_out(self, event: str, payload: Any) -> Stop | None:
        await asyncio.sleep(0)
        self.push(event, {**payload, "seen": True})
        return Stop() if payload.get("stop") else None

    async def terminate(self, reason: str) -> None:
        self.ends.append(reason)
        self.push("last_words", {"reason": reason})
        await asyncio.sleep(0)
        self.ends.append("done")


class PlainChannel(Channel):
    """Plain callbacks only, and the defaults."""

    intercept = frozenset({"seen"})

    def join(self, payload: Any) -> None:
        self.ends: list[str] = []
        self.send_info("from join")
        for action in (lambda: self.push("e", {}), lambda: self.broadcast("e", {}), self.reply_ref):
            with pytest.raises(NotJoined):
                action()

    def joined(self) -> None:
        self.push("joined", {})

    @on("no_ref")
    async def no_ref(self, payload: Any) -> None:
        with pytest.raises(NoReplyRef):
            self.reply_ref()

    @on("bad_terminate")
    def bad_terminate(self, payload: Any) -> Stop:
        return Stop("normal")

    @on("crash_later")
    def crash_later(self, payload: Any) -> None:
        self.send_info("crash")

    def handle_info(self, message: Any) -> Any:
        if message == "crash":
            raise ZeroDivisionError
        return super().handle_info(message)

    def handle_in(self, event: Any, payload: Any) -> HandlerResult:
        return ok({"fallback": event})

    def terminate(self, reason: str) -> None:
        raise ZeroDivisionError("in terminate")


class UserSocket(Socket):
    channels = (Route("room:*", SlowChannel), Route("plain:*", PlainChannel))


class World(RecordedMount):
    def __init__(self, **limits: Any) -> None:
        super().__init__(UserSocket, **limits)
        SlowChannel.made = []
        self.one = self.client()
        self.send = self.one.send
        self.take = self.one.take

    def join(self, topic: str = "room:1") -> SlowChannel:
        self.send("1", "1", topic, "phx_join", {})
        self.take()
        return SlowChannel.made[-1]

    def push(self, ref: str, event: str, payload: Any = None, topic: str = "room:1") -> None:
        self.send("1", ref, topic, event, payload)

    def events(self) -> list[tuple[str, Any]]:
        return [(frame[3], frame[1]) for frame in self.take()]
