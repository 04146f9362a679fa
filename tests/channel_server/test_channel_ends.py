"""How channels end, and what they broadcast: phoenix-protocol sections 4.2, 4.3, 4.6, 5 and 6."""

from typing import Any

import pytest

from channel_server import (
    Broadcast,
)
from channel_server.testing.recording import RecordedMount as Mount
from channel_server.testing.recording import settle
from tests.channel_server.room import CLOSED, CRASHED, UserSocket, response


@pytest.fixture
def mount() -> Mount:
    return Mount(UserSocket)


# Ends.


def test_leave_answers_then_closes(mount: Mount) -> None:
    client = mount.joined()
    client.send("1", "2", "room:1", "phx_leave", {})
    assert client.take() == [
        ["1", "2", "room:1", "phx_reply", {"status": "ok", "response": {}}],
        CLOSED,
    ]
    assert client.connection.topics() == []
    assert mount.pubsub.topics() == []


@pytest.mark.parametrize(
    ("reason", "end"), [("normal", CLOSED), ("shutdown", CLOSED), ("whatever", CRASHED)]
)
def test_stop_closes_or_errors_by_its_reason(mount: Mount, reason: str, end: list[Any]) -> None:
    client = mount.joined()
    client.send("1", "2", "room:1", "stop", reason)
    reply, last = client.take()
    assert reply[4] == {"status": "ok", "response": {"bye": True}}
    assert last == end
    client = mount.joined()
    client.send("1", "2", "room:1", "stop_silently", reason)
    assert client.take() == [end]


def test_crash_is_phx_error_one_log_line_and_a_metric(mount: Mount) -> None:
    client = mount.joined()
    client.send("1", "2", "room:1", "boom", {})
    assert client.take() == [CRASHED]
    (line,) = mount.lines("channel_crashed")
    assert isinstance(line["exc_info"], ZeroDivisionError)
    assert (line["topic"], line["event_name"]) == ("room:1", "boom")
    assert mount.metrics.crashes == {"handle_in": 1}


def test_after_phx_error_the_topic_is_free_and_a_new_join_works(mount: Mount) -> None:
    client = mount.joined()
    client.send("1", "2", "room:1", "boom", {})
    client.send("1", "3", "room:1", "echo", {})
    client.send("4", "4", "room:1", "phx_join", {})
    _, unmatched, join_reply = client.take()
    assert response(unmatched) == {"reason": "unmatched topic"}
    assert join_reply[4]["status"] == "ok"


def test_crash_of_one_channel_leaves_the_others_alone(mount: Mount) -> None:
    client = mount.joined()
    client.send("2", "2", "room:2", "phx_join", {})
    client.send("1", "3", "room:1", "boom", {})
    client.send("2", "4", "room:2", "echo", {})
    assert response(client.take()[-1]) == {}
    assert client.transport.closed is None


@pytest.mark.parametrize("event", ["nope", "__proto__", "", 7, None, [], {}])
def test_unknown_event_is_phx_error_without_a_traceback(mount: Mount, event: Any) -> None:
    client = mount.joined()
    client.send("1", "2", "room:1", event, {})
    assert client.take() == [CRASHED]
    (line,) = mount.lines("event_refused")
    assert line["log_level"] == "warning"
    assert "exc_info" not in line
    assert mount.metrics.crashes == {"handle_in": 1}


@pytest.mark.parametrize("returned", ["text", {"status": "ok"}, 0, False, ["ok"]])
def test_bad_return_is_phx_error(mount: Mount, returned: Any) -> None:
    client = mount.joined()
    client.send("1", "2", "room:1", "bad_return", returned)
    assert client.take() == [CRASHED]


@pytest.mark.parametrize("status", [1, None, {}])
def test_bad_reply_status_is_phx_error(mount: Mount, status: Any) -> None:
    client = mount.joined()
    client.send("1", "2", "room:1", "status", status)
    assert client.take() == [CRASHED]


@pytest.mark.parametrize("payload", [[], None, "text", 1])
def test_bad_push_payload_is_phx_error(mount: Mount, payload: Any) -> None:
    client = mount.joined()
    client.send("1", "2", "room:1", "push", payload)
    assert client.take() == [CRASHED]


@pytest.mark.parametrize("event", ["phx_join", "phx_leave", "phx_reply", "phx_close", "phx_error"])
def test_reserved_events_cannot_be_pushed(mount: Mount, event: str) -> None:
    client = mount.joined()
    client.send("1", "2", "room:1", "push_event", event)
    assert client.take() == [CRASHED]


def test_a_ref_too_long_for_a_binary_reply_gives_no_traceback(mount: Mount) -> None:
    client = mount.joined()
    client.send("1", "x" * 256, "room:1", "binary", {})
    assert client.take() == [CRASHED]
    assert "exc_info" not in mount.lines("event_refused")[0]
    assert mount.lines("channel_crashed") == []


# Broadcasts.


def test_broadcast_reaches_all_with_null_refs_sender_included(mount: Mount) -> None:
    one, two = mount.joined(), mount.joined()
    one.send("1", "2", "room:1", "shout", {"n": 1})
    told, reply = one.take()
    assert told == [None, None, "room:1", "shouted", {"n": 1}]
    assert response(reply) == {"told": 2}
    assert two.take() == [told]


def test_broadcast_from_skips_the_sending_channel_only(mount: Mount) -> None:
    one, two = mount.joined(user="ann"), mount.joined(user="ann")
    one.send("1", "2", "room:1", "whisper", {"n": 1})
    assert response(one.take()[0]) == {"told": 1}
    assert len(two.take()) == 1


def test_bad_broadcast_payload_is_phx_error_and_reaches_nobody(mount: Mount) -> None:
    one, two = mount.joined(), mount.joined()
    one.send("1", "2", "room:1", "shout", [])
    assert one.take() == [CRASHED]
    assert two.take() == []


async def test_order_of_pushes_broadcasts_and_intercepted_ones(mount: Mount) -> None:
    client = mount.joined()
    client.send("1", "2", "room:1", "order", {})
    await settle()
    frames = client.take()
    events = [(frame[3], frame[4].get("n")) for frame in frames]
    assert events == [
        ("p", 1),
        ("b", 1),
        ("p", 2),
        ("p", 3),
        ("phx_reply", None),
        ("secret", 1),
    ]
    assert frames[-1][:2] == ["1", None]


async def test_intercepted_broadcast_comes_before_what_the_client_sends_next(
    mount: Mount,
) -> None:
    client = mount.joined()
    mount.pubsub.broadcast("room:1", "secret", {"n": 1})
    client.send("1", "2", "room:1", "echo", {})
    await settle()
    assert [frame[3] for frame in client.take()] == ["secret", "phx_reply"]


class Listener:
    """One of many."""

    def deliver(self, broadcast: Broadcast) -> None: ...


async def test_a_channel_gets_its_own_broadcast_in_order_in_a_large_room(mount: Mount) -> None:
    for _ in range(1000):
        mount.pubsub.subscribe("room:1", Listener())
    client = mount.joined()
    client.send("1", "2", "room:1", "shout", {"n": 1})
    assert [frame[3] for frame in client.take()] == ["shouted", "phx_reply"]
    await settle()
    assert client.take() == []
