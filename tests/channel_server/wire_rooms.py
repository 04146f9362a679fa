"""Rooms that do what a message says, and a client that speaks either serializer to them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from channel_server.channel import Channel, Reply, Stop, error, ok, on
from channel_server.endpoint import Endpoint
from channel_server.socket import ConnectInfo, Route, Socket
from channel_server.testing.raw import RawClient

Serve = Callable[..., Awaitable[Endpoint]]
Open = Callable[..., Awaitable[RawClient]]
OK: dict[str, Any] = {"status": "ok", "response": {}}
UNMATCHED = {"status": "error", "response": {"reason": "unmatched topic"}}
V1, V2 = "1.0.0", "2.0.0"


class Wire:
    """A client of one serializer; what V1 cannot carry is not compared."""

    def __init__(self, client: RawClient, vsn: str) -> None:
        self.client = client
        self.vsn = vsn

    def send(self, join_ref: Any, ref: Any, topic: Any, event: Any, payload: Any) -> None:
        if self.vsn == V2:
            self.client.send_json([join_ref, ref, topic, event, payload])
            return
        message = {"topic": topic, "event": event, "payload": payload, "ref": ref}
        if join_ref is not None:
            message["join_ref"] = join_ref
        self.client.send_json(message)

    async def expect(self, join_ref: Any, ref: Any, topic: Any, event: str, payload: Any) -> None:
        message = await self.client.json()
        if self.vsn == V2:
            assert message == [join_ref, ref, topic, event, payload]
        else:
            assert message == {"topic": topic, "event": event, "payload": payload, "ref": ref}

    async def reply(self, join_ref: Any, ref: Any, topic: Any, payload: Any) -> None:
        await self.expect(join_ref, ref, topic, "phx_reply", payload)

    async def join(self, topic: str, ref: str = "1", payload: Any = None) -> None:
        self.send(ref, ref, topic, "phx_join", payload or {})
        await self.reply(ref, ref, topic, OK)

    async def silent(self) -> None:
        """Assert that nothing else was sent: the next frame answers a heartbeat."""
        self.send(None, "silent", "phoenix", "heartbeat", {})
        await self.reply(None, "silent", "phoenix", OK)


class Room(Channel):
    """Does what the event says."""

    intercept: ClassVar[frozenset[str]] = frozenset({"intercepted"})
    release: ClassVar[asyncio.Event]
    terminated: ClassVar[list[str]]

    def join(self, payload: Any) -> Reply | None:
        match payload:
            case {"do": "refuse"}:
                return error({"reason": "unauthorized"})
            case {"do": "reply"}:
                return ok([1, "two"])
            case {"do": "raise"}:
                raise RuntimeError("no")
            case {"do": "invalid"}:
                return "yes"  # pyright: ignore[reportReturnType] - what is tested
            case _:
                return None

    @on("echo")
    def echo(self, payload: Any) -> Reply:
        return Reply("ok", payload)

    @on("status")
    def status(self, payload: Any) -> Reply:
        return Reply("maybe", payload)

    @on("quiet")
    def quiet(self, payload: Any) -> None:
        del payload

    @on("slow")
    async def slow(self, payload: Any) -> Reply:
        await self.release.wait()
        return ok(payload)

    @on("twice")
    def twice(self, payload: Any) -> None:
        ref = self.reply_ref()
        self.reply(ref, ok({"n": 1}))
        self.reply(ref, error({"n": 2}))

    @on("order")
    def order(self, payload: Any) -> Reply:
        self.push("p1", {})
        self.broadcast("b1", {})
        self.push("p2", {})
        self.broadcast("intercepted", {})
        self.push("p3", {})
        return ok()

    def handle_out(self, event: str, payload: Any) -> None:
        self.push(event, {"seen": True})

    @on("others")
    def others(self, payload: Any) -> Reply:
        self.broadcast_from("news", payload)
        return ok()

    @on("stop")
    def stop_with(self, payload: Any) -> Stop:
        reply = ok({"bye": True}) if payload.get("reply") else None
        return Stop(payload["reason"], reply)

    @on("raise")
    def crash(self, payload: Any) -> None:
        raise RuntimeError("not for strangers")

    @on("invalid")
    def invalid(self, payload: Any) -> Any:
        return 17

    @on("bad push")
    def bad_push(self, payload: Any) -> None:
        self.push("list", [1])

    @on("bad broadcast")
    def bad_broadcast(self, payload: Any) -> None:
        self.broadcast("binary", b"\x00")

    def terminate(self, reason: str) -> None:
        self.terminated.append(reason)
        if reason == "left":
            self.push("last words", {})


class Lobby(Channel):
    """A channel whose join waits until the test decides."""

    release: ClassVar[asyncio.Event]
    entered: ClassVar[asyncio.Event]
    broadcast_to: ClassVar[Callable[..., int]]
    join_timeout: ClassVar[float | None] = 0.3

    async def join(self, payload: Any) -> None:
        type(self).broadcast_to(self.topic, "early", {})
        self.entered.set()
        await self.release.wait()
        type(self).broadcast_to(self.topic, "late", {})

    @on("later")
    def later(self, payload: Any) -> None:
        ref = self.reply_ref()
        asyncio.get_running_loop().call_soon(self.reply, ref, ok({"later": True}))

    @on("binary")
    def binary(self, payload: Any) -> None:
        self.push("bytes", b"\x00\x01")

    def joined(self) -> None:
        self.push("welcome", {})


class RoomSocket(Socket):
    channels = (
        Route("room:*", Room),
        Route("lobby:*", Lobby),
        Route("exact", Room),
        Route("assigned", Room, {"a": 1}),
    )

    def connect(self, params: dict[str, Any], info: ConnectInfo) -> None:
        self.assigns["user"] = params.get("user")

    def id(self) -> str | None:
        user = self.assigns["user"]
        return f"user:{user}" if user else None
