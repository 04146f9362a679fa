"""Joins when the server drains: refused with a reason, unless the channel says otherwise."""

from typing import Any, ClassVar

from channel_server.channel import Channel
from channel_server.socket import Route, Socket
from channel_server.testing.recording import RecordedClient, RecordedMount

REFUSED = {"status": "error", "response": {"reason": "draining"}}
OK: dict[str, Any] = {"status": "ok", "response": {}}


class Room(Channel):
    joins: ClassVar[int] = 0

    def join(self, payload: Any) -> None:
        Room.joins += 1


class Patient(Room):
    joins_while_draining: ClassVar[bool] = True


class RoomSocket(Socket):
    channels = (Route("room:*", Room), Route("run:*", Patient))


def draining() -> tuple[RecordedMount, RecordedClient]:
    mount = RecordedMount(RoomSocket)
    client = mount.joined()
    mount.context.gate.draining = True
    Room.joins = 0
    return mount, client


def test_a_join_is_refused_as_draining_and_not_asked_for() -> None:
    mount, client = draining()
    client.send("2", "2", "room:2", "phx_join", {})
    assert client.take() == [["2", "2", "room:2", "phx_reply", REFUSED]]
    assert Room.joins == 0
    assert mount.metrics.joins["draining"] == 1
    assert client.connection.topics() == ["room:1"]


def test_a_second_join_of_a_topic_ends_the_first_and_is_refused() -> None:
    _, client = draining()
    client.send("2", "2", "room:1", "phx_join", {})
    events = [(frame[0], frame[3]) for frame in client.take()]
    assert events == [("2", "phx_reply"), ("1", "phx_close")]
    assert client.connection.topics() == []


def test_a_channel_that_no_client_survives_being_refused_is_joined_all_the_same() -> None:
    _, client = draining()
    client.send("2", "2", "run:1", "phx_join", {})
    assert client.take() == [["2", "2", "run:1", "phx_reply", OK]]


def test_messages_of_channels_that_are_joined_go_on() -> None:
    _, client = draining()
    client.send("1", "2", "room:1", "phx_leave", {})
    assert client.take()[0] == ["1", "2", "room:1", "phx_reply", OK]
