"""What ``/api/pipelines`` takes and answers with, as structs.

Jobs and pipelines are put on the wire by :mod:`pipelines`, for streams and channels as well; the
tests compare every answer with these structs, and the OpenAPI document is made of them.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar, cast
from uuid import UUID

import msgspec
from litestar import Response

from handlers.http.api.shapes import Shape
from pipelines.enums import (
    EntityType,
    IngestionMethod,
    JobResult,
    JobState,
    PipelineStatus,
    TargetType,
    UserProvider,
)

T = TypeVar("T")

Time = Annotated[datetime, msgspec.Meta(tz=True)]
Year = Annotated[int, msgspec.Meta(ge=1900, le=9999)]
Upload = Annotated[
    str, msgspec.Meta(extra_json_schema={"contentMediaType": "application/octet-stream"})
]


class PipelineJob(Shape, frozen=True, kw_only=True):
    """A job of a pipeline.

    Attributes:
        job_id: Grows with insertion; the lowest of a pipeline is its root.
        parent_id: The job that it follows; null for the root.
        tenant_id: Whose it is; null is everybody's.
        meta: Its input (`config`), and what it reported.
        locked_by: Who runs it, or ran it last.
        locked_at: When it was claimed, or was heard of last.
        claimed_at: Its last claim.
        started_at: Its first claim.
        attempts: How often it was claimed.
        run_after: It does not begin before; null is no matter when.
    """

    job_id: int
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
    locked_at: Time | None
    claimed_at: Time | None
    started_at: Time | None
    finished_at: Time | None
    attempts: int
    max_attempts: int
    run_after: Time | None
    created_at: Time


class ListedPipeline(Shape, frozen=True, kw_only=True):
    """A pipeline; `kind` is the type of its root job."""

    pipeline_id: UUID
    kind: str
    status: PipelineStatus
    tenant_id: str | None
    module_type_id: int | None
    year: int | None
    entity_type: EntityType | None
    ingestion_method: IngestionMethod | None
    job_count: int
    error_count: int
    started_at: Time | None
    finished_at: Time | None
    last_error: str | None
    created_at: Time
    updated_at: Time


class PipelineList(Shape, frozen=True, kw_only=True):
    """A page of pipelines, newest first.

    Attributes:
        pipelines: The pipelines, with the stored status.
        after: Cursor of the next page; null on the last one.
    """

    pipelines: list[ListedPipeline]
    after: str | None


class PipelineProgress(Shape, frozen=True, kw_only=True):
    """How far a pipeline is.

    Attributes:
        kind: Type of the root job.
        status: Derived from the jobs.
        done: Nothing more will happen.
        has_error: Some job of it, or one that it joined, ended with an error.
        phase: Number of the phase under way, from 1; the last one when done.
        phases_total: Number of phases.
        phase_label: Name of the phase.
        job_count: Jobs of its own.
        error_count: Those of them, and of the joined ones, that ended with an error.
        last_error: Message of the latest failed job.
        incomplete: Follow-up work is missing; it is made up for.
    """

    kind: str
    status: PipelineStatus
    done: bool
    has_error: bool
    phase: int
    phases_total: int
    phase_label: str
    job_count: int
    error_count: int
    last_error: str | None
    incomplete: bool


class PipelineDetail(ListedPipeline, frozen=True, kw_only=True):
    """A pipeline with its jobs, by id, and its progress, which its status is that of."""

    jobs: list[PipelineJob]
    progress: PipelineProgress


class PipelineJobs(Shape, frozen=True, kw_only=True):
    """The jobs of a pipeline, by id."""

    pipeline_id: UUID
    jobs: list[PipelineJob]


class DispatchWish(Shape, frozen=True, kw_only=True):
    """What is to be done: one of `path`, `provider` and `recalculate` (or the `file` of a form).

    Attributes:
        target: What the file holds.
        module: Number of the module; files of factors may be of all, files of units are of none.
        year: The year; needed for all but files of units.
        data_entry_type: Of this type of entries only.
        unit: Institutional id of the only unit; then the pipeline is that tenant's.
        path: A file below the server's inputs folder.
        provider: Name of a configured provider to pull from.
        recalculate: Compute emissions anew, from what is there.
    """

    target: Literal["data", "factors", "units"] = "data"
    module: int | None = None
    year: Year | None = None
    data_entry_type: int | None = None
    unit: str | None = None
    path: str | None = None
    provider: str | None = None
    recalculate: bool = False


class DispatchForm(DispatchWish, frozen=True, kw_only=True):
    """The same as a form, in which `file` can be an upload (CSV)."""

    file: Upload | None = None


class Dispatched(Shape, frozen=True, kw_only=True):
    """What was begun.

    Attributes:
        pipeline_id: Pipeline to watch.
        job_id: The job that does the work.
        joined: It was there already: an active job of the same scope.
        state: Of the job; null if it is gone already.
        message: The same for people.
    """

    pipeline_id: UUID
    job_id: int
    joined: bool
    state: JobState | None
    message: str


def shown(kind: type[T], wire: dict[str, Any]) -> Response[T]:
    """Return an answer that :mod:`pipelines` put on the wire, declared as ``kind``."""
    del kind
    return cast("Response[T]", Response(wire))
