"""One client end to end, without a network: phoenix-protocol sections 1.6, 2, 3 and 4.1."""

from typing import Any

import pytest

from channel_server.testing.recording import RecordedMount as Mount
from tests.channel_server.room import OK_JOIN, UserSocket, response


@pytest.fixture
def mount() -> Mount:
    return Mount(UserSocket)


# Replies that need no channel.


def test_heartbeat_reply_has_null_join_ref_even_if_the_client_sent_one(
    mount: Mount,
) -> None:
    client = mount.client()
    client.send("9", "5", "phoenix", "heartbeat", {})
    assert client.take() == [[None, "5", "phoenix", "phx_reply", {"status": "ok", "response": {}}]]


@pytest.mark.parametrize("topic", ["nowhere", "room:1", 7, None, [1], {"a": 1}])
def test_unmatched_topic_reply_has_null_join_ref_and_echoes_the_topic(
    mount: Mount, topic: Any
) -> None:
    client = mount.client()
    client.send("9", "5", topic, "shout", {})
    assert client.take() == [
        [
            None,
            "5",
            topic,
            "phx_reply",
            {"status": "error", "response": {"reason": "unmatched topic"}},
        ]
    ]


def test_unmatched_topics_are_counted_each_and_logged_once(mount: Mount) -> None:
    client = mount.client()
    for _ in range(3):
        client.send(None, "1", "nowhere", "shout", {})
    assert mount.metrics.drops["unmatched"] == 3
    assert len(mount.lines("message_refused")) == 1


def test_leave_of_an_unknown_topic_is_ok_with_the_messages_join_ref(mount: Mount) -> None:
    client = mount.client()
    client.send("9", "5", "nowhere", "phx_leave", {})
    assert client.take() == [["9", "5", "nowhere", "phx_reply", {"status": "ok", "response": {}}]]


def test_stale_messages_are_dropped_silently_and_counted(mount: Mount) -> None:
    client = mount.joined()
    client.send("0", "5", "room:1", "echo", {})
    client.send("0", "6", "room:1", "phx_leave", {})
    assert client.take() == []
    assert mount.metrics.drops["stale"] == 2
    client.send("1", "7", "room:1", "echo", {})
    assert len(client.take()) == 1


def test_too_many_channels_is_an_error_reply_with_the_join_ref(mount: Mount) -> None:
    mount = Mount(UserSocket, max_topics=2)
    client = mount.client()
    for n in (1, 2, 3):
        client.send(str(n), str(n), f"room:{n}", "phx_join", {})
    refused = client.take()[2]
    assert refused[:2] == ["3", "3"]
    assert refused[4] == {"status": "error", "response": {"reason": "too many channels joined"}}
    client.send("4", "4", "room:1", "phx_join", {})
    assert client.take()[0][4]["status"] == "ok"
    client.send("2", "5", "room:2", "phx_leave", {})
    client.send("6", "6", "room:3", "phx_join", {})
    assert client.take()[-1][4]["status"] == "ok"


# Joins and replies.


def test_join_without_a_reply_answers_an_empty_object(mount: Mount) -> None:
    client = mount.client()
    client.send("1", "1", "room:1", "phx_join", {})
    assert client.take() == [OK_JOIN]
    assert client.connection.topics() == ["room:1"]


@pytest.mark.parametrize("payload", ["text", 1, [1], {"a": None}])
def test_join_gets_any_json_payload_and_may_answer_it(mount: Mount, payload: Any) -> None:
    client = mount.client()
    client.send("1", "1", "room:1", "phx_join", payload)
    assert response(client.take()[0]) == payload


def test_refused_join_frees_the_topic_without_close_or_error(mount: Mount) -> None:
    client = mount.client()
    client.send("1", "1", "room:1", "phx_join", "refuse")
    client.send("1", "2", "room:1", "echo", {})
    refused, unmatched = client.take()
    assert refused[4] == {"status": "error", "response": {"reason": "no"}}
    assert response(unmatched) == {"reason": "unmatched topic"}
    assert mount.pubsub.subscribers("room:1") == 0


