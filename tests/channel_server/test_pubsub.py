"""Broadcasts: phoenix-protocol sections 5 and 6, deviations 15.5 and 15.6."""

import asyncio
from typing import Any

import pytest

from channel_server.errors import EncodeError, ReservedEvent
from channel_server.metrics import Metrics
from channel_server.pubsub import Broadcast, PubSub
from channel_server.serializer import V1, V2, Encoded
from channel_server.testing.recording import until

V1_, V2_ = V1(), V2()


class Listener:
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def deliver(self, broadcast: Broadcast) -> None:
        self.heard.append(broadcast.payload["n"])


class CountingV2(V2):
    """Counts what it encodes."""

    __slots__ = ("encoded",)

    def __init__(self) -> None:
        super().__init__()
        self.encoded = 0

    def encode_broadcast(self, topic: str, event: str, payload: Any) -> Encoded:
        self.encoded += 1
        return super().encode_broadcast(topic, event, payload)


def listeners(pubsub: PubSub, count: int, topic: str = "t") -> list[Listener]:
    made = [Listener() for _ in range(count)]
    for one in made:
        pubsub.subscribe(topic, one)
    return made


def test_a_broadcast_reaches_the_subscribers_of_its_topic_only() -> None:
    pubsub = PubSub()
    (mine,) = listeners(pubsub, 1, "mine")
    (other,) = listeners(pubsub, 1, "other")
    assert pubsub.broadcast("mine", "e", {"n": 1}) == 1
    assert pubsub.broadcast("nobody", "e", {"n": 1}) == 0
    assert (mine.heard, other.heard) == ([1], [])


def test_excluded_subscriber_does_not_get_it() -> None:
    pubsub = PubSub()
    one, two = listeners(pubsub, 2)
    assert pubsub.broadcast("t", "e", {"n": 1}, exclude=one) == 1
    assert (one.heard, two.heard) == ([], [1])
    assert pubsub.broadcast("t", "e", {"n": 2}, exclude=Listener()) == 2


def test_subscribing_twice_delivers_once_and_unsubscribing_is_final() -> None:
    pubsub = PubSub()
    (one,) = listeners(pubsub, 1)
    pubsub.subscribe("t", one)
    pubsub.broadcast("t", "e", {"n": 1})
    assert (one.heard, pubsub.subscribers("t"), pubsub.topics()) == ([1], 1, ["t"])
    pubsub.unsubscribe("t", one)
    pubsub.unsubscribe("t", one)
    assert pubsub.broadcast("t", "e", {"n": 2}) == 0
    assert (one.heard, pubsub.subscribers("t"), pubsub.topics()) == ([1], 0, [])


def test_a_broadcast_is_encoded_once_per_serializer() -> None:
    pubsub, serializer = PubSub(), CountingV2()
    for _ in range(5):
        pubsub.subscribe("t", Listener(), serializer)
    pubsub.subscribe("t", Listener(), V1_)
    pubsub.broadcast("t", "e", {"n": 1})
    assert serializer.encoded == 1


def test_encodings_are_shared_by_all_instances_of_a_version() -> None:
    broadcast = Broadcast("t", "e", {"n": 1})
    assert broadcast.encoded(V2_) is broadcast.encoded(V2(json_depth=9))
    assert broadcast.encoded(V1_) != broadcast.encoded(V2_)
    assert repr(broadcast) == "Broadcast('t', 'e')"


def test_binary_broadcast_with_a_v1_subscriber_reaches_nobody() -> None:
    pubsub = PubSub()
    v2, v1 = Listener(), Listener()
    pubsub.subscribe("t", v2, V2_)
    pubsub.subscribe("t", v1, V1_)
    with pytest.raises(EncodeError):
        pubsub.broadcast("t", "e", b"\xff")
    assert (v2.heard, v1.heard) == ([], [])


@pytest.mark.parametrize("payload", [[], None, "text", {"x": object()}])
def test_a_payload_without_wire_format_reaches_nobody(payload: Any) -> None:
    pubsub = PubSub()
    one = Listener()
    pubsub.subscribe("t", one, V2_)
    with pytest.raises(EncodeError):
        pubsub.broadcast("t", "e", payload)
    assert one.heard == []


