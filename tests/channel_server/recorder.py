"""A socket that remembers who connected, and how to ask for an upgrade."""

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from channel_server.endpoint import Endpoint
from channel_server.socket import ConnectInfo, Refuse, Socket
from channel_server.testing.raw import RawClient
from channel_server.testing.raw import Response as Answer

Serve = Callable[..., Awaitable[Endpoint]]
Raw = Callable[..., Awaitable[RawClient]]


class Recorder(Socket):
    """Accepts everybody and remembers what `connect` was given."""

    calls: ClassVar[list[tuple[dict[str, Any], ConnectInfo]]] = []

    def connect(self, params: dict[str, Any], info: ConnectInfo) -> None:
        type(self).calls.append((params, info))


class Asking(Socket):
    """Does what the query asks for."""

    def connect(self, params: dict[str, Any], info: ConnectInfo) -> Any:
        match params.get("do"):
            case "refuse":
                return Refuse()
            case "slow_down":
                return Refuse(429, "slow down")
            case "odd_status":
                return Refuse(499, "no")
            case "raise":
                raise RuntimeError("not for strangers")
            case "invalid":
                return "yes"
            case _:
                return None

    def id(self) -> str | None:
        return "user:1"


async def ask(raw: Raw, endpoint: Endpoint, target: str, *headers: tuple[str, str]) -> Answer:
    client = await raw(endpoint)
    return await client.upgrade(target, headers)


def params_of(recorder: type[Recorder]) -> dict[str, Any]:
    return recorder.calls[-1][0]
