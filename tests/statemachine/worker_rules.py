"""What workers do: events in any order, sent again, with any lease, on any connection."""

from collections import Counter
from typing import Any, ClassVar, Final
from uuid import UUID, uuid4

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from schema.refused import Refused
from schema.work_orders import Created
from tests.handlers.bench import MICROSECONDS
from tests.schema.world import World
from tests.statemachine.model import REASONS, Lease, Model, Payload, Policy, Reply, Run
from tests.statemachine.stage import Stage

HOUR: Final = 3_600 * 1_000_000

pick = st.integers(0, 11)
workers = st.sampled_from(["ana", "ben", "cai"])
moments = st.sampled_from([None, 0, 1, 7, -HOUR, HOUR])
"""Clocks of workers: missing, to the microsecond, or an hour off."""
reasons = st.sampled_from(sorted(REASONS))


def stamped(payload: Payload, moment: int | None) -> Payload:
    """A payload with a timestamp as workers send it, or without one."""
    return payload if moment is None else {**payload, "timestamp": str(MICROSECONDS + moment)}


class WorkerRules(RuleBasedStateMachine):
    """Workers on a handful of runs; see `LifecycleMachine` for what happens to them."""

    world: World

    stage: ClassVar[Stage]
    policy: ClassVar[Policy] = "accept"
    met: ClassVar[Counter[str]] = Counter()
    """How often each event met each situation, to see what the sequences reach."""
    checked: ClassVar[int] = 0
    """Comparisons of database and model, one after each step of every sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model(self.policy)
        self.leases: list[Lease] = []
        self.sent: list[tuple[str, Lease, Payload, str]] = []
        self.gone: set[str] = set()
        self.number = 0
        self.restarted = False
        self.watched: Run | None = None
        self.watcher: Any = None

    # Helpers.

    @property
    def all_runs(self) -> list[Run]:
        return list(self.model.runs.values())

    def lease(self, index: int, lively: int = 9) -> Lease:
        """A lease: for the first ``lively`` indexes one that counts, else any there ever was."""
        if index < lively:
            held = [x for x in self.leases if x.run.lease is x and self.model.reporting(x.run)]
            if held:
                return held[index % len(held)]
        return self.leases[-1 - index % len(self.leases)]

    def step_of(self, run: Run, index: int) -> str | None:
        """A step of a run: mostly one that can be completed."""
        steps = [key for key, step in run.steps.items() if step.completed is None or index > 8]
        return steps[index % len(steps)] if steps else None

    def send(self, event: str, lease: Lease, payload: Payload, worker: str) -> Reply:
        """Push an event of a run, joining it first where that is needed."""
        topic = f"run:{lease.run.id}"
        stage = self.stage

        async def send() -> Reply:
            seat = self.seat(lease, worker)
            channel, fresh = await stage.join(seat, topic, {"token": lease.token})
            if fresh:
                self.heard(lease, seat)
            return await stage.call(channel, event, payload)

        return stage.go(send())

    def seat(self, lease: Lease, worker: str) -> str:
        """A connection of a worker: one for each lease, as one socket joins a topic once."""
        return f"{worker}/{lease.epoch}"

    def heard(self, lease: Lease, seat: str) -> None:
        """A join with the current lease makes the claim heard, and its worker one to be missed."""
        self.gone.discard(seat)
        if lease.run.lease is lease:
            lease.run.joined, lease.run.seat = True, seat

    def report(self, event: str, lease: Lease, payload: Payload, worker: str) -> None:
        """Push an event, and compare its reply with that of the model."""
        run = lease.run
        state = f"{run.state} {'own' if run.lease is lease else 'stale'}"
        reply = self.send(event, lease, payload, worker)
        before = run.version
        expected = self.expected(event, lease, payload)
        applied = "applied" if run.version > before else "unchanged"
        self.met[f"{event} {state}: {expected[0]} {applied}"] += 1
        assert reply == expected, (event, payload, reply, expected)
        self.sent.append((event, lease, payload, worker))

    def expected(self, event: str, lease: Lease, payload: Payload) -> Reply:
        """Apply an event to the model."""
        model = self.model
        if event == "run:start":
            return model.start(lease, payload)
        if event == "run:complete":
            return model.complete(lease, payload)
        if event == "step:start":
            return model.start_step(lease, payload)
        if event == "step:complete":
            return model.complete_step(lease, payload)
        if event == "run:log":
            return model.log(lease, [payload], batch=False)
        return model.log(lease, payload["logs"], batch=True)

    def created(self, created: Created | Refused, order: UUID | None = None, **more: Any) -> None:
        assert isinstance(created, Created), created
        self.number += 1
        self.model.enqueue(Run(created.run_id, order or created.work_order_id, self.number, **more))
        self.stage.go(self.stage.queue_changed())

    # The events.

    @precondition(lambda self: self.leases)
    @rule(index=pick, worker=workers, moment=moments)
    def start(self, index: int, worker: str, moment: int | None) -> None:
        self.report("run:start", self.lease(index), stamped({}, moment), worker)

    @precondition(lambda self: self.leases)
    @rule(index=pick, worker=workers, reason=reasons, moment=moments, error=st.booleans())
    def complete(
        self, index: int, worker: str, reason: str, moment: int | None, error: bool
    ) -> None:
        payload: Payload = {"reason": reason}
        if error:
            payload |= {"error_type": "RuntimeCrash", "error_message": reason}
        self.report("run:complete", self.lease(index, 2), stamped(payload, moment), worker)

    @precondition(lambda self: self.leases)
    @rule(index=pick, worker=workers, reason=reasons)
    def complete_with_final_state(self, index: int, worker: str, reason: str) -> None:
        payload = {"reason": reason, "final_state": {"data": {"n": index}}}
        self.report("run:complete", self.lease(index, 1), stamped(payload, index), worker)

    @precondition(lambda self: self.leases)
    @rule(index=pick, worker=workers, moment=moments)
    def start_step(self, index: int, worker: str, moment: int | None) -> None:
        payload = {"step_id": str(uuid4()), "job_id": str(self.world.job)}
        self.report("step:start", self.lease(index), stamped(payload, moment), worker)

    @precondition(lambda self: self.leases)
    @rule(index=pick, worker=workers)
    def go_on(self, index: int, worker: str) -> None:
        """What a worker would do next, as long as it holds the run."""
        lease = self.lease(index)
        if lease.run.lease is not lease:
            return
        lost = [step_id for step_id, step in lease.run.steps.items() if step.completed is None]
        if lost:
            payload = {"step_id": lost[0], "reason": "success"}
            self.report("step:complete", lease, stamped(payload, index), worker)
        elif len(lease.run.steps) > 2 and lease.run.state in ("started", "lost"):
            self.report("run:complete", lease, stamped({"reason": "success"}, index), worker)
        elif lease.run.state == "claimed":
            self.report("run:start", lease, stamped({}, index), worker)
        else:
            self.start_step(index, worker, index)

    @precondition(lambda self: any(run.steps for run in self.all_runs))
    @rule(index=pick, which=pick, worker=workers, moment=moments)
    def start_known_step(self, index: int, which: int, worker: str, moment: int | None) -> None:
        steps = [step_id for run in self.all_runs for step_id in run.steps]
        payload = {"step_id": steps[which % len(steps)], "job_id": str(self.world.job)}
        self.report("step:start", self.lease(index), stamped(payload, moment), worker)

    @precondition(lambda self: any(lease.run.steps for lease in self.leases))
    @rule(
        index=pick, which=pick, worker=workers, reason=reasons, moment=moments, output=st.booleans()
    )
    def complete_step(
        self, index: int, which: int, worker: str, reason: str, moment: int | None, output: bool
    ) -> None:
        leases = [lease for lease in self.leases if lease.run.steps]
        lively = [x for x in leases if x.run.lease is x and self.model.reporting(x.run)]
        lease = (lively or leases)[index % len(lively or leases)]
        step_id = self.step_of(lease.run, which) or next(iter(lease.run.steps))
        payload: Payload = {"step_id": step_id, "reason": reason}
        if output:
            payload |= {"output_dataclip_id": str(uuid4()), "output_dataclip": '{"data":{}}'}
        self.report("step:complete", lease, stamped(payload, moment), worker)

    @precondition(lambda self: self.leases)
    @rule(index=pick, which=pick, worker=workers)
    def complete_step_of_nobody(self, index: int, which: int, worker: str) -> None:
        lease = self.lease(index)
        foreign = [
            step_id for run in self.all_runs if run is not lease.run for step_id in run.steps
        ]
        step_id = foreign[which % len(foreign)] if foreign else str(uuid4())
        self.report("step:complete", lease, {"step_id": step_id, "reason": "success"}, worker)

    @precondition(lambda self: self.leases)
    @rule(index=pick, which=pick, worker=workers, moment=st.integers(-2, 2), step=st.booleans())
    def log(self, index: int, which: int, worker: str, moment: int, step: bool) -> None:
        lease = self.lease(index)
        step_id = self.step_of(lease.run, which) if step else None
        self.report("run:log", lease, self.line(moment, step_id), worker)

    @precondition(lambda self: self.leases)
    @rule(index=pick, worker=workers, size=st.integers(0, 4), resent=st.booleans())
    def log_batch(self, index: int, worker: str, size: int, resent: bool) -> None:
        lease = self.lease(index)
        lines = [self.line(number) for number in range(size)]
        if resent and lease.run.lines:
            lines.insert(size // 2, self.model.lines[lease.run.lines[-1]][1])
        self.report("run:batch_logs", lease, {"logs": lines}, worker)

    @precondition(lambda self: self.leases and self.model.lines)
    @rule(index=pick, which=pick, worker=workers)
    def log_other_words_under_a_known_id(self, index: int, which: int, worker: str) -> None:
        known = list(self.model.lines)
        line = self.line(5) | {"id": known[which % len(known)]}
        self.report("run:log", self.lease(index), line, worker)

    @precondition(lambda self: self.leases)
    @rule(index=pick, worker=workers)
    def log_for_a_step_of_nobody(self, index: int, worker: str) -> None:
        lease = self.lease(index)
        self.report("run:log", lease, self.line(0, str(uuid4())), worker)

    def line(self, moment: int, step_id: str | None = None) -> Payload:
        words: Payload = {"message": ["said", moment], "source": "R/T", "level": "info"}
        line = {"id": str(uuid4()), **stamped(words, moment)}
        return line if step_id is None else {**line, "step_id": step_id}

    @precondition(lambda self: self.sent)
    @rule(index=pick, worker=workers)
    def send_again(self, index: int, worker: str) -> None:
        event, lease, payload, _ = self.sent[-1 - index % len(self.sent)]
        self.report(event, lease, payload, worker)

    @precondition(lambda self: self.sent)
    @rule(index=pick, worker=workers)
    def send_again_under_the_newest_lease(self, index: int, worker: str) -> None:
        event, lease, payload, _ = self.sent[-1 - index % len(self.sent)]
        if lease.run.lease is not None:
            self.report(event, lease.run.lease, payload, worker)

    @precondition(lambda self: any(lease.run.lease is not lease for lease in self.leases))
    @rule(index=pick, worker=workers, event=st.sampled_from(["start", "complete", "step"]))
    def speak_with_a_stale_lease(self, index: int, worker: str, event: str) -> None:
        stale = [lease for lease in self.leases if lease.run.lease is not lease]
        lease = stale[index % len(stale)]
        if event == "start":
            self.report("run:start", lease, stamped({}, index), worker)
        elif event == "complete":
            self.report("run:complete", lease, stamped({"reason": "success"}, index), worker)
        else:
            payload = {"step_id": str(uuid4()), "job_id": str(self.world.job)}
            self.report("step:start", lease, payload, worker)
