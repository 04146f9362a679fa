"""A small application to test clients and transports against: rooms that echo, shout and fail.

| event | answer |
| --- | --- |
| `echo` | ok with the payload, text or binary |
| `shout` | broadcasts `shouted` with the payload, then ok |
| `whisper` | pushes `whispered` with the payload to the sender, no reply |
| `fail` | error `{"reason": "failed"}` |
| `silent` | nothing |
| `crash` | the channel crashes: `phx_error` |
| `stop` | ok, then the channel closes: `phx_close` |

A join with `{"refuse": true}` is refused with `{"reason": "refused"}`, one with `{"crash": true}`
crashes, any other is answered with `{"room": topic, "got": payload}`. A connection with the param
`refuse` is refused with 403. The topics are `room:*`.
"""

from typing import Any, cast

from channel_server.channel import Channel, HandlerResult, JoinResult, Stop, error, ok, on
from channel_server.socket import ConnectInfo, Refuse, Route, Socket


class RoomCrashed(RuntimeError):  # noqa: N818 - named for what happened
    """What the `crash` event raises."""


class RoomChannel(Channel):
    """One client in one room; the module says what it answers."""

    async def join(self, payload: Any) -> JoinResult:
        """Refuse, crash or accept, as the client asks for."""
        asked = cast("dict[str, Any]", payload) if isinstance(payload, dict) else {}
        if asked.get("crash"):
            raise RoomCrashed
        if asked.get("refuse"):
            return error({"reason": "refused"})
        if isinstance(payload, bytes):
            return ok(payload)
        return ok({"room": self.topic, "got": payload})

    @on("echo")
    def echo(self, payload: Any) -> HandlerResult:
        """Answer with what came."""
        return ok(payload)

    @on("shout")
    async def shout(self, payload: Any) -> HandlerResult:
        """Tell everybody in the room."""
        self.broadcast("shouted", payload)
        return ok()

    @on("whisper")
    def whisper(self, payload: Any) -> HandlerResult:
        """Tell the sender alone."""
        self.push("whispered", payload)

    @on("fail")
    def fail(self, payload: Any) -> HandlerResult:
        """Answer with an error."""
        return error({"reason": "failed"})

    @on("silent")
    def silent(self, payload: Any) -> HandlerResult:
        """Answer nothing."""

    @on("crash")
    async def crash(self, payload: Any) -> HandlerResult:
        """Crash."""
        raise RoomCrashed

    @on("stop")
    def stop_now(self, payload: Any) -> HandlerResult:
        """Answer, then close."""
        return Stop("normal", ok())


class RoomSocket(Socket):
    """Lets everybody in but those who ask to be refused."""

    channels = (Route("room:*", RoomChannel),)

    def connect(self, params: dict[str, Any], info: ConnectInfo) -> Refuse | None:
        """Refuse when asked to."""
        if "refuse" in params:
            return Refuse(403, "refused as asked")
        self.assigns["params"] = params
        return None

    def id(self) -> str | None:
        """The param `name`, if there is one: broadcast `disconnect` on `user:<name>`."""
        name = self.assigns["params"].get("name")
        return f"user:{name}" if name else None
