"""Which tokens count no more, as this process knows it; and the service that keeps it up to date.

The list is read at the start, at every notice of a change, and again after a while, so a lost
notice costs less than a minute. While the database is away the last known list counts. When it has
grown, open sockets are asked whether they may stay; event streams ask by themselves.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

from channel_server.log import get_logger
from channel_server.message import RECHECK
from channel_server.pubsub import PubSub
from channel_server.service import Service
from channel_server.tokens import LEEWAY
from handlers.run_tokens import User, WorkerIdentity
from schema import revocations
from schema.refused import Refused
from schema.repo import Repo
from schema.revocations import Revocation

USER_TOPIC: Final = "user_socket:"
WORKER_TOPIC: Final = "worker_socket:"
"""What the topics of sockets begin with, by which they are reached."""

TURN: Final = 500
"""Sockets that are asked before others have their turn."""

log = get_logger(__name__)


class Revocations:
    """The list, in memory. It says nothing of tokens that have expired or are not genuine."""

    def __init__(self) -> None:
        self._tokens: frozenset[str] = frozenset()
        self._workers: frozenset[str] = frozenset()
        self._users: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._tokens) + len(self._workers) + len(self._users)

    def user(self, user: User) -> bool:
        """Whether the token of a user is revoked."""
        if user.token_id in self._tokens:
            return True
        moment = self._users.get(user.subject)
        return moment is not None and (user.issued_at is None or user.issued_at <= moment)

    def worker(self, worker: WorkerIdentity) -> bool:
        """Whether a worker is revoked."""
        return worker.worker_id in self._workers

    def replace(self, listed: Iterable[Revocation]) -> bool:
        """Take over a list that was read; return whether it revokes what was good before."""
        entries = list(listed)
        tokens = frozenset(entry.value for entry in entries if entry.kind == "token")
        workers = frozenset(entry.value for entry in entries if entry.kind == "worker")
        # The clock of who issues tokens may be ahead of the database's.
        users = {e.value: e.revoked_at.timestamp() + LEEWAY for e in entries if e.kind == "user"}
        later = any(moment > self._users.get(name, 0.0) for name, moment in users.items())
        grown = bool(tokens - self._tokens or workers - self._workers or later)
        self._tokens, self._workers, self._users = tokens, workers, users
        return grown


class RevocationWatch(Service):
    """Keeps the list up to date; emits `read` with its length after each reading.

    Args:
        repo: where it is read.
        known: the list.
        pubsub: where sockets are reached.
        interval: seconds between two readings when no notice comes.
    """

    name = "revocation_watch"

    def __init__(self, repo: Repo, known: Revocations, pubsub: PubSub, interval: float) -> None:
        super().__init__()
        self._repo = repo
        self._known = known
        self._pubsub = pubsub
        self._interval = interval
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Read, wait for a notice or the time, read again."""
        while True:
            self._changed.clear()
            if await self.read():
                self.ready()
            self.signals.emit("read", len(self._known))
            try:
                async with asyncio.timeout(self._interval):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def changed(self) -> None:
        """A notice arrived, or may have been missed."""
        self._changed.set()

    async def read(self) -> bool:
        """Read the list once and send away whom it revokes; whether it could be read."""
        listed = await revocations.listed(self._repo)
        if isinstance(listed, Refused):
            log.warning("revocations_unreadable", kind=listed.kind)
            return False
        if self._known.replace(listed):
            log.info("tokens_revoked", listed=len(self._known))
            await self._recheck()
        return True

    async def _recheck(self) -> None:
        topics = [t for t in self._pubsub.topics() if t.startswith((USER_TOPIC, WORKER_TOPIC))]
        for count, topic in enumerate(topics, 1):
            self._pubsub.broadcast(topic, RECHECK, {})
            if count % TURN == 0:
                await asyncio.sleep(0)
