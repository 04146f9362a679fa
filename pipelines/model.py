"""Jobs and pipelines as values, and the one serialiser of both.

What :func:`job_to_wire` returns is what one-shot reads, lists, streams and channels carry: names
for enumerations, ISO timestamps, ``job_id``. A contract test holds them to it.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from pipelines.enums import (
    ACTIVE_STATES,
    EntityType,
    IngestionMethod,
    JobResult,
    JobState,
    PipelineStatus,
    TargetType,
    UserProvider,
)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One row of ``pipeline_jobs``, as it was when it was read.

    Attributes:
        id: Grows with insertion; parents are inserted before children.
        scope_key: Scope of job types that have neither module nor year.
        meta: ``config`` (the input), ``chained`` (what was asked for at the end), ``completed_at``,
            and what the handler reported.
        is_current: Latest run of its scope; while RUNNING it also keeps others of it out.
        locked_by: Owner token, kept after a finish as a trace, cleared by cancel and abort.
        locked_at: Claim or last heartbeat.
        claimed_at: Last claim; inputs were read after it.
        started_at: First claim ever.
        finished_at: First finish.
        run_after: Not to be claimed before; null is now.
        rerun_requested: Somebody asked for the same work while it ran.
        waits_for_siblings: Not to be claimed while a sibling of its parent is active.
        chained_count: How much follow-up work it asked for when it ended, joined work included.
    """

    id: int
    pipeline_id: UUID
    parent_id: int | None
    job_type: str
    tenant_id: str | None
    entity_type: EntityType
    entity_id: int | None
    module_type_id: int | None
    data_entry_type_id: int | None
    year: int | None
    scope_key: str | None
    target_type: TargetType | None
    ingestion_method: IngestionMethod
    provider: UserProvider
    state: JobState
    result: JobResult | None
    status_message: str | None
    meta: dict[str, Any]
    is_current: bool
    locked_by: str | None
    locked_at: datetime | None
    claimed_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    attempts: int
    max_attempts: int
    run_after: datetime | None
    rerun_requested: bool
    waits_for_siblings: bool
    chained_count: int
    created_at: datetime

    @property
    def active(self) -> bool:
        """Whether the job is not over."""
        return self.state in ACTIVE_STATES

    @property
    def failed(self) -> bool:
        """Whether the job is over, with an error."""
        return self.result is JobResult.ERROR

    @property
    def config(self) -> dict[str, Any]:
        """The input of the job."""
        config = self.meta.get("config")
        return dict(config) if isinstance(config, Mapping) else {}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] (JSON)


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job to be created as the root of a pipeline.

    Attributes:
        job_type: Key of the registry.
        config: Input of the job; JSON.
        tenant_id: Whose it is; null is nobody's in particular. Inherited by all that follows.
        run_after: Not before this time.
        max_attempts: Claims at most, before it is given up.
    """

    job_type: str
    config: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])
    tenant_id: str | None = None
    entity_type: EntityType = EntityType.MODULE_PER_YEAR
    entity_id: int | None = None
    module_type_id: int | None = None
    data_entry_type_id: int | None = None
    year: int | None = None
    scope_key: str | None = None
    target_type: TargetType | None = None
    ingestion_method: IngestionMethod = IngestionMethod.api
    provider: UserProvider = UserProvider.DEFAULT
    run_after: datetime | None = None
    max_attempts: int = 3


class Join(msgspec.Struct, frozen=True, kw_only=True):
    """Work that a job asked for and that another job does.

    Attributes:
        requester_id: Who asked.
        job_id: Who does it.
        waits_for_rerun: Not this run of it, but the next, is what is waited for.
        job_type: Type of the job that does it.
        state: Its state.
        result: Its result.
    """

    requester_id: int
    job_id: int
    waits_for_rerun: bool
    job_type: str
    state: JobState
    result: JobResult | None


class Pipeline(msgspec.Struct, frozen=True, kw_only=True):
    """One row of ``pipelines``, as stored."""

    id: UUID
    kind: str
    status: PipelineStatus
    tenant_id: str | None
    module_type_id: int | None
    year: int | None
    entity_type: EntityType | None
    ingestion_method: IngestionMethod | None
    job_count: int
    error_count: int
    started_at: datetime | None
    finished_at: datetime | None
    last_error: str | None
    created_at: datetime
    updated_at: datetime


class Row(Protocol):
    """A row of the database; columns by name."""

    def __getitem__(self, name: str, /) -> Any:
        """Return the value of a column."""
        ...


_CASTS: Final[dict[str, Callable[[Any], Any]]] = {
    "entity_type": EntityType,
    "target_type": TargetType,
    "ingestion_method": IngestionMethod,
    "provider": UserProvider,
    "state": JobState,
    "result": JobResult,
    "status": PipelineStatus,
    "meta": msgspec.json.decode,
}

_HIDDEN: Final = frozenset({"chained_count", "waits_for_siblings", "rerun_requested"})


def _columns(struct: type[msgspec.Struct], row: Row) -> dict[str, Any]:
    return {
        name: value if (cast := _CASTS.get(name)) is None or value is None else cast(value)
        for name in struct.__struct_fields__
        for value in (row[name],)
    }


def job_from_row(row: Row) -> Job:
    """Return the job of a database row; ``meta`` is JSON text."""
    return Job(**_columns(Job, row))


def join_from_row(row: Row) -> Join:
    """Return the join of a database row."""
    return Join(**_columns(Join, row))


def pipeline_from_row(row: Row) -> Pipeline:
    """Return the pipeline of a database row."""
    return Pipeline(**_columns(Pipeline, row))


def job_to_wire(job: Job) -> dict[str, Any]:
    """Return a job as it is shown to anybody: JSON values only, ``job_id`` and ``pipeline_id``."""
    wire = {"job_id": job.id}
    for name in Job.__struct_fields__:
        if name != "id" and name not in _HIDDEN:
            wire[name] = msgspec.to_builtins(getattr(job, name))
    return wire


def pipeline_to_wire(pipeline: Pipeline) -> dict[str, Any]:
    """Return a stored pipeline as lists show it: JSON values only, ``pipeline_id``."""
    wire: dict[str, Any] = {"pipeline_id": str(pipeline.id)}
    for name in Pipeline.__struct_fields__:
        if name != "id":
            wire[name] = msgspec.to_builtins(getattr(pipeline, name))
    return wire
