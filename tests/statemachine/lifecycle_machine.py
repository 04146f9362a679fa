"""The lifecycle of runs as a state machine: what may happen, in any order, and what must hold."""

from typing import Any, Final
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from schema import janitor, retention, runs, work_orders
from schema.outcomes import Applied, Event
from schema.refused import Refused
from tests.statemachine.model import HELD, UNFINISHED, Reply, Run
from tests.statemachine.stage import TIMEOUT, UNHEARD
from tests.statemachine.worker_rules import WorkerRules, pick, workers

MOST_RUNS: Final = 6


class LifecycleMachine(WorkerRules):
    """Workers, janitor, operators and clocks on a handful of runs."""

    # The beginning.

    @initialize()
    def begin(self) -> None:
        self.world = self.stage.begin(self.policy)
        self.enqueue("normal")
        self.watched = self.all_runs[0]
        self.watcher = self.stage.go(self.stage.watch(self.watched.id))
        self.claim_by("ana", 1)

    # Queue and operators.

    @precondition(lambda self: len(self.model.runs) < MOST_RUNS)
    @rule(priority=st.sampled_from(["normal", "normal", "immediate"]))
    def enqueue(self, priority: Any) -> None:
        created = self.stage.go(self.world.enqueue(priority=priority))
        self.created(created, priority=0 if priority == "immediate" else 1)

    @precondition(lambda self: len(self.model.runs) < MOST_RUNS)
    @rule(worker=workers)
    def begin_another(self, worker: str) -> None:
        """A run that is claimed and has a step: else most sequences run out of living runs."""
        self.enqueue("immediate")
        self.claim_by(worker, 1)
        self.start_step(0, worker, None)

    @precondition(lambda self: len(self.model.runs) < MOST_RUNS)
    @rule(index=pick)
    def retry(self, index: int) -> None:
        run = self.all_runs[index % len(self.model.runs)]
        result = self.stage.go(work_orders.retry(self.world.repo, run.id))
        if run.state in UNFINISHED:
            assert result == work_orders.UNFINISHED
        else:
            self.created(result, run.order, queue="manual", priority=0)

    @rule(worker=workers, demand=st.integers(0, 3))
    def claim(self, worker: str, demand: int) -> None:
        self.claim_by(worker, demand)

    @precondition(lambda self: self.model.claimable())
    @rule(worker=workers)
    def claim_what_is_there(self, worker: str) -> None:
        self.claim_by(worker, 1)

    def claim_by(self, worker: str, demand: int) -> None:
        stage = self.stage

        async def claim() -> Reply:
            queue, _ = await stage.join(worker, "worker:queue")
            return await stage.call(queue, "claim", {"demand": demand, "worker_name": worker})

        expected = self.model.claimable()[:demand]
        status, response = stage.go(claim())
        self.gone.discard(worker)
        offers = response["runs"]
        assert status == "ok"
        assert [offer["id"] for offer in offers] == [str(run.id) for run in expected]
        for offer in offers:
            run = self.model.runs[UUID(offer["id"])]
            self.leases.append(self.model.claim(run, offer["token"], worker))

    @rule(index=pick)
    def cancel(self, index: int) -> None:
        run = self.all_runs[index % len(self.model.runs)]
        result = self.stage.go(runs.cancel(self.world.repo, run.id, "an operator"))
        assert isinstance(result, Applied) == self.model.cancel(run), result
        if isinstance(result, Applied):
            project = self.world.project.id
            event = Event(run.id, project, result.version, result.event, result.payload_json)
            self.stage.go(self.stage.publish([event]))

    # Workers.

    @precondition(lambda self: self.leases)
    @rule(index=pick, worker=workers)
    def join(self, index: int, worker: str) -> None:
        lease = self.lease(index)
        topic, payload = f"run:{lease.run.id}", {"token": lease.token}
        seat = self.seat(lease, worker)
        self.stage.go(self.stage.rejoin(seat, topic, payload))
        self.heard(lease, seat)

    @rule(worker=workers)
    def lose_connection(self, worker: str) -> None:
        seats = [name for name in self.stage.seats() if name.partition("/")[0] == worker]
        if seats:
            self.stage.go(self.stage.drop_all(seats))

    @precondition(lambda self: self.stage.seats())
    @rule(index=pick)
    def say_goodbye(self, index: int) -> None:
        """A worker closes its connection: what it did not start goes back at once."""
        seats = self.stage.seats()
        seat = seats[index % len(seats)]
        self.stage.go(self.stage.drop(seat, clean=True))
        for run in self.all_runs:
            if run.state == "claimed" and run.seat == seat:
                self.model.release(run)

    @precondition(lambda self: any(run.seat for run in self.all_runs))
    @rule(index=pick)
    def vanish(self, index: int) -> None:
        """A worker is gone for so long that its runs are lost at the next sweep."""
        seats = sorted({run.seat for run in self.all_runs if run.seat is not None})
        seat = seats[index % len(seats)]
        self.stage.go(self.stage.vanish(seat))
        self.gone.add(seat)
        if index % 2:
            self.sweep()

    # Time, the janitor, restarts.

    @rule(index=pick, seconds=st.sampled_from([UNHEARD + 60, TIMEOUT + 60, -3_600.0]))
    def time_passes(self, index: int, seconds: float) -> None:
        """The clock of the database jumps, for one run: ahead, or an hour back."""
        run = self.all_runs[index % len(self.model.runs)]
        if run.state in HELD:
            self.age(run, seconds)

    def age(self, run: Run, seconds: float) -> None:
        run.age += seconds
        moved = "UPDATE runs SET claimed_at = claimed_at - make_interval(secs => $2) WHERE id = $1"
        self.stage.go(self.stage.execute(moved, run.id, seconds))

    @rule()
    def release_unheard(self) -> None:
        self.stage.go(self.stage.release_unheard())
        for run in self.all_runs:
            if run.state == "claimed" and not run.joined and run.age > UNHEARD:
                self.model.release(run)

    @precondition(lambda self: any(r.state == "claimed" and not r.joined for r in self.all_runs))
    @rule(worker=workers)
    def hand_out_again(self, worker: str) -> None:
        """An unheard claim goes back, and the next one gets it: else it rarely happens."""
        unheard = [r for r in self.all_runs if r.state == "claimed" and not r.joined]
        for run in unheard:
            self.age(run, UNHEARD + 60)
        self.release_unheard()
        self.claim_by(worker, len(unheard))

    @rule()
    def sweep(self) -> None:
        self.stage.go(self.stage.janitor())
        for run in self.all_runs:
            if run.state in HELD and run.seat in self.gone:
                self.model.lose(run, "LostAfterDisconnect")
            elif run.state in HELD and run.age > TIMEOUT:
                self.model.lose(run)
        for run in self.all_runs:
            if run.state not in UNFINISHED:
                run.close_steps()

    @precondition(lambda self: any(run.state in HELD for run in self.all_runs))
    @rule(index=pick)
    def lose(self, index: int) -> None:
        """A run grows old and the janitor comes by, in one step: else it rarely happens."""
        held = [run for run in self.all_runs if run.state in HELD]
        run = held[index % len(held)]
        lost = self.stage.go(
            janitor.mark_lost(
                self.world.repo, default_timeout_s=-86_400, grace_s=0, run_ids=[run.id]
            )
        )
        assert not isinstance(lost, Refused)
        self.stage.go(self.stage.publish([event for swept in lost for event in swept.events]))
        self.model.lose(run)

    @precondition(lambda self: not self.restarted)
    @rule()
    def restart(self) -> None:
        self.restarted = True
        self.told()
        self.stage.go(self.watcher.close())
        self.stage.go(self.stage.restart())
        assert self.watched is not None
        self.seen = self.watched.version
        self.watcher = self.stage.go(self.stage.watch(self.watched.id))

    @rule()
    def wipe(self) -> None:
        """Retention: what unfinished runs need is never wiped, and no state changes."""
        assert not isinstance(self.stage.go(retention.wipe(self.world.repo)), Refused)

    # What must be true.

    seen = 1

    def told(self) -> None:
        """The dashboard was told each change once, in order, and nothing else."""
        assert self.watched is not None
        last = self.watched.version
        versions = self.stage.go(self.watcher.versions(last if last > self.seen else 0))
        assert versions == list(range(self.seen + 1, last + 1)), self.watched.told

    @invariant()
    def the_database_is_as_the_model(self) -> None:
        if not self.model.runs:
            return
        LifecycleMachine.checked += 1
        rows = self.stage.go(self.stage.snapshot())
        assert {row["id"] for row in rows} == set(self.model.runs)
        for row in rows:
            self.compare(self.model.runs[row["id"]], row)

    def compare(self, run: Run, row: Any) -> None:
        found = {
            name: row[name]
            for name in ("state", "version", "epoch", "joined", "recovered", "error_type")
        }
        assert found == {
            "state": run.state,
            "version": run.version,
            "epoch": run.epoch,
            "joined": run.joined,
            "recovered": run.recovered,
            "error_type": run.error_type,
        }
        versions, told, lines = zip(*row["told"], strict=True)
        assert versions == tuple(map(str, range(1, run.version + 1))), "each version once"
        assert list(told) == run.told
        assert [line for line in lines if line is not None] == run.lines
        assert [step for step, _, odd in row["steps"] if odd == "true"] == []
        found_steps = {step: reason for step, reason, _ in row["steps"]}
        assert found_steps == {step_id: step.reason for step_id, step in run.steps.items()}
        assert row["order_state"] == self.model.order_state(run.order)
        for event, column in ((run.started, "started"), (run.completed, "finished")):
            if event is not None and "timestamp" in event:
                assert row[column] == event["timestamp"], "kept to the microsecond"

    def teardown(self) -> None:
        if self.watcher is not None:
            self.told()
            self.sweep()
            self.the_database_is_as_the_model()
            self.check_what_is_left()
            self.stage.go(self.watcher.close())
            self.stage.playing = False

    def check_what_is_left(self) -> None:
        """No step outlives its run; a final state was left only for the truth about a lost run."""
        for run in self.all_runs:
            if run.state not in UNFINISHED:
                assert all(step.reason is not None for step in run.steps.values())
        rows = self.stage.go(
            self.stage.rows(
                "SELECT run_id, array_agg(payload -> 'run' ->> 'state' ORDER BY version) AS states"
                " FROM run_events WHERE event IN ('run:created', 'run:updated') GROUP BY run_id"
            )
        )
        for row in rows:
            finals = [state for state in row["states"] if state not in UNFINISHED]
            assert finals[:1] == finals[-1:] or (finals[0], len(finals)) == ("lost", 2), finals
