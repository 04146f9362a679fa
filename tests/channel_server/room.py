"""One room whose channel does at once what a message says."""

from typing import Any

from channel_server import Channel, HandlerResult, Reply, Route, Socket, Stop, error, ok, on

OK_JOIN: list[Any] = ["1", "1", "room:1", "phx_reply", {"status": "ok", "response": {}}]
CRASHED: list[Any] = ["1", "1", "room:1", "phx_error", {"reason": "channel_crash"}]
CLOSED: list[Any] = ["1", "1", "room:1", "phx_close", {}]


class RoomChannel(Channel):
    intercept = frozenset({"secret"})

    def join(self, payload: Any) -> Reply | None:
        if payload == "refuse":
            return error({"reason": "no"})
        return ok(payload) if payload else None

    @on("echo")
    def echo(self, payload: Any) -> Reply:
        return ok(payload)

    @on("status")
    def status(self, payload: Any) -> Reply:
        return Reply(payload, {})

    @on("quiet")
    def quiet(self, payload: Any) -> None: ...

    @on("assigns")
    def show_assigns(self, payload: Any) -> Reply:
        return ok(self.assigns)

    @on("push")
    def push_back(self, payload: Any) -> None:
        self.push("pushed", payload)

    @on("push_event")
    def push_event(self, payload: Any) -> None:
        self.push(payload, {})

    @on("shout")
    def shout(self, payload: Any) -> Reply:
        return ok({"told": self.broadcast("shouted", payload)})

    @on("whisper")
    def whisper(self, payload: Any) -> Reply:
        return ok({"told": self.broadcast_from("shouted", payload)})

    @on("stop")
    def stop_now(self, payload: Any) -> Stop:
        return Stop(payload, reply=ok({"bye": True}))

    @on("stop_silently")
    def stop_silently(self, payload: Any) -> Stop:
        return Stop(payload)

    @on("binary")
    def binary(self, payload: Any) -> Reply:
        return ok(b"\x01\x02\x09")

    @on("boom")
    def boom(self, payload: Any) -> HandlerResult:
        raise ZeroDivisionError("boom")

    @on("bad_return")
    def bad_return(self, payload: Any) -> Any:
        return payload

    @on("order")
    def order(self, payload: Any) -> Reply:
        self.push("p", {"n": 1})
        self.broadcast("b", {"n": 1})
        self.push("p", {"n": 2})
        self.broadcast("secret", {"n": 1})
        self.push("p", {"n": 3})
        return ok()


class UserSocket(Socket):
    channels = (
        Route("room:*", RoomChannel, assigns={"kind": "room"}),
        Route("phoenix:*", RoomChannel),
    )

    def id(self) -> str | None:
        return self.assigns.get("id")


def response(frame: Any) -> Any:
    return frame[4]["response"]
