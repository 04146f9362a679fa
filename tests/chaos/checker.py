"""The eight invariants, checked from what clients were told and a last look at the database."""

import base64
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from schema.lifecycle import FINAL_STATES
from tests.chaos.cluster import Cluster
from tests.chaos.dashboards import RunWatch
from tests.chaos.history import History, Operation

REASONS: Final = {"success": "success", "fail": "failed", "crash": "crashed"}

_RUNS = """SELECT r.id::text, r.state, r.version, r.lease::text, r.lease_epoch, r.error_type,
  r.recovered_at, w.state AS order_state FROM runs r JOIN work_orders w ON w.id = r.work_order_id"""
_STEPS = """SELECT rs.run_id::text AS run, s.id::text, s.exit_reason, s.finished_at
FROM steps s LEFT JOIN run_steps rs ON rs.step_id = s.id"""
_LINES = "SELECT id::text, run_id::text AS run, version FROM log_lines"
_EVENTS = """SELECT run_id::text AS run, version, event, payload -> 'run' ->> 'state' AS state,
  payload -> 'step' ->> 'id' AS step, payload -> 'step' ->> 'exit_reason' AS exit_reason
FROM run_events ORDER BY run_id, version"""
_JOBS = """SELECT id, pipeline_id::text AS pipeline, parent_id, job_type, module_type_id,
  data_entry_type_id, year, state, result FROM pipeline_jobs"""


def lease_of(token: str) -> str:
    """The lease that a run token names."""
    part = token.split(".")[1]
    return msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["lease"]


@dataclass
class Stored:
    """The database at the end.

    Attributes:
        totals: Those of the pipelines, before all troubles and at the end.
    """

    runs: dict[str, Any] = field(default_factory=dict[str, Any])
    steps: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    lines: Counter[str] = field(default_factory=Counter[str])
    versions: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    events: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    jobs: list[Any] = field(default_factory=list[Any])
    totals: tuple[Any, Any] = (None, None)

    @classmethod
    async def read(cls, cluster: Cluster) -> "Stored":
        """Read everything."""
        made = cls({row["id"]: row for row in await cluster.fetch(_RUNS)})
        versions: defaultdict[str, list[int]] = defaultdict(list)
        steps: defaultdict[str, list[Any]] = defaultdict(list)
        events: defaultdict[str, list[Any]] = defaultdict(list)
        for row in await cluster.fetch(_STEPS):
            steps[row["id"]].append(row)
        for row in await cluster.fetch(_LINES):
            made.lines[row["id"]] += 1
            versions[row["run"]].append(row["version"])
        for row in await cluster.fetch(_EVENTS):
            events[row["run"]].append(row)
            versions[row["run"]].append(row["version"])
        made.steps, made.versions, made.events = steps, versions, events
        made.jobs = await cluster.fetch(_JOBS)
        return made


