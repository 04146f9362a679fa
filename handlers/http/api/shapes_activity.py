"""What the API answers with about what goes on and went on: statistics, the overview, workers."""

import datetime
from typing import Literal
from uuid import UUID

from handlers.http.api.shapes import Counts, Moment, Shape


class DayOfWorkflow(Shape, frozen=True, kw_only=True):
    """What became of the runs of a workflow that ended on a day (UTC).

    Attributes:
        workflow_id: The workflow.
        workflow_name: Its name.
        project_id: Its project.
        day: The day.
        total: How many runs ended.
        states: How many by state.
        seconds: Time that they took together.
        p50_s: Half of the runs that a worker had took no longer, in seconds.
        p95_s: 95 of 100 took no longer.
        error_types: How many failed, by what failed.
        computed_at: How old this is.
    """

    workflow_id: UUID
    workflow_name: str
    project_id: UUID
    day: datetime.date
    total: int
    states: Counts
    seconds: float
    p50_s: float | None
    p95_s: float | None
    error_types: dict[str, int]
    computed_at: Moment


class Statistics(Shape, frozen=True, kw_only=True):
    """Statistics by day and workflow; days without any run are left out."""

    days: list[DayOfWorkflow]


class Queue(Shape, frozen=True, kw_only=True):
    """Runs that wait for a worker; the age is that of the oldest, in seconds."""

    depth: int
    oldest_age_s: float | None


class Minute(Shape, frozen=True, kw_only=True):
    """How many runs ended in a minute, and how many of them badly."""

    minute: Moment
    finished: int
    failed: int


class Attention(Shape, frozen=True, kw_only=True):
    """Something that somebody should look at."""

    kind: Literal["lost", "stuck", "stale", "failed"]
    run_id: UUID | None
    workflow_id: UUID
    since: Moment
    message: str


class Worker(Shape, frozen=True, kw_only=True):
    """A worker that is or was connected; `runs` are those that it holds and the token may see."""

    id: str
    name: str | None
    version: str | None
    capacity: int | None
    connected_at: Moment
    seen_at: Moment
    online: bool
    server: str
    runs: list[UUID]
    runs_held: int


class WorkerList(Shape, frozen=True, kw_only=True):
    """Workers, by name."""

    workers: list[Worker]


class Overview(Shape, frozen=True, kw_only=True):
    """What goes on.

    Attributes:
        at: When this was read.
        runs: How many runs are not over, and how many ended in the last hour, by state.
        queue: What waits.
        last_hour: The last 60 minutes, oldest first.
        workers: Who is connected.
        attention: What should be looked at, of the last hour; up to 20 of each kind.
    """

    at: Moment
    runs: Counts
    queue: Queue
    last_hour: list[Minute]
    workers: list[Worker]
    attention: list[Attention]