def test_a_payload_that_is_no_object_is_refused_even_if_nobody_listens() -> None:
    with pytest.raises(EncodeError):
        PubSub().broadcast("t", "e", [])


@pytest.mark.parametrize("event", ["phx_join", "phx_leave", "phx_reply", "phx_close", "phx_error"])
def test_reserved_events_cannot_be_broadcast(event: str) -> None:
    with pytest.raises(ReservedEvent, match=event):
        PubSub().broadcast("t", event, {})


async def test_large_fan_outs_let_the_event_loop_run_between_chunks() -> None:
    pubsub = PubSub(chunk=10)
    everyone = listeners(pubsub, 25)
    seen: list[int] = []

    def count() -> None:
        seen.append(sum(len(one.heard) for one in everyone))
        if seen[-1] < 25:
            asyncio.get_running_loop().call_soon(count)

    assert pubsub.broadcast("t", "e", {"n": 1}) == 25
    asyncio.get_running_loop().call_soon(count)
    await until(lambda: seen and seen[-1] == 25)
    assert 10 in seen
    assert 20 in seen


async def test_broadcasts_of_a_topic_keep_their_order_for_every_subscriber() -> None:
    pubsub = PubSub(chunk=3)
    everyone = listeners(pubsub, 10)
    for n in range(5):
        pubsub.broadcast("t", "e", {"n": n})
    await until(lambda: all(len(one.heard) == 5 for one in everyone))
    assert all(one.heard == [0, 1, 2, 3, 4] for one in everyone)


async def test_small_broadcast_does_not_overtake_a_large_one() -> None:
    pubsub = PubSub(chunk=2)
    first, *others = listeners(pubsub, 5)
    pubsub.broadcast("t", "e", {"n": 1})
    for one in others:
        pubsub.unsubscribe("t", one)
    pubsub.broadcast("t", "e", {"n": 2})
    await until(lambda: len(first.heard) == 2)
    assert first.heard == [1, 2]


async def test_the_broadcaster_is_served_before_broadcast_returns_and_in_order() -> None:
    pubsub = PubSub(chunk=2)
    everyone = listeners(pubsub, 9)
    last = everyone[-1]
    pubsub.broadcast("t", "e", {"n": 1})
    assert last.heard == []
    pubsub.broadcast("t", "e", {"n": 2}, first=last)
    assert last.heard == [1, 2]
    pubsub.broadcast("t", "e", {"n": 3}, first=last)
    assert last.heard == [1, 2, 3]
    await until(lambda: all(len(one.heard) == 3 for one in everyone))
    assert all(one.heard == [1, 2, 3] for one in everyone)


async def test_the_broadcaster_that_was_served_already_is_not_served_again() -> None:
    pubsub = PubSub(chunk=2)
    everyone = listeners(pubsub, 6)
    first = everyone[0]
    pubsub.broadcast("t", "e", {"n": 1})
    await until(lambda: first.heard == [1])
    pubsub.broadcast("t", "e", {"n": 2}, first=first)
    assert first.heard == [1, 2]
    await until(lambda: all(len(one.heard) == 2 for one in everyone))
    assert first.heard == [1, 2]


async def test_who_unsubscribes_meanwhile_gets_nothing_more() -> None:
    pubsub = PubSub(chunk=1)
    first, second, third = listeners(pubsub, 3)
    pubsub.broadcast("t", "e", {"n": 1})
    await until(lambda: first.heard)
    pubsub.unsubscribe("t", second)
    await until(lambda: third.heard)
    assert second.heard == []


async def test_who_subscribes_later_does_not_get_what_was_broadcast_before() -> None:
    pubsub = PubSub(chunk=1)
    _, second = listeners(pubsub, 2)
    pubsub.broadcast("t", "e", {"n": 1})
    late = Listener()
    pubsub.subscribe("t", late)
    await until(lambda: second.heard)
    assert late.heard == []


def test_broadcasts_and_deliveries_are_counted() -> None:
    metrics = Metrics()
    pubsub = PubSub(metrics=metrics)
    listeners(pubsub, 3)
    pubsub.broadcast("t", "e", {"n": 1})
    assert (metrics.broadcasts, metrics.deliveries) == (1, 3)
