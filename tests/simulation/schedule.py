"""One schedule: everything that is under way, taken up in an order that a seed decides."""

from collections.abc import Callable
from random import Random
from typing import Final, get_args

from channel_server.message import Message
from schema import lifecycle
from tests.simulation.server import Link, Server
from tests.simulation.store import Store
from tests.simulation.worker import Worker
from tests.statemachine.model import HELD, Policy

LONGEST: Final = 5_000
"""Pieces of work after which a schedule counts as one that never ends."""

MOST_TROUBLES: Final = 8

POLICIES: Final[tuple[Policy, ...]] = get_args(Policy)


class Schedule:
    """A server, a store, workers, and what goes wrong.

    Args:
        seed: Decides everything.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.worked = 0
        self._agenda: list[Callable[[], None]] = []
        self._waiting = 0
        self._owners: dict[Link, Worker] = {}
        self.store = Store(self.random.choice(POLICIES))
        self.server = Server(self.store, self._agenda.append, self._down)
        self.workers = [
            Worker(self.random, self.random.randint(1, 2), self._link, self._up)
            for _ in range(self.random.randint(1, 3))
        ]

    def play(self) -> "Schedule":
        """Play to the end and check everything.

        Raises:
            AssertionError: Something that must never happen has happened.
        """
        for number in range(1, self.random.randint(2, 4)):
            self.store.enqueue(number)
        for worker in self.workers:
            worker.connect()
        for _ in range(self.random.randrange(MOST_TROUBLES + 1)):
            self._agenda.append(self._amid(self.random.choice(self._troubles())))
        self._drain()
        while any(run.state not in lifecycle.FINAL_STATES for run in self.store.runs):
            self._help()
            self._drain()
        self._check()
        return self

    def _drain(self) -> None:
        agenda, random = self._agenda, self.random
        while agenda:
            at = int(random.random() * len(agenda))
            agenda[at], agenda[-1] = agenda[-1], agenda[at]
            agenda.pop()()
            self.worked += 1
            assert self.worked < LONGEST, "it never ends"

    def _help(self) -> None:
        """What time does: unheard claims go back, what is held by nobody is lost, workers ask."""
        working = {task.token for worker in self.workers for task in worker.tasks.values()}
        for run in self.store.runs:
            if run.lease is not None and run.lease.token not in working:
                self.store.release(run)
                self.store.lose(run)
        for worker in self.workers:
            worker.connect()
            worker.claim()
        assert self._agenda, "nobody can go on"

    # The network: in order on each link, in any order between them.

    def _link(self, worker: Worker) -> Link:
        link = Link()
        self._owners[link] = worker
        return link

    def _up(self, link: Link) -> None:
        self._agenda.append(lambda: self.server.receive(link))

    def _down(self, link: Link) -> None:
        self._agenda.append(lambda: self._arrive(link))

    def _arrive(self, link: Link) -> None:
        if link.down and not link.cut:
            self._owners[link].receive(link.down.popleft())

    # What goes wrong.

    def _amid(self, trouble: Callable[[], None]) -> Callable[[], None]:
        """Let a trouble wait for a moment in the middle of things."""

        def wait() -> None:
            # The agenda without those that wait: is anything else under way?
            if len(self._agenda) >= self._waiting and self.random.random() > 0.05:
                self._agenda.append(wait)
            else:
                self._waiting -= 1
                trouble()

        self._waiting += 1

        return wait

    def _troubles(self) -> list[Callable[[], None]]:
        return [
            self._cut,
            self._cut,
            self._restart,
            self._lose,
            self._release,
            self._repeat,
            self._send_again,
            self._rejoin,
            self._rejoin_queue,
            self._confuse,
        ]

    def _cut(self) -> None:
        """A connection breaks; the server notices later, and handles what arrived before."""
        worker = self.random.choice(self.workers)
        link = worker.link
        if link is not None:
            link.cut = True
            worker.disconnected()
            self._agenda.append(lambda: self.server.disconnected(link))
            self._agenda.append(worker.connect)

    def _restart(self) -> None:
        """The server is gone, with all connections and all that was on its way."""
        for worker in self.workers:
            link = worker.link
            if link is not None:
                link.cut = True
                self.server.disconnected(link)
                worker.disconnected()
                self._agenda.append(worker.connect)

    def _lose(self) -> None:
        held = [run for run in self.store.runs if run.state in HELD]
        if held:
            self.store.lose(self.random.choice(held))

    def _release(self) -> None:
        for run in self.store.runs:
            self.store.release(run)

    def _repeat(self) -> None:
        """A frame arrives twice."""
        links = [link for link in self._owners if link.up and not link.gone]
        if links:
            link = self.random.choice(links)
            message: Message = link.up[0]
            link.up.appendleft(message)
            self._up(link)

    def _send_again(self) -> None:
        for worker in self.workers:
            for topic in list(worker.tasks):
                worker.send_again(topic)

    def _confuse(self) -> None:
        worker = self.random.choice(self.workers)
        for topic in worker.tasks:
            worker.confuse(topic)

    def _rejoin(self) -> None:
        worker = self.random.choice(self.workers)
        for topic in list(worker.tasks):
            worker.rejoin(topic)

    def _rejoin_queue(self) -> None:
        self.random.choice(self.workers).rejoin_queue()

    # What must be true.

    def _check(self) -> None:
        self.store.check()
        for worker in self.workers:
            for task in worker.done:
                lease = self.store.tokens[task.token]
                for event, payload in task.acknowledged:
                    if event == "run:log" and lease.run.lease is not lease:
                        continue  # acknowledged and dropped
                    late = self.store.policy == "acknowledge" and lease.run.error_type is not None
                    key = (lease.run.id, event, payload.get("step_id") or payload.get("id") or "")
                    assert self.store.applied.get(key) == 1 or late, (event, "was lost")
