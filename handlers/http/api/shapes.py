"""What the API answers with, as structs: the one description of the shapes.

Bodies are made by the database as JSON; the tests compare every answer with these structs, field by
field, and the OpenAPI document is made of them.
"""

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from handlers.run_tokens import Role
from schema.lifecycle import RunState, WorkOrderState

Moment = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
"""ISO 8601 in UTC, exact to the microsecond."""

Counts = dict[RunState, int]
"""How many runs by state; 10 000 stands for "so many or more"."""


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A JSON object whose fields are all there, perhaps null."""


class ProjectName(Shape, frozen=True, kw_only=True):
    """A project."""

    id: UUID
    name: str


class Me(Shape, frozen=True, kw_only=True):
    """Whose token this is, and what it allows.

    Attributes:
        subject: Who.
        role: Each role may do what those before it may: viewer, operator, admin.
        expires_at: When the token ends; null is never.
        projects: What may be seen.
        tenants: Whose pipelines may be seen; null is none at all, `*` everybody's.
    """

    subject: str
    role: Role
    expires_at: Moment | None
    projects: list[ProjectName]
    tenants: list[str] | None


class UnfinishedRuns(Shape, frozen=True, kw_only=True):
    """How many runs of a project are not over."""

    available: int
    claimed: int
    started: int


class Project(ProjectName, frozen=True, kw_only=True):
    """A project with what goes on in it."""

    concurrency: int | None
    retention_policy: str
    runs: UnfinishedRuns


class ProjectList(Shape, frozen=True, kw_only=True):
    """The projects of a token, by name."""

    projects: list[Project]


class Workflow(Shape, frozen=True, kw_only=True):
    """A workflow with how many runs it has."""

    id: UUID
    project_id: UUID
    name: str
    key: str
    enabled: bool
    lock_version: int
    concurrency: int | None
    runs: Counts
    last_run_at: Moment | None


class WorkflowList(Shape, frozen=True, kw_only=True):
    """Workflows, by name."""

    workflows: list[Workflow]


class Trigger(Shape, frozen=True, kw_only=True):
    """What starts runs; type, key and switch as they are now, null once it is gone."""

    id: UUID
    type: str | None
    key: str | None
    enabled: bool | None


class Job(Shape, frozen=True, kw_only=True):
    """A node of a graph, without its code."""

    id: UUID
    name: str
    adaptor: str


class Edge(Shape, frozen=True, kw_only=True):
    """A way through a graph."""

    id: UUID
    source_trigger_id: UUID | None
    source_job_id: UUID | None
    target_job_id: UUID
    condition_type: Literal["always", "on_job_success", "on_job_failure", "js_expression"]
    condition: str | None
    enabled: bool


class Graph(Shape, frozen=True, kw_only=True):
    """The nodes and edges of a snapshot."""

    triggers: list[Trigger]
    jobs: list[Job]
    edges: list[Edge]


class Snapshot(Shape, frozen=True, kw_only=True):
    """A version of a graph."""

    id: UUID
    lock_version: int
    inserted_at: Moment


class WorkflowDetail(Shape, frozen=True, kw_only=True):
    """A workflow, its graph as it is now, and its latest snapshots, newest first."""

    workflow: Workflow
    graph: Graph
    snapshots: list[Snapshot]


class Run(Shape, frozen=True, kw_only=True):
    """One attempt at a work order."""

    id: UUID
    project_id: UUID
    project_name: str
    work_order_id: UUID
    workflow_id: UUID
    workflow_name: str
    snapshot_id: UUID
    dataclip_id: UUID | None
    final_dataclip_id: UUID | None
    starting_trigger_id: UUID | None
    starting_job_id: UUID | None
    created_by: str | None
    state: RunState
    queue: str
    priority: Literal["immediate", "normal"]
    inserted_at: Moment
    claimed_at: Moment | None
    started_at: Moment | None
    finished_at: Moment | None
    recovered_at: Moment | None
    cancel_requested_at: Moment | None
    cancel_requested_by: str | None
    error_type: str | None
    error_message: str | None
    worker_name: str | None
    version: int


class RunList(Shape, frozen=True, kw_only=True):
    """A page of runs, newest first.

    Attributes:
        runs: The runs.
        next: Cursor of the next page; null on the last one. A page of a search may be short, even
            empty, while there is a next one.
        counts: How many there are by state with the same filter, but of any state and with any
            text; on the first page only.
    """

    runs: list[Run]
    next: str | None
    counts: Counts | None


class WorkOrder(Shape, frozen=True, kw_only=True):
    """One piece of work that was asked for."""

    id: UUID
    project_id: UUID
    workflow_id: UUID
    snapshot_id: UUID
    trigger_id: UUID | None
    dataclip_id: UUID | None
    state: WorkOrderState
    last_activity: Moment
    inserted_at: Moment


class RunOfWorkOrder(Shape, frozen=True, kw_only=True):
    """An attempt, as its work order lists it."""

    id: UUID
    state: RunState
    inserted_at: Moment
    finished_at: Moment | None
    error_type: str | None


class ListedWorkOrder(WorkOrder, frozen=True, kw_only=True):
    """A work order with its attempts, oldest first."""

    workflow_name: str
    runs: list[RunOfWorkOrder]


class WorkOrderList(Shape, frozen=True, kw_only=True):
    """A page of work orders, newest first; `next` as for runs."""

    work_orders: list[ListedWorkOrder]
    next: str | None


class Step(Shape, frozen=True, kw_only=True):
    """One execution of one job."""

    id: UUID
    run_id: UUID
    job_id: UUID
    job_name: str
    snapshot_id: UUID
    credential_id: UUID | None
    input_dataclip_id: UUID | None
    output_dataclip_id: UUID | None
    started_at: Moment | None
    finished_at: Moment | None
    exit_reason: str | None
    error_type: str | None
    error_message: str | None


class WorkflowName(Shape, frozen=True, kw_only=True):
    """A workflow."""

    id: UUID
    key: str
    name: str


class Change(Shape, frozen=True, kw_only=True):
    """One committed change of a run, with one line that says what it was."""

    version: int
    event: str
    at: Moment
    state: RunState | None
    step_id: UUID | None
    summary: str


class Gap(Shape, frozen=True, kw_only=True):
    """An event that should have come and did not."""

    event: str
    step_id: UUID | None
    noticed_at: Moment | None
    because: str


class Remark(Shape, frozen=True, kw_only=True):
    """Something that was odd about the events of a run."""

    kind: Literal["missing", "late", "resent", "early"]
    event: str
    step_id: UUID | None
    at: Moment
    detail: str | None
    count: int


class Lease(Shape, frozen=True, kw_only=True):
    """Who holds a run; `online` is null where nothing is known of the worker's connection."""

    worker_name: str | None
    worker_id: str | None
    epoch: int
    joined: bool
    online: bool | None
    since: Moment


