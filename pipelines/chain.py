"""Follow-up work: what a child inherits from its parent, and how a request becomes a row or a join.

:func:`chain_job` runs in the transaction of its caller. The runner calls it for each request of a
handler, after the finish of the parent in the same transaction.
"""

import warnings
from collections.abc import Mapping
from typing import Any, TypedDict, Unpack

import msgspec

from pipelines.dedup import AGGREGATION_DEDUP, DedupConfig
from pipelines.enums import EntityType, IngestionMethod, TargetType
from pipelines.model import Job
from pipelines.storage import children
from pipelines.storage.connection import Connection


class ChildRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A child that was asked for: the values of its columns, and how it is deduplicated."""

    job_type: str
    values: dict[str, Any]
    dedup: DedupConfig | None = None

    def order(self) -> tuple[str, ...]:
        """Return a key by which all processes lock scopes in the same order: no deadlock."""
        scope = self.dedup.scope_columns if self.dedup else ()
        return (self.job_type, *(f"{self.values[name]!s:>20}" for name in scope))


class Chained(msgspec.Struct, frozen=True):
    """What became of a request.

    Attributes:
        job_type: Type of the job.
        job_id: The job that does the work.
        joined: It is the job of another requester.
        rerun: It was running; a successor of it will do the work.
    """

    job_type: str
    job_id: int
    joined: bool = False
    rerun: bool = False


class ChildValues(TypedDict, total=False):
    """What may be said of a child; each may be left out.

    Attributes:
        module_type_id: Inherited when None.
        data_entry_type_id: Never inherited.
        year: Inherited when None.
        scope_key: Never inherited.
        config: Input of the child (empty).
        target_type: What the child writes (data entries).
        ingestion_method: Where its input comes from (computed).
        entity_type: Kind of its scope (a module and year).
        entity_id: Its entity.
        dedup: Join an active job of the same scope instead, if there is one.
        waits_for_siblings: The child is not claimed while a job of its parent's type, parent,
            module and year is active: one trailing job after all of them (False).
        max_attempts: Claims at most; that of the parent when None.
    """

    module_type_id: int | None
    data_entry_type_id: int | None
    year: int | None
    scope_key: str | None
    config: Mapping[str, Any] | None
    target_type: TargetType | None
    ingestion_method: IngestionMethod
    entity_type: EntityType
    entity_id: int | None
    dedup: DedupConfig | None
    waits_for_siblings: bool
    max_attempts: int | None


def child_request(parent: Job, job_type: str, **given: Unpack[ChildValues]) -> ChildRequest:
    """Return the request of a child; pipeline, tenant and provider are inherited. Pure.

    Raises:
        ValueError: See :meth:`pipelines.dedup.DedupConfig.check`.
    """
    module_type_id, year = given.get("module_type_id"), given.get("year")
    max_attempts = given.get("max_attempts")
    dedup = given.get("dedup")
    values: dict[str, Any] = {
        "pipeline_id": parent.pipeline_id,
        "parent_id": parent.id,
        "job_type": job_type,
        "tenant_id": parent.tenant_id,
        "entity_type": given.get("entity_type", EntityType.MODULE_PER_YEAR),
        "entity_id": given.get("entity_id"),
        "module_type_id": parent.module_type_id if module_type_id is None else module_type_id,
        "data_entry_type_id": given.get("data_entry_type_id"),
        "year": parent.year if year is None else year,
        "scope_key": given.get("scope_key"),
        "target_type": given.get("target_type", TargetType.DATA_ENTRIES),
        "ingestion_method": given.get("ingestion_method", IngestionMethod.computed),
        "provider": parent.provider,
        "waits_for_siblings": given.get("waits_for_siblings", False),
        "max_attempts": parent.max_attempts if max_attempts is None else max_attempts,
        "meta": {"config": dict(given.get("config") or {})},
    }
    if dedup is not None:
        dedup.check(job_type, values)
    return ChildRequest(job_type=job_type, values=values, dedup=dedup)


async def insert_child(connection: Connection, request: ChildRequest) -> Chained:
    """Insert a child, or join the active job that does the same, in the caller's transaction."""
    if request.dedup is None:
        job_id = await children.insert(connection, request.values)
        return Chained(request.job_type, job_id)
    scope = request.dedup.check(request.job_type, request.values)
    landed = await children.insert_or_join(connection, request.values, request.dedup, scope)
    if landed.joined:
        requester = request.values["parent_id"]
        await children.record_join(connection, requester, landed.job_id, rerun=landed.rerun)
    return Chained(request.job_type, landed.job_id, joined=landed.joined, rerun=landed.rerun)


async def insert_children(
    connection: Connection, requests: tuple[ChildRequest, ...]
) -> list[Chained]:
    """Insert or join all children of a job, in the order that all processes use."""
    return [
        await insert_child(connection, request)
        for request in sorted(requests, key=ChildRequest.order)
    ]


async def chain_job(
    connection: Connection,
    parent: Job,
    *,
    job_type: str,
    dedup_config: DedupConfig | None = None,
    dedup_active: bool | None = None,
    **values: Unpack[ChildValues],
) -> int | None:
    """Insert a child of ``parent`` in the transaction of the caller.

    Args:
        connection: In a transaction, else a join may be lost between its statements.
        parent: Gives pipeline, tenant, provider, and module and year unless given.
        job_type: Type of the child.
        dedup_config: Join an active job of the same scope instead.
        dedup_active: Deprecated; True is ``dedup_config=AGGREGATION_DEDUP``.
        **values: See :class:`ChildValues`; without ``dedup``.

    Returns:
        The id of the child; None when an active job was joined: somebody else does this work, and
        nothing is to be dispatched.

    Raises:
        ValueError: See :meth:`pipelines.dedup.DedupConfig.check`.
    """
    if dedup_active is not None:
        warnings.warn(
            "dedup_active is deprecated; give dedup_config=AGGREGATION_DEDUP",
            DeprecationWarning,
            stacklevel=2,
        )
        if dedup_config is None and dedup_active:
            dedup_config = AGGREGATION_DEDUP
    request = child_request(parent, job_type, **{**values, "dedup": dedup_config})
    chained = await insert_child(connection, request)
    return None if chained.joined else chained.job_id
