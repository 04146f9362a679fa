"""A simulated worker: claims, reports, loses its connection, joins again and sends again."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from channel_server.message import Message
from tests.simulation.server import QUEUE, Link
from tests.statemachine.model import REASONS, Payload

Report = tuple[str, Payload]


@dataclass
class Task:
    """One run that a worker executes.

    Attributes:
        reports: What it has still to say; the first is repeated until it is answered.
        acknowledged: What was answered ok.
        lost: Whether it was told that the run is no longer its own.
    """

    token: str
    reports: list[Report]
    join_ref: str = ""
    joined: bool = False
    waiting: str | None = None
    tries: int = 0
    acknowledged: list[Report] = field(default_factory=list[Report])
    lost: bool = False


def script(random: Random, token: str) -> list[Report]:
    """What a worker reports of one run; now and then without its beginnings."""

    def at() -> str:
        return str(random.randrange(10**15, 10**16))

    reports: list[Report] = []
    if random.random() < 0.9:
        reports.append(("run:start", {"timestamp": at()}))
    for number in range(random.randrange(3)):
        step_id = f"{token}-{number}"
        if random.random() < 0.9:
            reports.append(("step:start", {"step_id": step_id, "timestamp": at()}))
        reports.append(("run:log", {"id": f"{step_id}-line", "message": "said"}))
        if random.random() < 0.9:
            done = {"step_id": step_id, "reason": "success", "timestamp": at()}
            reports.append(("step:complete", done))
    reason = random.choice(sorted(REASONS))
    reports.append(("run:complete", {"reason": reason, "timestamp": at()}))
    return reports


class Worker:
    """One worker and its connection.

    Args:
        random: Of the schedule.
        capacity: Runs that it asks for at a time.
        connect: Makes a new link.
        up: Told that a frame for the server is under way on a link.
    """

    def __init__(
        self,
        random: Random,
        capacity: int,
        connect: Callable[["Worker"], Link],
        up: Callable[[Link], None],
    ) -> None:
        self.tasks: dict[str, Task] = {}
        self.done: list[Task] = []
        self.link: Link | None = None
        self.resent = 0
        self._random = random
        self._capacity = capacity
        self._connect = connect
        self._up = up
        self._ref = 0
        self._queue_ref = ""
        self._claim: str | None = None

    def connect(self) -> None:
        """Open a connection, and join what was joined before."""
        if self.link is None:
            self.link = self._connect(self)
            self._queue_ref = self._join(QUEUE, {})
            for topic in self.tasks:
                self.rejoin(topic)

    def disconnected(self) -> None:
        """The connection is gone: nothing that is waited for will come."""
        self.link = self._claim = None
        for task in self.tasks.values():
            task.joined, task.waiting = False, None

    def claim(self) -> None:
        """Ask for runs."""
        if self.link is not None and self._claim is None:
            self._claim = self._send(self._queue_ref, QUEUE, "claim", {"demand": self._capacity})

    def rejoin(self, topic: str) -> None:
        """Join a run, replacing a join that there may be."""
        task = self.tasks.get(topic)
        if task is not None and self.link is not None:
            task.joined, task.waiting = False, None
            task.join_ref = self._join(topic, {"token": task.token})
            if self._random.random() < 0.2:
                self._say(topic, task)  # it does not wait for the answer to its join

    def rejoin_queue(self) -> None:
        """Join, leave and join as phoenix.js does when it comes back: the leave is of the first."""
        if self.link is not None:
            first = self._queue_ref
            self._send(first, QUEUE, "phx_leave", {})
            self._queue_ref, self._claim = self._join(QUEUE, {}), None
            self._send(first, QUEUE, "phx_leave", {})

    def send_again(self, topic: str) -> None:
        """The reply is late: say the same once more."""
        task = self.tasks.get(topic)
        if task is not None and task.joined and task.waiting is not None:
            self._say(topic, task)

    def confuse(self, topic: str) -> None:
        """Say something else than planned, and do not listen to the answer."""
        task = self.tasks.get(topic)
        if task is not None and task.joined:
            at = {"timestamp": str(self._random.randrange(10**15, 10**16))}
            self._send(task.join_ref, topic, "run:start", at)
            if self._random.random() < 0.2:
                self._send(task.join_ref, topic, "run:complete", {"reason": "kill", **at})

    def receive(self, frame: tuple[Any, ...]) -> None:
        """Take one frame of the server."""
        kind, topic, ref, *rest = frame
        if kind == "closed":
            return
        status, response = rest
        if topic == QUEUE:
            self._heard_queue(ref, status, response)
            return
        task = self.tasks.get(topic)
        if task is None:
            return
        if ref == task.join_ref and not task.joined:
            assert status == "ok", "a join of a run is never refused"
            task.joined = True
            if task.waiting is None:
                self._say(topic, task)
        elif ref == task.waiting:
            self._answered(topic, task, status, response)

    def _heard_queue(self, ref: str, status: str, response: Any) -> None:
        if ref == self._queue_ref:
            self._claim = None
            self.claim()
        elif ref == self._claim:
            self._claim = None
            assert status == "ok", "a claim is always answered with runs"
            for token in response["runs"]:
                topic = f"run:{token}"
                self.tasks[topic] = Task(token, script(self._random, token))
                self.rejoin(topic)

    def _answered(self, topic: str, task: Task, status: str, response: Any) -> None:
        report = task.reports.pop(0)
        task.waiting, task.tries = None, 0
        if status == "ok":
            task.acknowledged.append(report)
        elif response == {"reason": "lease_lost"}:
            task.lost = True
        if task.reports and not task.lost:
            self._say(topic, task)
            return
        self._send(task.join_ref, topic, "phx_leave", {})
        self.done.append(self.tasks.pop(topic))
        self.claim()

    def _say(self, topic: str, task: Task) -> None:
        event, payload = task.reports[0]
        self.resent += task.tries > 0
        task.tries += 1
        task.waiting = self._send(task.join_ref, topic, event, payload)

    def _join(self, topic: str, payload: Payload) -> str:
        self._ref += 1
        self._push(Message(str(self._ref), str(self._ref), topic, "phx_join", payload))
        return str(self._ref)

    def _send(self, join_ref: str, topic: str, event: str, payload: Payload) -> str:
        self._ref += 1
        self._push(Message(join_ref, str(self._ref), topic, event, payload))
        return str(self._ref)

    def _push(self, message: Message) -> None:
        if self.link is not None:
            self.link.up.append(message)
            self._up(self.link)