def test_channels_get_the_assigns_of_socket_and_route_as_a_copy(mount: Mount) -> None:
    client = mount.joined(user="ann", kind="socket")
    client.send("1", "2", "room:1", "assigns", {})
    assert response(client.take()[0]) == {"user": "ann", "kind": "room"}
    assert client.connection.socket.assigns == {"user": "ann", "kind": "socket"}


def test_join_with_null_join_ref_falls_back_to_ref_for_pushes(mount: Mount) -> None:
    client = mount.client()
    client.send(None, "1", "room:1", "phx_join", {})
    client.send("1", "2", "room:1", "push", {"stale": True})
    client.send(None, "3", "room:1", "push", {"n": 1})
    client.send(None, "4", "room:1", "boom", {})
    join_reply, push, crash = client.take()
    assert join_reply[:2] == [None, "1"]
    assert push == ["1", None, "room:1", "pushed", {"n": 1}]
    assert crash[:2] == [None, None]


def test_push_carries_join_ref_and_null_ref(mount: Mount) -> None:
    client = mount.joined()
    client.send("1", "2", "room:1", "push", {"n": 1})
    assert client.take() == [["1", None, "room:1", "pushed", {"n": 1}]]


@pytest.mark.parametrize("status", ["ok", "error", "accepted", ""])
def test_status_is_any_string(mount: Mount, status: str) -> None:
    client = mount.joined()
    client.send("1", "2", "room:1", "status", status)
    assert client.take()[0][4]["status"] == status


def test_noreply_sends_nothing(mount: Mount) -> None:
    client = mount.joined()
    client.send("1", "2", "room:1", "quiet", {})
    assert client.take() == []


def test_reply_to_a_null_ref_has_a_null_ref(mount: Mount) -> None:
    client = mount.joined()
    client.send("1", None, "room:1", "echo", {})
    assert client.take()[0][:2] == ["1", None]


def test_binary_push_and_binary_reply(mount: Mount) -> None:
    client = mount.client()
    client.send("12", "12", "room:bin", "phx_join", {})
    client.connection.receive_binary(b"\x00\x02\x03\x08\x0612123room:binbinary\x01\x02")
    client.connection.receive_binary(b"\x00\x02\x03\x08\x0512124room:binquiet")
    assert client.take()[1:] == [b"\x01\x02\x03\x08\x0212123room:binok\x01\x02\x09"]


def test_binary_push_with_empty_join_ref_is_accepted(mount: Mount) -> None:
    client = mount.joined()
    client.connection.receive_binary(b"\x00\x00\x01\x06\x065room:1binary")
    assert client.take() == [b"\x01\x01\x01\x06\x0215room:1ok\x01\x02\x09"]


def test_errors_about_binary_pushes_are_text(mount: Mount) -> None:
    client = mount.client()
    client.connection.receive_binary(b"\x00\x00\x01\x01\x015tx")
    assert response(client.take()[0]) == {"reason": "unmatched topic"}


def test_binary_frame_may_carry_join_and_heartbeat(mount: Mount) -> None:
    client = mount.client()
    client.connection.receive_binary(b"\x00\x01\x01\x06\x0811room:1phx_join")
    client.connection.receive_binary(b"\x00\x00\x01\x07\x092phoenixheartbeat")
    join_reply, heartbeat = client.take()
    assert join_reply == OK_JOIN
    assert heartbeat[:3] == [None, "2", "phoenix"]


# V1.


def test_v1_conversation(mount: Mount) -> None:
    client = mount.client("1.0.0")
    client.send_v1(topic="room:1", event="phx_join", payload={}, ref="1")
    client.send_v1(topic="room:1", event="push", payload={"n": 1}, ref="2")
    client.send_v1(topic="room:1", event="phx_leave", payload={}, ref="3")
    join_reply, push, leave_reply, closed = client.take()
    assert join_reply == {
        "topic": "room:1",
        "event": "phx_reply",
        "payload": {"status": "ok", "response": {}},
        "ref": "1",
    }
    assert push == {"topic": "room:1", "event": "pushed", "payload": {"n": 1}, "ref": None}
    assert leave_reply["ref"] == "3"
    assert closed == {"topic": "room:1", "event": "phx_close", "payload": {}, "ref": None}


