"""What the lifecycle of runs is meant to be, in plain Python: the other side of the comparison.

Nothing in here is taken from the product but the names of states. Each operation changes the model
and returns the reply that the worker must get.
"""

from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

Reply = tuple[str, Any]
Policy = Literal["accept", "acknowledge", "reject"]
Payload = dict[str, Any]

OK: Reply = ("ok", None)
TOO_LATE: Reply = ("ok", {"status": "too_late"})
LEASE_LOST: Reply = ("error", {"reason": "lease_lost"})
COMPLETED: Reply = ("error", {"state": ["already in completed state"]})
STARTED: Reply = ("error", {"state": ["already started"]})
STEP_TAKEN: Reply = ("error", {"step_id": ["has already been taken"]})
STEP_COMPLETED: Reply = ("error", {"step_id": ["has already been completed"]})
UNKNOWN_STEP: Reply = ("error", {"step_id": ["not found"]})
LINE_TAKEN: Reply = ("error", {"id": ["has already been taken"]})
FOREIGN_STEP: Reply = ("error", {"step_id": ["must be associated with the run"]})

REASONS = {
    "success": "success",
    "fail": "failed",
    "crash": "crashed",
    "cancel": "cancelled",
    "kill": "killed",
    "exception": "exception",
}
HELD = ("claimed", "started")
UNFINISHED = ("available", *HELD)


@dataclass
class Step:
    """One step; ``completed`` is the event that closed it, None while open or lost."""

    started: Payload
    reason: str | None = None
    completed: Payload | None = None


@dataclass
class Lease:
    """One claim of one run, and the token that came with it."""

    run: "Run"
    token: str
    epoch: int


@dataclass
class Run:
    """One run, as it must be in the database."""

    id: UUID
    order: UUID
    number: int
    queue: str = "default"
    priority: int = 1
    state: str = "available"
    epoch: int = 0
    lease: Lease | None = None
    joined: bool = False
    seat: str | None = None
    age: float = 0.0
    started: Payload | None = None
    completed: Payload | None = None
    recovered: bool = False
    error_type: str | None = None
    steps: dict[str, Step] = field(default_factory=dict[str, Step])
    lines: list[str] = field(default_factory=list[str])
    told: list[str] = field(default_factory=lambda: ["run:created"])

    @property
    def version(self) -> int:
        """The number of committed changes."""
        return len(self.told)

    def tell(self, event: str = "run:updated") -> None:
        """Note one more change."""
        self.told.append(event)

    def close_steps(self) -> None:
        """What the janitor does to steps that nobody will close."""
        for step in self.steps.values():
            if step.reason is None:
                step.reason = "lost"
                self.tell("step:completed")


def same(known: Payload | None, payload: Payload) -> bool:
    """Whether an event is one sent again; an empty one never is."""
    return known is not None and known == payload and any(v is not None for v in payload.values())


