"""The checker finds each violation that it is there for."""

import base64
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.chaos.checker import Checker, Stored, lease_of
from tests.chaos.dashboards import RunWatch
from tests.chaos.history import History, Offer, Operation

Spoil = Callable[[History, Stored, RunWatch], Any]

RUN, STEP, LINE, LEASE = "run", "step", "line", "lease-1"


def token(lease: str) -> str:
    claims = base64.urlsafe_b64encode(msgspec.json.encode({"lease": lease})).decode().rstrip("=")
    return f"head.{claims}.signature"


def operation(event: str, lease: str = LEASE, **payload: Any) -> Operation:
    return Operation(token(lease), RUN, event, payload, "ok", None, 1)


def event(version: int, name: str, **more: Any) -> dict[str, Any]:
    empty = {"state": None, "step": None, "exit_reason": None}
    return {"run": RUN, "version": version, "event": name, **empty, **more}


def job(parent: int | None, job_type: str) -> dict[str, Any]:
    scope = {"module_type_id": 5, "data_entry_type_id": None, "year": 2025}
    return {"pipeline": "p", "parent_id": parent, "job_type": job_type, **scope}


def good() -> tuple[History, Stored, RunWatch]:
    """One run that went well, and everybody who heard of it."""
    operations = [
        operation("run:start"),
        operation("step:start", step_id=STEP),
        operation("run:log", id=LINE),
        operation("step:complete", step_id=STEP, reason="success"),
        operation("run:complete", reason="success"),
    ]
    history = History(operations, [Offer(RUN, token(LEASE), "ana")], [RUN], pipelines=["p"])
    row = {
        "id": RUN,
        "state": "success",
        "version": 7,
        "lease": LEASE,
        "lease_epoch": 1,
        "error_type": None,
        "recovered_at": None,
        "order_state": "success",
    }
    done = {"run": RUN, "id": STEP, "exit_reason": "success", "finished_at": "now"}
    events = [
        event(1, "run:created", state="available"),
        event(2, "run:updated", state="claimed"),
        event(3, "run:updated", state="started"),
        event(4, "step:started", step=STEP),
        event(6, "step:completed", step=STEP, exit_reason="success"),
        event(7, "run:updated", state="success"),
    ]
    stored = Stored({RUN: row}, {STEP: [done]}, versions={RUN: list(range(1, 8))})
    stored.lines[LINE] = 1
    stored.jobs = [job(None, "csv_ingest"), job(1, "emission_recalc")]
    stored.events[RUN] = events
    watch = RunWatch.__new__(RunWatch)
    watch.run, watch.state, watch.version, watch.first = RUN, "success", 7, 1
    watch.told = list(range(2, 8))
    return history, stored, watch


def found(spoil: Spoil) -> list[str]:
    history, stored, watch = good()
    spoil(history, stored, watch)
    return Checker(history, stored).check([watch])


def test_nothing_is_found_where_all_is_well() -> None:
    assert found(lambda _h, _s, _w: None) == []
    assert lease_of(token(LEASE)) == LEASE


CASES: list[tuple[int, Spoil]] = [
    (1, lambda _h, s, _w: s.events[RUN].pop(2)),
    (1, lambda _h, s, _w: s.events[RUN].append(event(8, "run:updated", state="started"))),
    (1, lambda _h, s, _w: s.steps.update({STEP: []} | {STEP: [s.steps[STEP][0]] * 2})),
    (1, lambda _h, s, _w: s.steps[STEP][0].update(exit_reason="lost")),
    (1, lambda _h, s, _w: s.lines.clear()),
    (1, lambda _h, s, _w: s.lines.update([LINE])),
    (1, lambda _h, s, _w: s.runs[RUN].update(state="failed")),
    (2, lambda h, _s, _w: h.offers.append(Offer(RUN, token("lease-2"), "ben"))),
    (2, lambda h, _s, _w: h.operations.append(operation("run:start", "lease-2"))),
    (3, lambda _h, s, _w: s.events[RUN].append(event(8, "run:updated", state="failed"))),
    (3, lambda _h, s, _w: s.runs[RUN].update(recovered_at="now")),
    (3, lambda _h, s, _w: s.runs[RUN].update(order_state="running")),
    (4, lambda _h, s, _w: s.steps[STEP][0].update(finished_at=None)),
    (5, lambda _h, s, _w: s.versions[RUN].remove(5)),
    (5, lambda _h, s, _w: s.versions[RUN].append(5)),
    (6, lambda _h, _s, w: setattr(w, "state", "started")),
    (6, lambda _h, _s, w: w.told.remove(4)),
    (6, lambda _h, _s, w: w.told.append(7)),
    (7, lambda h, _s, _w: h.accepted.append("another")),
    (7, lambda h, _s, _w: h.accepted.append(RUN)),
    (7, lambda h, _s, _w: h.accepted.clear()),
    (7, lambda h, _s, _w: h.pipelines.append("another")),
    (7, lambda _h, s, _w: s.jobs.append(s.jobs[-1])),
    (7, lambda _h, s, _w: setattr(s, "totals", ([1], [2]))),
]


@pytest.mark.parametrize(("number", "spoil"), CASES)
def test_each_violation_is_found(number: int, spoil: Spoil) -> None:
    assert str(number) in {sentence.partition(":")[0] for sentence in found(spoil)}


def test_lines_of_a_stale_lease_may_be_dropped() -> None:
    def spoil(history: History, stored: Stored, _watch: RunWatch) -> None:
        history.operations[2].token = token("lease-0")
        stored.lines.clear()

    assert found(spoil) == []
