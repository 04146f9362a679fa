"""Routing of messages: phoenix-protocol section 3, without any channel."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from channel_server.message import Message
from channel_server.session import (
    AFTER_LEAVE,
    HEARTBEAT_OK,
    JOINED,
    JOINING,
    LEAVING,
    LEFT_ALREADY,
    SAME_JOIN,
    STALE,
    TOO_MANY,
    UNMATCHED,
    Defer,
    Join,
    Leave,
    Membership,
    Session,
)


def match(topic: str) -> str | None:
    return "route" if topic.startswith("room:") else None


def make(max_topics: int = 3) -> Session[str, str]:
    return Session(match, max_topics)


def message(topic: Any, event: Any, join_ref: Any = "1", ref: Any = "2") -> Message:
    return Message(join_ref, ref, topic, event, {})


def join(session: Session[str, str], topic: str, join_ref: Any = "1") -> Membership[str]:
    action = session.route(message(topic, "phx_join", join_ref))
    assert isinstance(action, Join)
    session.accepted(action.membership)
    return action.membership


def test_heartbeat_is_answered_whatever_is_joined() -> None:
    session: Session[str, str] = Session(lambda _: "route", 3)
    assert session.route(message("phoenix", "heartbeat")) is HEARTBEAT_OK
    join(session, "phoenix")
    assert session.route(message("phoenix", "heartbeat", join_ref="stale")) is HEARTBEAT_OK


def test_phoenix_is_otherwise_an_ordinary_topic() -> None:
    assert make().route(message("phoenix", "other")) is UNMATCHED
    assert make().route(message("phoenix", "phx_join")) is UNMATCHED


@pytest.mark.parametrize("topic", ["room:1", "nowhere", 1, None, [], {}, True])
def test_event_on_a_topic_that_is_not_joined_is_unmatched(topic: object) -> None:
    assert make().route(message(topic, "shout")) is UNMATCHED


@pytest.mark.parametrize("topic", ["nowhere", 1, None, [], {}])
def test_join_without_a_route_is_unmatched(topic: object) -> None:
    assert make().route(message(topic, "phx_join")) is UNMATCHED


@pytest.mark.parametrize("topic", ["room:1", "nowhere", None, []])
def test_leave_of_a_topic_that_is_not_joined_is_ok(topic: object) -> None:
    assert make().route(message(topic, "phx_leave")) is LEFT_ALREADY
    assert LEFT_ALREADY.keep_join_ref


def test_unmatched_and_heartbeat_replies_have_no_join_ref() -> None:
    assert not UNMATCHED.keep_join_ref
    assert not HEARTBEAT_OK.keep_join_ref
    assert TOO_MANY.keep_join_ref


def test_message_of_a_joined_topic_goes_to_its_channel() -> None:
    session = make()
    member = join(session, "room:1")
    assert session.route(message("room:1", "shout")) is member


def test_null_join_ref_is_accepted_on_ordinary_messages() -> None:
    session = make()
    member = join(session, "room:1")
    assert session.route(message("room:1", "shout", join_ref=None)) is member


@pytest.mark.parametrize("event", ["shout", "phx_leave"])
def test_stale_join_ref_is_dropped_leave_included(event: str) -> None:
    session = make()
    member = join(session, "room:1", "7")
    assert session.route(message("room:1", event, join_ref="6")) is STALE
    assert session.route(message("room:1", event, join_ref=7)) is STALE
    assert member.state == JOINED


def test_after_a_join_with_null_join_ref_only_null_works() -> None:
    session = make()
    member = join(session, "room:1", None)
    assert session.route(message("room:1", "shout", join_ref="1")) is STALE
    assert session.route(message("room:1", "shout", join_ref=None)) is member


def test_messages_during_a_join_are_deferred_whatever_their_join_ref() -> None:
    session = make()
    action = session.route(message("room:1", "phx_join"))
    assert isinstance(action, Join)
    assert action.membership.state == JOINING
    for event in ("shout", "phx_leave"):
        deferred = session.route(message("room:1", event, join_ref="stale"))
        assert isinstance(deferred, Defer)
        assert deferred.membership is action.membership


def test_leave_hands_over_once_and_swallows_what_follows() -> None:
    session = make()
    member = join(session, "room:1")
    left = session.route(message("room:1", "phx_leave"))
    assert isinstance(left, Leave)
    assert left.membership is member
    assert member.state == LEAVING
    assert session.route(message("room:1", "shout")) is AFTER_LEAVE
    assert session.route(message("room:1", "phx_leave")) is AFTER_LEAVE


@pytest.mark.parametrize("leaving", [False, True])
def test_second_join_replaces_the_first(leaving: bool) -> None:
    session = make()
    first = join(session, "room:1", "1")
    if leaving:
        session.route(message("room:1", "phx_leave"))
    action = session.route(message("room:1", "phx_join", "5"))
    assert isinstance(action, Join)
    assert action.replaced is first
    assert action.membership in session
    assert first not in session


def test_a_join_that_comes_twice_has_one_answer() -> None:
    session = make()
    first = session.route(message("room:1", "phx_join", "1", "1"))
    assert isinstance(first, Join)
    assert session.route(message("room:1", "phx_join", "1", "1")) is SAME_JOIN
    assert first.membership in session
    session.accepted(first.membership)
    assert session.route(message("room:1", "phx_join", "1", "1")) is SAME_JOIN
    assert isinstance(session.route(message("room:1", "phx_leave", "1")), Leave)
    again = session.route(message("room:1", "phx_join", "1", "1"))
    assert isinstance(again, Join)
    assert again.replaced is first.membership


@pytest.mark.parametrize(("join_ref", "ref"), [("1", "2"), ("2", "1"), ("1", None), (None, "1")])
def test_a_join_with_another_ref_is_another_join(join_ref: Any, ref: Any) -> None:
    session = make()
    session.route(message("room:1", "phx_join", "1", "1"))
    assert isinstance(session.route(message("room:1", "phx_join", join_ref, ref)), Join)


def test_joins_without_a_ref_cannot_be_told_to_be_the_same() -> None:
    session = make()
    session.route(message("room:1", "phx_join", None, None))
    assert isinstance(session.route(message("room:1", "phx_join", None, None)), Join)


def test_end_of_a_replaced_membership_does_not_free_the_topic() -> None:
    session = make()
    first = join(session, "room:1", "1")
    second = join(session, "room:1", "5")
    assert not session.ended(first)
    assert second in session
    assert session.ended(second)
    assert session.route(message("room:1", "shout")) is UNMATCHED


def test_leave_of_the_first_join_does_not_undo_the_second() -> None:
    session = make()
    join(session, "room:1", "1")
    second = join(session, "room:1", "5")
    assert session.route(message("room:1", "phx_leave", "1")) is STALE
    assert session.route(message("room:1", "shout", "5")) is second


def test_topics_are_limited_and_leaving_frees_a_slot() -> None:
    session = make(max_topics=2)
    first = join(session, "room:1")
    join(session, "room:2")
    assert session.route(message("room:3", "phx_join")) is TOO_MANY
    session.ended(first)
    assert isinstance(session.route(message("room:3", "phx_join")), Join)


def test_joins_in_progress_count() -> None:
    session = make(max_topics=1)
    session.route(message("room:1", "phx_join"))
    assert session.route(message("room:2", "phx_join")) is TOO_MANY


def test_joining_a_held_topic_works_at_the_limit() -> None:
    session = make(max_topics=1)
    join(session, "room:1")
    assert isinstance(session.route(message("room:1", "phx_join", "5")), Join)


def test_no_route_is_said_before_too_many() -> None:
    session = make(max_topics=0)
    assert session.route(message("nowhere", "phx_join")) is UNMATCHED


@pytest.mark.parametrize("topic", ["__proto__", "constructor", "toString", "room:__proto__", ""])
def test_odd_topics_are_only_names(topic: str) -> None:
    session: Session[str, str] = Session(lambda _: "route", 3)
    assert session.route(message(topic, "shout")) is UNMATCHED
    assert session.route(message(topic, "shout")) is UNMATCHED
    member = join(session, topic)
    assert [one.topic for one in session] == [topic]
    assert session.ended(member)
    assert len(session) == 0


topics = st.sampled_from(["room:1", "room:2", "room:3", "nowhere"])
join_refs = st.sampled_from(["1", "2", None])


class SessionMachine(RuleBasedStateMachine):
    """Compares the session with the rules of section 3, written down as a table per topic."""

    def __init__(self) -> None:
        super().__init__()
        self.session = make(max_topics=2)
        self.model: dict[str, Membership[str]] = {}

    @rule(topic=topics, join_ref=join_refs, ref=join_refs)
    def joins(self, topic: str, join_ref: str | None, ref: str | None) -> None:
        held = self.model.get(topic)
        action = self.session.route(message(topic, "phx_join", join_ref, ref))
        same = held is not None and (held.join_ref, held.ref) == (join_ref, ref)
        if held is not None and held.state != LEAVING and same and ref is not None:
            assert action is SAME_JOIN
        elif topic == "nowhere":
            assert action is UNMATCHED
        elif held is None and len(self.model) == 2:
            assert action is TOO_MANY
        else:
            assert isinstance(action, Join)
            assert action.replaced is held
            assert action.membership.join_ref == join_ref
            self.model[topic] = action.membership

    @rule(topic=topics)
    def join_is_accepted(self, topic: str) -> None:
        held = self.model.get(topic)
        if held is not None and held.state == JOINING:
            self.session.accepted(held)

    @rule(topic=topics)
    def channel_ends(self, topic: str) -> None:
        held = self.model.pop(topic, None)
        if held is not None:
            assert self.session.ended(held)
            assert not self.session.ended(held)

    @rule(topic=topics, join_ref=join_refs)
    def leaves(self, topic: str, join_ref: str | None) -> None:
        held = self.model.get(topic)
        state = None if held is None else held.state
        action = self.session.route(message(topic, "phx_leave", join_ref))
        if held is None:
            assert action is LEFT_ALREADY
        elif state == JOINING:
            assert isinstance(action, Defer)
        elif join_ref is not None and join_ref != held.join_ref:
            assert action is STALE
        elif state == LEAVING:
            assert action is AFTER_LEAVE
        else:
            assert isinstance(action, Leave)
            assert held.state == LEAVING

    @rule(topic=topics, join_ref=join_refs)
    def pushes(self, topic: str, join_ref: str | None) -> None:
        held = self.model.get(topic)
        action = self.session.route(message(topic, "shout", join_ref))
        if held is None:
            assert action is UNMATCHED
        elif held.state == JOINING:
            assert isinstance(action, Defer)
        elif join_ref is not None and join_ref != held.join_ref:
            assert action is STALE
        else:
            assert action is (held if held.state == JOINED else AFTER_LEAVE)

    @invariant()
    def holds_exactly_what_was_joined(self) -> None:
        assert {one.topic: one for one in self.session} == self.model
        assert len(self.session) == len(self.model) <= 2


TestSessionMachine = SessionMachine.TestCase
TestSessionMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
