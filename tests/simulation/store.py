"""Runs in memory: the model of the lifecycle, each change judged by `schema.lifecycle`.

The model says what a worker must be answered, the table of the product says what is legal. A
simulated run fails when the two disagree.
"""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from schema import lifecycle
from tests.statemachine.model import (
    HELD,
    REASONS,
    UNFINISHED,
    Lease,
    Model,
    Payload,
    Policy,
    Reply,
    Run,
)


class JudgedRun(Run):
    """A run that refuses a change of state which the lifecycle does not know."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "state" and (before := self.__dict__.get("state")) is not None:
            assert lifecycle.allowed(before, value), f"{before} -> {value}"
            self.__dict__.setdefault("states", [before]).append(value)
        self.__dict__[name] = value

    @property
    def history(self) -> list[str]:
        """The states that it was in."""
        return self.__dict__.get("states", [self.state])


@dataclass
class Store:
    """All runs of one schedule, and what was done to them.

    Attributes:
        applied: Events that changed something, by run, event and key, and how often.
        granted: The pairs of run and epoch that were handed out.
    """

    policy: Policy
    applied: dict[tuple[UUID, str, str], int] = field(
        default_factory=dict[tuple[UUID, str, str], int]
    )
    granted: set[tuple[UUID, int]] = field(default_factory=set[tuple[UUID, int]])
    tokens: dict[str, Lease] = field(default_factory=dict[str, Lease])

    def __post_init__(self) -> None:
        self.model = Model(self.policy)
        self.runs: list[JudgedRun] = []

    def enqueue(self, number: int) -> None:
        """A new run."""
        self.runs.append(JudgedRun(UUID(int=number), UUID(int=number), number))
        self.model.enqueue(self.runs[-1])

    def claim(self, demand: int) -> list[str]:
        """Hand out runs; their tokens."""
        tokens: list[str] = []
        for run in self.model.claimable()[:demand]:
            token = f"{run.number}.{run.epoch + 1}"
            assert (run.id, run.epoch + 1) not in self.granted, "an epoch is handed out once"
            self.granted.add((run.id, run.epoch + 1))
            self.tokens[token] = self.model.claim(run, token)
            tokens.append(token)
        return tokens

    def heard(self, token: str) -> None:
        """The holder of a token joined its run."""
        lease = self.tokens[token]
        if lease.run.lease is lease:
            lease.run.joined = True

    def release(self, run: Run) -> None:
        """Release a claim that nobody has heard of."""
        if run.state == "claimed" and not run.joined:
            self.model.release(run)

    def lose(self, run: Run) -> None:
        """Give a run up."""
        if run.state in HELD:
            self.model.lose(run)

    def event(self, token: str, event: str, payload: Payload) -> Reply:
        """One event of a worker."""
        lease = self.tokens[token]
        run, before, state = lease.run, lease.run.version, lease.run.state
        reply = self._apply(lease, event, payload)
        changed = run.version != before
        assert not changed or run.lease is lease, "a stale lease changes nothing"
        if changed:
            key = (run.id, event, payload.get("step_id") or payload.get("id") or "")
            self.applied[key] = self.applied.get(key, 0) + 1
        elif reply[0] == "error" and "state" in reply[1]:
            target: Any = {"run:start": "started"}.get(event) or REASONS.get(
                payload.get("reason", "")
            )
            if event in ("run:start", "run:complete") and not lifecycle.allowed(state, target):
                assert reply[1] == lifecycle.refusal(state, target)
        return reply

    def _apply(self, lease: Lease, event: str, payload: Payload) -> Reply:
        model = self.model
        if event == "run:start":
            return model.start(lease, payload)
        if event == "run:complete":
            return model.complete(lease, payload)
        if event == "step:start":
            return model.start_step(lease, payload)
        if event == "step:complete":
            return model.complete_step(lease, payload)
        return model.log(lease, [payload], batch=False)

    def check(self) -> None:
        """What must be true of every run at the end."""
        for run in self.runs:
            assert run.state not in UNFINISHED, (run.number, run.state)
            finals = [state for state in run.history if state not in UNFINISHED]
            assert len(finals) == 1 or (len(finals) == 2 and finals[0] == "lost"), finals
            assert run.told.count("logs") == len(run.lines) == len(set(run.lines))
        assert set(self.applied.values()) <= {1}, "each event has its effect once"
