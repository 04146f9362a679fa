"""What waits for a client that is behind: newest states, grown references, everything in order."""

import json
from typing import Any

import pytest

from channel_server.pubsub import Broadcast, StandIn
from channel_server.serializer import Encoded, negotiate
from channel_server.transport.backlog import Backlog

V2 = negotiate("2.0.0")


def state(key: str, version: int, topic: str = "t") -> Broadcast:
    return Broadcast(topic, "state", {"key": key, "version": version}, coalesce=key)


def lines(version: int, topic: str = "t") -> Broadcast:
    there = StandIn("there", {"after": version - 1, "until": version}, ("after",))
    return Broadcast(topic, "lines", {"lines": ["x" * 1000], "version": version}, stand_in=there)


def plain(version: int, topic: str = "t") -> Broadcast:
    return Broadcast(topic, "step", {"version": version})


@pytest.fixture
def backlog() -> Backlog:
    assert V2 is not None
    return Backlog(V2)


def drain(backlog: Backlog) -> list[list[Any]]:
    found: list[list[Any]] = []
    while backlog:
        entry = backlog.take()
        if isinstance(entry, Broadcast):
            found.append([entry.topic, entry.event, entry.payload])
        else:
            found.append(json.loads(entry.data)[2:])
    assert backlog.bytes == 0
    return found


def test_the_newest_state_of_a_key_takes_the_place_of_the_older(backlog: Backlog) -> None:
    left_out = [backlog.put(state(key, n)) for n, key in enumerate("abab", start=1)]
    assert left_out == [0, 0, 1, 1]
    assert drain(backlog) == [
        ["t", "state", {"key": "a", "version": 3}],
        ["t", "state", {"key": "b", "version": 4}],
    ]


def test_entries_go_out_in_the_order_of_their_latest_versions(backlog: Backlog) -> None:
    for broadcast in (state("a", 1), plain(2), state("a", 3), plain(4)):
        backlog.put(broadcast)
    assert [payload["version"] for _, _, payload in drain(backlog)] == [2, 3, 4]


def test_consecutive_stand_ins_become_one_that_names_the_whole_range(backlog: Backlog) -> None:
    assert [backlog.put(lines(n)) for n in (6, 7, 8)] == [1, 1, 1]
    assert drain(backlog) == [["t", "there", {"after": 5, "until": 8}]]


def test_a_stand_in_does_not_grow_past_what_came_between(backlog: Backlog) -> None:
    for broadcast in (lines(1), plain(2), lines(3), lines(4)):
        backlog.put(broadcast)
    assert [payload for _, _, payload in drain(backlog)] == [
        {"after": 0, "until": 1},
        {"version": 2},
        {"after": 2, "until": 4},
    ]


def test_with_a_key_the_newest_stand_in_is_the_one_that_is_sent(backlog: Backlog) -> None:
    for n in (1, 2):
        there = StandIn("there", {"until": n})
        backlog.put(Broadcast("t", "big", {"n": n}, coalesce="k", stand_in=there))
    assert drain(backlog) == [["t", "there", {"until": 2}]]


def test_keys_of_different_topics_are_different(backlog: Backlog) -> None:
    backlog.put(state("a", 1, "one"))
    backlog.put(state("a", 1, "two"))
    assert len(backlog) == 2


def test_topics_take_turns(backlog: Backlog) -> None:
    for n in range(3):
        backlog.put(plain(n, "busy"))
    backlog.put(plain(9, "quiet"))
    assert [topic for topic, _, _ in drain(backlog)] == ["busy", "quiet", "busy", "busy"]


def test_replies_and_pushes_keep_their_place(backlog: Backlog) -> None:
    backlog.put(state("a", 1))
    assert backlog.holds("t")
    assert not backlog.holds("other")
    assert not backlog.holds(["t"])
    backlog.put_encoded("t", Encoded(False, b'[null,"5","t","phx_reply",{}]'))
    backlog.put(plain(2))
    assert [event for _, event, _ in drain(backlog)] == ["state", "phx_reply", "step"]


def test_what_waits_is_counted_in_bytes_and_less_when_it_is_replaced(backlog: Backlog) -> None:
    backlog.put(state("a", 1))
    once = backlog.bytes
    backlog.put(state("a", 2))
    assert backlog.bytes == once
    for n in range(100):
        backlog.put(lines(n))
    assert backlog.bytes < 2 * once
