"""Defining channels and sockets."""

from typing import Any

import pytest

from channel_server import (
    BadReturn,
    Channel,
    ConnectInfo,
    DefinitionError,
    Refuse,
    Reply,
    Route,
    Socket,
    Stop,
    error,
    ok,
    on,
)
from channel_server.socket import connect


class Base(Channel):
    def join(self, payload: Any) -> None: ...

    @on("a")
    def handle_a(self, payload: Any) -> Reply:
        return ok("base a")

    @on("b")
    @on("c")
    def handle_b(self, payload: Any) -> Reply:
        return ok("base b")


class Derived(Base):
    def handle_a(self, payload: Any) -> Reply:
        return ok("derived a")

    @on("c")
    def handle_c(self, payload: Any) -> Reply:
        return ok("derived c")


def test_handlers_are_collected_by_event() -> None:
    assert set(Base.handlers) == {"a", "b", "c"}
    assert Channel.handlers == {}


def test_a_subclass_overrides_handlers_by_method_or_by_event() -> None:
    assert Derived.handlers["a"] is Derived.handle_a
    assert Derived.handlers["b"] is Base.handle_b
    assert Derived.handlers["c"] is Derived.handle_c


def test_two_handlers_of_one_event_are_a_definition_error() -> None:
    with pytest.raises(DefinitionError, match="two handlers of 'x'"):

        class Twice(Base):  # pyright: ignore[reportUnusedClass] defining it is the test
            @on("x")
            def one(self, payload: Any) -> None: ...

            @on("x")
            def two(self, payload: Any) -> None: ...


def test_replies_default_to_an_empty_object() -> None:
    assert ok() == Reply("ok", {})
    assert error() == Reply("error", {})
    assert ok(0) == Reply("ok", 0)
    assert error([]) == Reply("error", [])


def test_only_normal_and_shutdown_are_graceful() -> None:
    assert Stop().graceful
    assert Stop("shutdown").graceful
    assert not Stop("whatever").graceful


@pytest.mark.parametrize(
    ("pattern", "topic", "matches"),
    [
        ("room:1", "room:1", True),
        ("room:1", "room:12", False),
        ("room:*", "room:", True),
        ("room:*", "room:a:b", True),
        ("room:*", "room", False),
        ("foo*", "foo:1", True),
        ("*", "", True),
        ("*", "anything", True),
    ],
)
def test_a_route_is_exact_or_a_prefix(pattern: str, topic: str, *, matches: bool) -> None:
    assert Route(pattern, Base).matches(topic) is matches


@pytest.mark.parametrize("pattern", ["*:1", "room:*:x", "**"])
def test_a_star_elsewhere_is_a_definition_error(pattern: str) -> None:
    with pytest.raises(DefinitionError):
        Route(pattern, Base)


def test_a_channel_without_join_is_a_definition_error() -> None:
    class Open(Channel):
        pass

    with pytest.raises(DefinitionError, match="Open defines no join"):
        Route("x", Open)


def test_the_first_matching_route_wins() -> None:
    class UserSocket(Socket):
        channels = (Route("room:1", Base), Route("room:*", Derived), Route("room:2", Base))

    assert UserSocket.route("room:1") is UserSocket.channels[0]
    assert UserSocket.route("room:2") is UserSocket.channels[1]
    assert UserSocket.route("x") is None
    assert UserSocket.events() == {"a", "b", "c"}


def decide(socket: Socket, params: dict[str, Any]) -> Refuse | None:
    socket.assigns["user"] = params["user"]
    return Refuse(429, "slow down") if params["user"] == "eve" else None


class Plain(Socket):
    def connect(self, params: dict[str, Any], info: ConnectInfo) -> Refuse | None:
        return decide(self, params)


class Waiting(Socket):
    async def connect(self, params: dict[str, Any], info: ConnectInfo) -> Refuse | None:
        return decide(self, params)


@pytest.mark.parametrize("socket_class", [Plain, Waiting])
async def test_connect_may_be_plain_or_a_coroutine(socket_class: type[Socket]) -> None:
    info = ConnectInfo(host="example.org")
    socket = await connect(socket_class, {"user": "ann"}, info)
    assert isinstance(socket, socket_class)
    assert socket.assigns == {"user": "ann"}
    assert socket.info is info
    assert socket.id() is None
    assert await connect(socket_class, {"user": "eve"}, info) == Refuse(429, "slow down")


async def test_connect_accepts_by_default() -> None:
    assert isinstance(await connect(Socket, {}, ConnectInfo()), Socket)


async def test_connect_that_returns_something_else_is_an_error() -> None:
    class Wrong(Socket):
        def connect(self, params: dict[str, Any], info: ConnectInfo) -> Any:
            return True

    with pytest.raises(BadReturn, match="result of connect must be None or a Refuse, not bool"):
        await connect(Wrong, {}, ConnectInfo())