def test_v1_phx_close_carries_the_join_ref_the_client_gave(mount: Mount) -> None:
    client = mount.client("1.0.0")
    client.send_v1(topic="room:1", event="phx_join", payload={}, ref="1", join_ref="7")
    client.send_v1(topic="room:1", event="boom", payload={}, ref="2")
    assert client.take()[1]["ref"] == "7"


def test_v1_binary_frame_with_json_text_works(mount: Mount) -> None:
    client = mount.client(None)
    frame = b'{"topic":"phoenix","event":"heartbeat","payload":{},"ref":"1"}'
    client.connection.receive_binary(frame)
    assert client.take()[0]["ref"] == "1"


def test_v1_client_is_not_told_of_a_close_it_would_take_for_its_new_channel(
    mount: Mount,
) -> None:
    client = mount.client("1.0.0")
    for ref in ("1", "2"):
        client.send_v1(topic="room:1", event="phx_join", payload={}, ref=ref)
    assert [frame["event"] for frame in client.take()] == ["phx_reply", "phx_reply"]
    client.send_v1(topic="room:1", event="phx_join", payload="refuse", ref="3")
    assert [frame["event"] for frame in client.take()] == ["phx_reply", "phx_close"]


# Malformed frames, forced disconnects.


@pytest.mark.parametrize(
    ("binary", "data", "code"),
    [
        (False, b"nope", 1007),
        (False, b"{}", 1008),
        (False, b"[" * 1000 + b"]" * 1000, 1008),
        (True, b"\x07", 1003),
        (True, b"", 1008),
    ],
)
def test_malformed_frame_closes_with_a_precise_code_and_no_traceback(
    mount: Mount, data: bytes, code: int, *, binary: bool
) -> None:
    client = mount.joined()
    receive = client.connection.receive_binary if binary else client.connection.receive_text
    receive(data)
    assert client.transport.closed is not None
    assert client.transport.closed[0] == code
    assert client.take() == []
    assert "exc_info" not in mount.lines("protocol_error")[0]
    assert sum(mount.metrics.protocol_errors.values()) == 1
    client.send("1", "2", "room:1", "echo", {})
    assert client.take() == []


def test_disconnect_on_the_socket_id_closes_1001_without_channel_frames(
    mount: Mount,
) -> None:
    ann, bob = mount.joined(id="user:ann"), mount.joined(id="user:bob")
    mount.pubsub.broadcast("user:ann", "disconnect", {})
    assert ann.transport.closed == (1001, "disconnect")
    assert ann.take() == []
    assert bob.transport.closed is None


def test_other_events_on_the_socket_id_are_ignored(mount: Mount) -> None:
    client = mount.joined(id="user:ann")
    mount.pubsub.broadcast("user:ann", "other", {})
    assert client.transport.closed is None
    assert client.take() == []
    client.connection.disconnected()
    assert mount.pubsub.topics() == []


def test_nothing_is_sent_or_kept_after_the_disconnect(mount: Mount) -> None:
    client = mount.joined()
    client.connection.disconnected()
    client.connection.disconnected()
    client.send("1", "2", "room:1", "echo", {})
    assert client.take() == []
    assert client.connection.topics() == []
    assert mount.pubsub.topics() == []


def test_channels_are_shown(mount: Mount) -> None:
    client = mount.joined()
    (info,) = client.connection.channels()
    assert (info.topic, info.channel, info.join_ref) == ("room:1", "RoomChannel", "1")
    assert (info.busy, info.queued) == (False, 0)


def test_handled_events_are_counted_by_status(mount: Mount) -> None:
    mount.metrics.declare_events(UserSocket.events())
    client = mount.joined()
    for event in ("echo", "quiet", "boom"):
        client.send("1", "2", "room:1", event, {})
    text = mount.metrics.render().decode()
    assert 'channel_server_events_total{event="echo",status="ok"} 1.0' in text
    assert 'channel_server_events_total{event="quiet",status="noreply"} 1.0' in text
    assert 'channel_server_events_total{event="boom",status="crash"} 1.0' in text
    assert 'channel_server_joins_total{result="ok"} 1.0' in text
