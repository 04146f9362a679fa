"""The session of one client: which topics it joined, and where each message goes; pure.

::

                 join                     accepted                  leave
    (no topic) ───────▶ JOINING ─────────────────────▶ JOINED ─────────────▶ LEAVING
        ▲                  │ refused, crashed, too late   │ stop, crash          │ left
        └──────────────────┴──────────────────────────────┴─────────────────────┘

`Session.route` decides for each message; the connection carries the decision out. A second join of
a topic replaces the first membership at once, so frames of the old one are told apart by identity.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, Generic, TypeAlias, TypeVar

import msgspec

from channel_server.message import HEARTBEAT, JOIN, LEAVE, PHOENIX, Message

RouteT = TypeVar("RouteT")
HandleT = TypeVar("HandleT")

JOINING: Final = 0
JOINED: Final = 1
LEAVING: Final = 2


class Membership(Generic[HandleT]):
    """One join of one topic.

    Attributes:
        topic: The topic.
        join_ref: The raw join_ref of the join message, which later messages must carry.
        ref: The ref of the join message.
        state: JOINING, JOINED or LEAVING.
        handle: What serves it; set by the connection.
    """

    __slots__ = ("handle", "join_ref", "ref", "state", "topic")

    handle: HandleT

    def __init__(self, topic: str, join: Message) -> None:
        self.topic = topic
        self.join_ref = join.join_ref
        self.ref = join.ref
        self.state = JOINING

    def began_with(self, join: Message) -> bool:
        """Whether that message is the join of this membership, which came twice.

        Refs of a client are its own and new for each message; without one there is no telling.
        """
        same = join.ref == self.ref and join.join_ref == self.join_ref
        return same and join.ref is not None and self.state != LEAVING


class Join(Generic[RouteT, HandleT]):
    """Start a channel; `replaced` is the membership that this join ended, if there was one."""

    __slots__ = ("membership", "replaced", "route")

    def __init__(
        self,
        membership: Membership[HandleT],
        route: RouteT,
        replaced: Membership[HandleT] | None,
    ) -> None:
        self.membership = membership
        self.route = route
        self.replaced = replaced


class Leave(Generic[HandleT]):
    """End a channel once the messages before this one are handled."""

    __slots__ = ("membership",)

    def __init__(self, membership: Membership[HandleT]) -> None:
        self.membership = membership


class Defer(Generic[HandleT]):
    """Route the message again when the join of its topic has ended."""

    __slots__ = ("membership",)

    def __init__(self, membership: Membership[HandleT]) -> None:
        self.membership = membership


class Drop(msgspec.Struct, frozen=True):
    """Ignore the message.

    Attributes:
        why: `stale`: for an older join of the topic. `leaving`: sent after the leave. `same_join`:
            a join that came twice; the answer to the first is its answer.
    """

    why: str


class Answer(msgspec.Struct, frozen=True):
    """Answer the message without a channel.

    Attributes:
        kind: Short constant for logs and metrics.
        status: Status of the reply.
        response: Response of the reply.
        keep_join_ref: Whether the reply carries the message's join_ref, else null.
    """

    kind: str
    status: str
    response: Any
    keep_join_ref: bool = False


STALE: Final = Drop("stale")
AFTER_LEAVE: Final = Drop("leaving")
SAME_JOIN: Final = Drop("same_join")
HEARTBEAT_OK: Final = Answer("heartbeat", "ok", {})
LEFT_ALREADY: Final = Answer("leave", "ok", {}, keep_join_ref=True)
UNMATCHED: Final = Answer("unmatched", "error", {"reason": "unmatched topic"})
TOO_MANY: Final = Answer(
    "too_many", "error", {"reason": "too many channels joined"}, keep_join_ref=True
)

Action: TypeAlias = (
    Membership[HandleT] | Join[RouteT, HandleT] | Leave[HandleT] | Defer[HandleT] | Drop | Answer
)
"""What to do with a message; a Membership means: hand it to its channel."""


class Session(Generic[RouteT, HandleT]):
    """Topics of one client.

    Args:
        match: Finds the route of a topic, or None.
        max_topics: Most memberships at one time, joins in progress included.
    """

    __slots__ = ("_match", "_max_topics", "_members")

    def __init__(self, match: Callable[[str], RouteT | None], max_topics: int) -> None:
        self._match = match
        self._max_topics = max_topics
        self._members: dict[str, Membership[HandleT]] = {}

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Membership[HandleT]]:
        return iter(tuple(self._members.values()))

    def __contains__(self, membership: Membership[HandleT]) -> bool:
        return self._members.get(membership.topic) is membership

    def route(self, message: Message) -> Action[HandleT, RouteT]:
        """Decide what to do with a message, and note joins and leaves."""
        topic = message.topic
        event = message.event
        if topic == PHOENIX and event == HEARTBEAT:
            return HEARTBEAT_OK
        member = self._members.get(topic) if type(topic) is str else None
        if member is None:
            return self._unjoined(message)
        if event == JOIN:
            return SAME_JOIN if member.began_with(message) else self._join(message, member)
        if member.state == JOINING:
            return Defer(member)
        join_ref = message.join_ref
        if join_ref is not None and join_ref != member.join_ref:
            return STALE
        if member.state == LEAVING:
            return AFTER_LEAVE
        if event == LEAVE:
            member.state = LEAVING
            return Leave(member)
        return member

    def accepted(self, membership: Membership[HandleT]) -> None:
        """The join succeeded: messages go to its channel from now on."""
        membership.state = JOINED

    def ended(self, membership: Membership[HandleT]) -> bool:
        """The membership is over.

        Returns:
            Whether the topic is free now; False if a later join holds it.
        """
        if self._members.get(membership.topic) is not membership:
            return False
        del self._members[membership.topic]
        return True

    def _unjoined(self, message: Message) -> Action[HandleT, RouteT]:
        if message.event == JOIN:
            return self._join(message, None)
        return LEFT_ALREADY if message.event == LEAVE else UNMATCHED

    def _join(
        self, message: Message, replaced: Membership[HandleT] | None
    ) -> Action[HandleT, RouteT]:
        topic = message.topic
        route = self._match(topic) if type(topic) is str else None
        if route is None:
            return UNMATCHED
        if replaced is None and len(self._members) >= self._max_topics:
            return TOO_MANY
        membership: Membership[HandleT] = Membership(topic, message)
        self._members[topic] = membership
        return Join(membership, route, replaced)
