"""Run states and their transitions: the one table.

::

    available --claim--> claimed --run:start--> started --run:complete--> an outcome
     |    ^                |  |                    |
     |    +----release-----+  +--run:complete--> an outcome
     +--cancel--> cancelled   |                    |
                              +----- janitor ------+--> lost --late completion--> an outcome

    outcomes: success, failed, crashed, cancelled, killed, exception

The guard in the database (:mod:`schema.triggers`) is generated from :data:`TRANSITIONS`; nothing
else says which change of state is legal. This module is pure.

Not decided here: who may ask for a transition. Only the queue claims and releases, only an operator
cancels an unclaimed run, and ``lost`` is left only by the worker that still holds the lease.
"""

from typing import Final, Literal, get_args

RunState = Literal[
    "available",
    "claimed",
    "started",
    "success",
    "failed",
    "crashed",
    "cancelled",
    "killed",
    "exception",
    "lost",
]
"""State of a run."""

WorkOrderState = Literal[
    "pending",
    "running",
    "success",
    "failed",
    "crashed",
    "cancelled",
    "killed",
    "exception",
    "lost",
]
"""State of a work order, derived from its runs and never written by hand."""

RUN_STATES: Final[tuple[RunState, ...]] = get_args(RunState)
WORK_ORDER_STATES: Final[tuple[WorkOrderState, ...]] = get_args(WorkOrderState)

FINAL_STATES: Final[tuple[RunState, ...]] = RUN_STATES[3:]
"""A run in one of these is over."""

OUTCOMES: Final[tuple[RunState, ...]] = FINAL_STATES[:-1]
"""Final states that a worker can report: all but ``lost``."""

IN_FLIGHT: Final[tuple[RunState, ...]] = ("claimed", "started")
"""A worker holds the run and its lease; these count against concurrency."""

TRANSITION_CONSTRAINT: Final = "runs_state_transition"
"""Name of the constraint that the database reports for an illegal transition."""

INITIAL: Final[RunState] = "available"
"""The only state that a run can be inserted in."""


def _table() -> frozenset[tuple[RunState, RunState]]:
    legal: set[tuple[RunState, RunState]] = {
        ("available", "claimed"),
        ("available", "cancelled"),
        ("claimed", "started"),
        ("claimed", "available"),
    }
    legal.update((held, final) for held in IN_FLIGHT for final in FINAL_STATES)
    legal.update(("lost", outcome) for outcome in OUTCOMES)
    return frozenset(legal)


TRANSITIONS: Final[frozenset[tuple[RunState, RunState]]] = _table()
"""Every legal ``(from, to)``. What is not in here is refused, single and in bulk alike."""


def allowed(current: str, target: str) -> bool:
    """Say whether a run may go from ``current`` to ``target``."""
    return (current, target) in TRANSITIONS


def sources(target: RunState) -> tuple[RunState, ...]:
    """Return the states from which ``target`` can be reached, in declaration order."""
    return tuple(state for state in RUN_STATES if (state, target) in TRANSITIONS)


def refusal(current: str, target: str) -> dict[str, list[str]]:
    """Return the field errors for a transition that is not legal.

    Args:
        current: The state that the run is in.
        target: The state that was asked for.

    Returns:
        ``{"state": [message]}`` in the wording that workers know.

    Raises:
        ValueError: The transition is legal, so there is nothing to refuse.
    """
    if allowed(current, target):
        raise ValueError(f"{current} -> {target} is a legal transition")
    return {"state": [_message(current, target)]}


def _message(current: str, target: str) -> str:
    if target not in RUN_STATES or current not in RUN_STATES:
        return "is invalid"
    if current in FINAL_STATES:
        return "already in completed state"
    if current == "started":
        return "already started"
    if current == "claimed":
        return "already claimed"
    return f"cannot mark run {target} that has not been claimed by a worker"