class RunDetail(Shape, frozen=True, kw_only=True):
    """A run with everything that is known of it; `cursor` is the version that it includes."""

    run: Run
    workflow: WorkflowName
    work_order: WorkOrder
    graph: Graph
    steps: list[Step]
    history: list[Change]
    gaps: list[Gap]
    remarks: list[Remark]
    lease: Lease | None
    cursor: int


class LogLine(Shape, frozen=True, kw_only=True):
    """A log line; `version` is its place."""

    id: UUID
    run_id: UUID
    step_id: UUID | None
    level: str
    source: str | None
    message: str
    timestamp: Moment
    version: int


class LogPage(Shape, frozen=True, kw_only=True):
    """A page of log lines, in the order in which they arrived.

    Attributes:
        lines: The lines.
        next: What to give as `after` (or as `before`, where that was given) for the next page.
        total: How many lines there are with the same filter; on the first page only.
    """

    lines: list[LogLine]
    next: int | None
    total: int | None


class Dataclip(Shape, frozen=True, kw_only=True):
    """A JSON value that went into or came out of a run; one that was wiped says so."""

    id: UUID
    project_id: UUID
    type: str
    name: str | None
    inserted_at: Moment
    wiped: bool
    wiped_at: Moment | None
    body: Any
    request: Any