class Model:
    """All runs of one sequence.

    Args:
        policy: What becomes of the events of a worker whose run was marked lost.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.runs: dict[UUID, Run] = {}
        self.lines: dict[str, tuple[UUID, Payload]] = {}

    # Who may do what.

    def reporting(self, run: Run) -> bool:
        """Whether events of the holder of the lease are applied."""
        return run.state in HELD or (run.state == "lost" and self.policy == "accept")

    def order_state(self, order: UUID) -> str:
        """The state of a work order, as its runs say."""
        runs = [run for run in self.runs.values() if run.order == order]
        if any(run.state == "started" for run in runs):
            return "running"
        if any(run.state in UNFINISHED for run in runs):
            return "pending"
        return max(runs, key=lambda run: run.number).state

    # The queue.

    def enqueue(self, run: Run) -> None:
        """A new run, first or retried."""
        self.runs[run.id] = run

    def claimable(self) -> list[Run]:
        """Available runs in the order in which they must be handed out."""
        runs = [run for run in self.runs.values() if run.state == "available"]
        return sorted(runs, key=lambda run: (run.queue != "manual", run.priority, run.number))

    def claim(self, run: Run, token: str, seat: str | None = None) -> Lease:
        """A run was handed out, on the connection of a worker."""
        run.state, run.joined, run.age, run.seat = "claimed", False, 0.0, seat
        run.epoch += 1
        run.lease = Lease(run, token, run.epoch)
        run.tell()
        return run.lease

    def release(self, run: Run) -> None:
        """A claim went back to the queue."""
        run.state, run.lease, run.joined, run.age = "available", None, False, 0.0
        run.seat = None
        run.tell()

    def cancel(self, run: Run) -> bool:
        """An operator cancels; whether it took effect."""
        if run.state != "available":
            return False
        run.state, run.error_type = "cancelled", "Cancelled"
        run.tell()
        return True

    def lose(self, run: Run, error_type: str | None = None) -> None:
        """The janitor gives a run up."""
        by_age = "LostAfterClaim" if run.state == "claimed" else "LostAfterStart"
        run.close_steps()
        run.state, run.error_type = "lost", error_type or by_age
        run.tell()

    # The worker's events.

    def start(self, lease: Lease, payload: Payload) -> Reply:
        """``run:start``."""
        run = lease.run
        if run.lease is not lease:
            return LEASE_LOST
        if run.state == "claimed":
            run.state, run.started = "started", payload
            run.tell()
            return OK
        if same(run.started, payload):
            return OK
        return STARTED if run.state == "started" else COMPLETED

    def complete(self, lease: Lease, payload: Payload) -> Reply:
        """``run:complete``."""
        run = lease.run
        if run.lease is not lease:
            return LEASE_LOST
        if same(run.completed, payload):
            return OK
        if not self.reporting(run):
            late = run.state == "lost" and self.policy == "acknowledge"
            return TOO_LATE if late else COMPLETED
        run.recovered = run.state == "lost"
        run.state, run.completed = REASONS[payload["reason"]], payload
        run.error_type = payload.get("error_type")
        run.tell()
        return OK

    def start_step(self, lease: Lease, payload: Payload) -> Reply:
        """``step:start``."""
        run, step_id = lease.run, payload["step_id"]
        if run.lease is not lease:
            return LEASE_LOST
        known = run.steps.get(step_id)
        taken = any(step_id in other.steps for other in self.runs.values())
        if self.reporting(run) and not taken:
            run.steps[step_id] = Step(payload)
            run.tell("step:started")
            return ("ok", {"step_id": step_id})
        if known is not None and same(known.started, payload):
            return ("ok", {"step_id": step_id})
        if run.state == "lost" and self.policy == "acknowledge":
            return TOO_LATE
        return STEP_TAKEN if self.reporting(run) else COMPLETED

    def complete_step(self, lease: Lease, payload: Payload) -> Reply:
        """``step:complete``."""
        run, step_id = lease.run, payload["step_id"]
        if run.lease is not lease:
            return LEASE_LOST
        step = run.steps.get(step_id)
        open_ = step is not None and step.completed is None
        # A lost run that has told its end may still tell the ends of its steps.
        if step is not None and open_ and (self.reporting(run) or run.recovered):
            step.reason, step.completed = payload["reason"], payload
            run.tell("step:completed")
            return ("ok", {"step_id": step_id})
        if step is not None and same(step.completed, payload):
            return ("ok", {"step_id": step_id})
        if run.state == "lost" and self.policy == "acknowledge":
            return TOO_LATE
        if step is None:
            return UNKNOWN_STEP
        return STEP_COMPLETED if self.reporting(run) else COMPLETED

    def log(self, lease: Lease, lines: list[Payload], *, batch: bool) -> Reply:
        """``run:log`` and ``run:batch_logs``: all lines of a message or none."""
        run = lease.run
        stored: Reply = ("ok", {}) if batch else ("ok", {"log_line_id": lines[0]["id"]})
        if run.lease is not lease:
            return stored
        there = [self.lines.get(line["id"]) for line in lines]
        if any(old not in (None, (run.id, line)) for old, line in zip(there, lines, strict=True)):
            return LINE_TAKEN
        new = [line for old, line in zip(there, lines, strict=True) if old is None]
        if any(line.get("step_id") not in (None, *run.steps) for line in new):
            return FOREIGN_STEP
        for line in new:
            self.lines[line["id"]] = (run.id, line)
            run.lines.append(line["id"])
            run.tell("logs")
        return stored
