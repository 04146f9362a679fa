"""What a guarded statement says: applied, sent again, too late, or refused.

Owners and results of the worker's events. Pure values; the refusal itself is
:class:`schema.repo.Refused`.
"""

from typing import Final, Literal
from uuid import UUID

import msgspec

from schema.lifecycle import FINAL_STATES, IN_FLIGHT, RunState

LatePolicy = Literal["accept", "acknowledge", "reject"]
"""What becomes of the events of a worker whose run was marked lost meanwhile.

``accept`` lets the lease holder tell the truth once, ``acknowledge`` says yes and changes nothing,
``reject`` refuses.
"""

REPORTING: Final[tuple[RunState, ...]] = IN_FLIGHT
"""States in which the owner of a run reports its progress and its end."""


class Owner(msgspec.Struct, frozen=True):
    """Who may write a run: the holder of its current lease."""

    run_id: UUID
    lease: UUID


class Watch(msgspec.Struct, frozen=True):
    """A server that wants to judge who is absent, and may if it was there itself.

    Attributes:
        server_id: The server.
        longest_gap_s: Seconds between two of its heartbeats that are no gap.
    """

    server_id: UUID
    longest_gap_s: float


class Event(msgspec.Struct, frozen=True):
    """A committed change, as it was written to ``run_events``.

    Attributes:
        run_id: The run that changed.
        project_id: Its project.
        version: The run's version of this change.
        name: Name of the event, such as ``run:updated``.
        payload_json: JSON text of the payload; embed it, do not parse it.
        seq: Its number among the events that watchers of projects are told of; None if unknown.
    """

    run_id: UUID
    project_id: UUID
    version: int
    name: str
    payload_json: str
    seq: int | None = None


class Applied(msgspec.Struct, frozen=True):
    """The change is committed, and this is what watchers are to be told.

    Attributes:
        version: The run's version of this change.
        event: Name of the event.
        payload_json: JSON text of the payload; embed it, do not parse it.
        seq: Its number among the events that watchers of projects are told of; None if unknown.
        remarks: JSON texts of what was odd about the event, to be told too.
    """

    version: int
    event: str
    payload_json: str
    seq: int | None = None
    remarks: tuple[str, ...] = ()


class Resent(msgspec.Struct, frozen=True):
    """The same event was applied before: give the same reply, tell nobody.

    Attributes:
        version: The run's version now, not that of the first time.
    """

    version: int


class TooLate(msgspec.Struct, frozen=True):
    """The run was lost and the policy is to acknowledge: nothing was changed."""

    version: int


def reporting_states(late: LatePolicy) -> list[str]:
    """Return the states in which the events of an owner are applied."""
    return [*REPORTING, "lost"] if late == "accept" else [*REPORTING]


def is_final(state: str) -> bool:
    """Say whether a run in ``state`` is over."""
    return state in FINAL_STATES