class Checker:
    """Finds what is wrong.

    Args:
        history: What clients were told.
        stored: What the database says.

    Attributes:
        found: Sentences, each about one violation.
    """

    def __init__(self, history: History, stored: Stored) -> None:
        self.history = history
        self.stored = stored
        self.found: list[str] = []

    def check(self, watches: Iterable[RunWatch]) -> list[str]:
        """Check invariants 1 to 7; what was found."""
        for operation in self.history.operations:
            if operation.outcome == "ok" and operation.answer != {"status": "too_late"}:
                self._acknowledged(operation)
        self._leases()
        for run, row in self.stored.runs.items():
            self._states(run, row)
            self._versions(run, row)
        self._open_steps()
        for watch in watches:
            self._dashboard(watch)
        self._webhooks()
        self._chains()
        self.found += self.history.surprises
        return self.found

    def expect(self, holds: bool, sentence: str) -> None:
        """Note a violation unless something holds."""
        if not holds:
            self.found.append(sentence)

    # 1: what was acknowledged is there, once.

    def _acknowledged(self, operation: Operation) -> None:
        check = {
            "run:start": self._started,
            "run:complete": self._completed,
            "step:start": self._step_started,
            "step:complete": self._step_completed,
            "run:log": self._logged,
            "run:batch_logs": self._logged,
        }[operation.event]
        check(operation)

    def _started(self, operation: Operation) -> None:
        states = self._path(operation.run)
        self.expect(states.count("started") == 1, f"1: run:start of {operation.run}: {states}")

    def _completed(self, operation: Operation) -> None:
        reason = operation.payload["reason"]
        state = str(REASONS.get(reason, reason))
        row = self.stored.runs[operation.run]
        self.expect(row["state"] == state, f"1: {operation.run} was {reason}: {row['state']}")
        count = self._path(operation.run).count(state)
        self.expect(count == 1, f"1: the end of {operation.run} is recorded {count} times")

    def _step_started(self, operation: Operation) -> None:
        step = operation.payload["step_id"]
        rows = self.stored.steps[step]
        self.expect([row["run"] for row in rows] == [operation.run], f"1: step {step}: {rows}")
        told = [e for e in self.stored.events[operation.run] if e["event"] == "step:started"]
        count = sum(event["step"] == step for event in told)
        self.expect(count == 1, f"1: the start of step {step} is recorded {count} times")

    def _step_completed(self, operation: Operation) -> None:
        step, reason = operation.payload["step_id"], operation.payload["reason"]
        row = self.stored.steps[step][0]
        self.expect(row["exit_reason"] == reason, f"1: step {step} was {reason}: {row}")
        told = [e for e in self.stored.events[operation.run] if e["event"] == "step:completed"]
        real = sum(e["step"] == step and e["exit_reason"] == reason for e in told)
        self.expect(real == 1, f"1: the end of step {step} is recorded {real} times")

    def _logged(self, operation: Operation) -> None:
        if lease_of(operation.token) != self.stored.runs[operation.run]["lease"]:
            return  # acknowledged and dropped: decision 0012
        for line in operation.payload.get("logs", [operation.payload]):
            count = self.stored.lines[line["id"]]
            self.expect(
                count == 1, f"1: line {line['id']} of {operation.run} is there {count} times"
            )

    # 2: one live lease.

    def _leases(self) -> None:
        offered = defaultdict[str, set[str]](set)
        for offer in self.history.offers:
            offered[offer.run].add(lease_of(offer.token))
        for run, leases in offered.items():
            epoch = self.stored.runs[run]["lease_epoch"]
            self.expect(len(leases) <= epoch, f"2: {run}: {len(leases)} leases in {epoch} claims")
        for operation in self.history.operations:
            if operation.event in ("run:start", "run:complete") and operation.outcome == "ok":
                mine = lease_of(operation.token) == self.stored.runs[operation.run]["lease"]
                self.expect(mine, f"2: a stale lease changed {operation.run}: {operation}")

    # 3: final states.

    def _path(self, run: str) -> list[Any]:
        events = self.stored.events[run]
        return [e["state"] for e in events if e["event"] in ("run:created", "run:updated")]

    def _states(self, run: str, row: Any) -> None:
        path = self._path(run)
        finals = [state for state in path if state in FINAL_STATES]
        recovered = len(finals) == 2 and finals[0] == "lost"
        self.expect(len(finals) == 1 or recovered, f"3: {run}: {path}")
        self.expect(recovered == (row["recovered_at"] is not None), f"3: {run}: {path}, {row}")
        self.expect(path[-1:] == [row["state"]], f"3: {run} is {row['state']}: {path}")
        self.expect(row["order_state"] == row["state"], f"3: work order of {run}: {row}")

    # 4 and 5: steps, versions.

    def _open_steps(self) -> None:
        for step, rows in self.stored.steps.items():
            for row in rows:
                closed = row["finished_at"] is not None and row["run"] is not None
                self.expect(closed, f"4: step {step} is open: {row}")

    def _versions(self, run: str, row: Any) -> None:
        versions = sorted(self.stored.versions[run])
        whole = versions == list(range(1, row["version"] + 1))
        self.expect(whole, f"5: versions of {run} up to {row['version']}: {versions}")

    # 6: dashboards.

    def _dashboard(self, watch: RunWatch) -> None:
        row = self.stored.runs[watch.run]
        self.expect(
            watch.state == row["state"],
            f"6: a dashboard believes {watch.run} {watch.state!r} (version {watch.version}),"
            f" it is {row['state']!r} ({row['version']}); told {watch.told}",
        )
        if watch.first is not None:
            whole = list(range(watch.first + 1, row["version"] + 1))
            self.expect(
                watch.told == whole,
                f"6: a dashboard was told {watch.told} of {watch.run}, not {watch.first + 1} to"
                f" {row['version']}",
            )

    # 7: one run for one cause.

    def _webhooks(self) -> None:
        accepted = self.history.accepted
        self.expect(len(set(accepted)) == len(accepted), "7: two calls were given one run")
        missing = [run for run in accepted if run not in self.stored.runs]
        self.expect(not missing, f"7: accepted and not there: {missing}")
        most = len(accepted) + self.history.doubtful
        count = len(self.stored.runs)
        self.expect(count <= most, f"7: {count} runs for {most} calls")

    def _chains(self) -> None:
        jobs = self.stored.jobs
        there = {job["pipeline"] for job in jobs}
        missing = [each for each in self.history.pipelines if each not in there]
        self.expect(not missing, f"7: accepted pipelines that are not there: {missing}")
        steps = ("parent_id", "job_type", "module_type_id", "data_entry_type_id", "year")
        children = Counter(
            tuple(job[name] for name in steps) for job in jobs if job["parent_id"] is not None
        )
        twice = [child for child, count in children.items() if count > 1]
        self.expect(not twice, f"7: chained more than once: {twice}")
        before, after = self.stored.totals
        self.expect(before == after, f"7: the totals were {before} and are {after}")
