"""A server without sockets: the sessions of the product, and channels that take their time."""

from collections import deque
from collections.abc import Callable
from typing import Any

from channel_server.message import Message
from channel_server.session import Answer, Defer, Drop, Join, Leave, Membership, Session
from tests.simulation.store import Store

MOST_TOPICS = 8
QUEUE = "worker:queue"

Frame = Message
Later = Callable[[Callable[[], None]], None]


def match(topic: str) -> str | None:
    """The route of a topic."""
    return topic.partition(":")[0] if topic.startswith(("run:", "worker:")) else None


class Link:
    """One connection: frames under way in both directions, in order, and its session."""

    __slots__ = ("boxes", "cut", "deferred", "down", "gone", "session", "up")

    def __init__(self) -> None:
        self.up: deque[Message] = deque()
        self.down: deque[tuple[Any, ...]] = deque()
        self.cut = False
        self.gone = False
        self.session: Session[str, str] = Session(match, MOST_TOPICS)
        self.boxes: dict[Membership[str], deque[Message]] = {}
        self.deferred: dict[Membership[str], list[Message]] = {}


class Server:
    """Routes what arrives, and lets channels work when the schedule says so.

    Args:
        store: The database.
        later: Puts a piece of work on the agenda.
        down: Told that a frame for the client is under way on a link.
    """

    def __init__(self, store: Store, later: Later, down: Callable[[Link], None]) -> None:
        self.store = store
        self._later = later
        self._down = down

    def receive(self, link: Link) -> None:
        """Take the next frame of a link, unless the connection is gone."""
        if link.up and not link.gone:
            self._route(link, link.up.popleft())

    def disconnected(self, link: Link) -> None:
        """The server notices that a client is gone: its channels end."""
        link.gone = True
        for membership in link.session:
            assert link.session.ended(membership)
        link.boxes.clear()
        link.deferred.clear()
        assert len(link.session) == 0

    def _send(self, link: Link, *frame: Any) -> None:
        if not link.gone:
            link.down.append(frame)
            self._down(link)

    def _reply(self, link: Link, message: Message, status: str, response: Any) -> None:
        self._send(link, "reply", message.topic, message.ref, status, response)

    def _route(self, link: Link, message: Message) -> None:
        action = link.session.route(message)
        assert len(link.session) <= MOST_TOPICS
        if isinstance(action, Membership):
            assert action in link.session, "messages go to the newest join of their topic"
            assert message.join_ref in (None, action.join_ref)
            link.boxes[action].append(message)
            self._later(lambda: self._work(link, action))
        elif isinstance(action, Join):
            if action.replaced is not None:
                replaced = action.replaced
                link.boxes.pop(replaced, None)
                self._later(lambda: self._ended(link, replaced))
                # What waited for the first join carries its join_ref: it is answered no more.
                link.deferred.pop(action.replaced, None)
                self._send(link, "closed", message.topic, action.replaced.join_ref)
            joined = action.membership
            link.boxes[joined] = deque()
            self._later(lambda: self._joined(link, joined, message))
        elif isinstance(action, Leave):
            link.boxes[action.membership].append(message)
            left = action.membership
            self._later(lambda: self._work(link, left))
        elif isinstance(action, Defer):
            link.deferred.setdefault(action.membership, []).append(message)
        elif isinstance(action, Answer):
            self._reply(link, message, action.status, action.response)
        else:
            assert isinstance(action, Drop)

    def _ended(self, link: Link, replaced: Membership[str]) -> None:
        """The channel of a join that was replaced ends only now: the later join is not touched."""
        there = list(link.session)
        assert not link.session.ended(replaced)
        assert list(link.session) == there

    def _joined(self, link: Link, membership: Membership[str], message: Message) -> None:
        if membership not in link.session:
            return  # replaced by a later join, or the client is gone
        if membership.topic != QUEUE:
            membership.handle = message.payload["token"]
            self.store.heard(membership.handle)
        link.session.accepted(membership)
        self._reply(link, message, "ok", {})
        for waiting in link.deferred.pop(membership, ()):
            self._route(link, waiting)

    def _work(self, link: Link, membership: Membership[str]) -> None:
        box = link.boxes.get(membership)
        if not box:
            return
        message = box.popleft()
        if message.event == "phx_leave":
            link.boxes.pop(membership)
            assert link.session.ended(membership), "a topic that is left is free"
            self._reply(link, message, "ok", {})
            self._send(link, "closed", membership.topic, membership.join_ref)
        elif membership.topic == QUEUE:
            tokens = self.store.claim(message.payload["demand"])
            self._reply(link, message, "ok", {"runs": tokens})
        else:
            status, response = self.store.event(membership.handle, message.event, message.payload)
            self._reply(link, message, status, response)
