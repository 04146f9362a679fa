"""Durable jobs: pipelines, their jobs, who waits for whose job, cron ticks, and live processes.

``pipeline_jobs`` is the queue, the lock table, the audit record and the progress feed at once.
Enumerations are stored by name. What each column means to the engine is said in
:mod:`pipelines.model`; which operation may write it, in :mod:`pipelines.storage`.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    text,
)

from schema.tables.base import (
    BLANK,
    check,
    foreign_key,
    id_column,
    json_column,
    metadata,
    now_column,
    one_of,
    primary_key,
    timestamp,
    uuid,
)

PIPELINE_STATUSES: Final = ("NOT_STARTED", "RUNNING", "SUCCESS", "PARTIAL", "FAILED")
JOB_STATES: Final = ("NOT_STARTED", "QUEUED", "RUNNING", "FINISHED")
JOB_RESULTS: Final = ("SUCCESS", "WARNING", "ERROR")
TARGET_TYPES: Final = ("DATA_ENTRIES", "FACTORS", "REDUCTION_OBJECTIVES", "REFERENCE_DATA")
INGESTION_METHODS: Final = ("api", "csv", "manual", "computed")
ENTITY_TYPES: Final = ("MODULE_PER_YEAR", "MODULE_UNIT_SPECIFIC", "GLOBAL_PER_YEAR")
USER_PROVIDERS: Final = ("ACCRED", "DEFAULT", "TEST")

ACTIVE: Final = "state IN ('NOT_STARTED', 'QUEUED', 'RUNNING')"
"""The job is not over. Written as the indexes have it, so that they can be inferred."""

PENDING: Final = "state IN ('NOT_STARTED', 'QUEUED')"
"""The job waits to be claimed."""

CURRENT_KEY: Final = (
    "job_type",
    "COALESCE(module_type_id, -1)",
    "COALESCE(data_entry_type_id, -1)",
    "COALESCE(target_type, '')",
    "ingestion_method",
    "COALESCE(year, -1)",
    "COALESCE(scope_key, '')",
)
"""What makes two jobs runs of the same scope; nulls are equal. One current row for each."""

CURRENT_INDEX: Final = "uq_pipeline_jobs_current"


def dedup_predicate(job_type: str) -> str:
    """Return the predicate of the partial index that deduplicates a job type."""
    return f"job_type = '{job_type}' AND {ACTIVE}"


SCOPE_KEY_PREDICATE: Final = f"scope_key IS NOT NULL AND {ACTIVE}"

pipelines = Table(
    "pipelines",
    metadata,
    id_column(),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'NOT_STARTED'")),
    Column("tenant_id", Text, nullable=True),
    Column("module_type_id", Integer, nullable=True),
    Column("year", Integer, nullable=True),
    Column("entity_type", Text, nullable=True),
    Column("ingestion_method", Text, nullable=True),
    Column("job_count", Integer, nullable=False, server_default=text("0")),
    Column("error_count", Integer, nullable=False, server_default=text("0")),
    timestamp("started_at"),
    timestamp("finished_at"),
    Column("last_error", Text, nullable=True),
    now_column("created_at"),
    now_column("updated_at"),
    primary_key("pipelines", "id"),
    check("pipelines_status_check", one_of("status", PIPELINE_STATUSES), field="status"),
    check("pipelines_entity_type_check", one_of("entity_type", ENTITY_TYPES), field="entity_type"),
    check(
        "pipelines_ingestion_method_check",
        one_of("ingestion_method", INGESTION_METHODS),
        field="ingestion_method",
    ),
    Index("pipelines_status_index", "status"),
    Index("pipelines_module_type_id_year_index", "module_type_id", "year"),
    Index("pipelines_tenant_id_created_at_index", "tenant_id", "created_at"),
    Index("pipelines_updated_at_index", "updated_at"),
)
"""``status``, the counts and ``last_error`` are derived from the jobs and stored for lists; whoever
shows one pipeline derives them afresh."""

pipeline_jobs = Table(
    "pipeline_jobs",
    metadata,
    Column("id", BigInteger, Identity(always=True), nullable=False),
    uuid("pipeline_id"),
    Column("parent_id", BigInteger, nullable=True),
    Column("job_type", Text, nullable=False),
    Column("tenant_id", Text, nullable=True),
    Column("entity_type", Text, nullable=False, server_default=text("'MODULE_PER_YEAR'")),
    Column("entity_id", BigInteger, nullable=True),
    Column("module_type_id", Integer, nullable=True),
    Column("data_entry_type_id", Integer, nullable=True),
    Column("year", Integer, nullable=True),
    Column("scope_key", Text, nullable=True),
    Column("target_type", Text, nullable=True),
    Column("ingestion_method", Text, nullable=False, server_default=text("'api'")),
    Column("provider", Text, nullable=False, server_default=text("'DEFAULT'")),
    Column("state", Text, nullable=False, server_default=text("'NOT_STARTED'")),
    Column("result", Text, nullable=True),
    Column("status_message", Text, nullable=True),
    json_column("meta", default="{}"),
    Column("is_current", Boolean, nullable=False, server_default=text("false")),
    Column("locked_by", Text, nullable=True),
    timestamp("locked_at"),
    timestamp("claimed_at"),
    timestamp("started_at"),
    timestamp("finished_at"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("max_attempts", Integer, nullable=False, server_default=text("3")),
    timestamp("run_after"),
    Column("rerun_requested", Boolean, nullable=False, server_default=text("false")),
    Column("waits_for_siblings", Boolean, nullable=False, server_default=text("false")),
    Column("chained_count", Integer, nullable=False, server_default=text("0")),
    now_column("created_at"),
    primary_key("pipeline_jobs", "id"),
    foreign_key(
        "pipeline_jobs_pipeline_id_fkey",
        ["pipeline_id"],
        "pipelines(id)",
        field="pipeline_id",
        on_delete="CASCADE",
    ),
    foreign_key(
        "pipeline_jobs_parent_id_fkey",
        ["parent_id"],
        "pipeline_jobs(id)",
        field="parent_id",
        on_delete="SET NULL",
    ),
    check("pipeline_jobs_state_check", one_of("state", JOB_STATES), field="state"),
    check("pipeline_jobs_result_check", one_of("result", JOB_RESULTS), field="result"),
    check(
        "pipeline_jobs_finished_check",
        "(state = 'FINISHED') = (result IS NOT NULL AND finished_at IS NOT NULL)",
        field="result",
        message=BLANK,
    ),
    check(
        "pipeline_jobs_entity_type_check", one_of("entity_type", ENTITY_TYPES), field="entity_type"
    ),
    check(
        "pipeline_jobs_target_type_check", one_of("target_type", TARGET_TYPES), field="target_type"
    ),
    check(
        "pipeline_jobs_ingestion_method_check",
        one_of("ingestion_method", INGESTION_METHODS),
        field="ingestion_method",
    ),
    check("pipeline_jobs_provider_check", one_of("provider", USER_PROVIDERS), field="provider"),
    check("pipeline_jobs_attempts_check", "attempts >= 0", field="attempts"),
    check("pipeline_jobs_max_attempts_check", "max_attempts > 0", field="max_attempts"),
    check("pipeline_jobs_job_type_check", "job_type <> ''", field="job_type", message=BLANK),
    Index("pipeline_jobs_pipeline_id_index", "pipeline_id"),
    Index("pipeline_jobs_parent_id_index", "parent_id"),
    Index("pipeline_jobs_scope_index", "module_type_id", "year", "job_type", "id"),
    Index("pipeline_jobs_finished_at_index", "finished_at"),
    Index(
        "pipeline_jobs_pending_index",
        "run_after",
        "id",
        postgresql_where=text("state = 'NOT_STARTED' AND locked_by IS NULL"),
    ),
    Index(
        "pipeline_jobs_queue_index",
        "job_type",
        text("COALESCE(tenant_id, '')"),
        text("run_after NULLS FIRST"),
        "id",
        postgresql_where=text(f"{PENDING} AND locked_by IS NULL"),
    ),
    Index(
        "pipeline_jobs_running_index",
        "locked_at",
        postgresql_where=text("state = 'RUNNING'"),
    ),
    Index(
        CURRENT_INDEX,
        *(text(part) if "(" in part else part for part in CURRENT_KEY),
        unique=True,
        postgresql_where=text("is_current"),
    ),
    Index(
        "uq_aggregation_active",
        "module_type_id",
        "year",
        unique=True,
        postgresql_where=text(dedup_predicate("aggregation")),
    ),
    Index(
        "uq_emission_recalc_active",
        "module_type_id",
        "data_entry_type_id",
        "year",
        unique=True,
        postgresql_where=text(
            f"{dedup_predicate('emission_recalc')} AND module_type_id IS NOT NULL"
            " AND data_entry_type_id IS NOT NULL AND year IS NOT NULL"
        ),
    ),
    Index(
        "uq_scope_key_active",
        "job_type",
        "scope_key",
        unique=True,
        postgresql_where=text(SCOPE_KEY_PREDICATE),
    ),
    postgresql_with={"fillfactor": 70},
)
"""``scope_key`` is the scope of job types that have no module and year; those that set it are
deduplicated by it. ``claimed_at`` is the last claim, ``started_at`` the first one."""

pipeline_joins = Table(
    "pipeline_joins",
    metadata,
    Column("requester_id", BigInteger, nullable=False),
    Column("job_id", BigInteger, nullable=False),
    Column("waits_for_rerun", Boolean, nullable=False, server_default=text("false")),
    now_column("created_at"),
    primary_key("pipeline_joins", "requester_id", "job_id", field="job_id"),
    foreign_key(
        "pipeline_joins_requester_id_fkey",
        ["requester_id"],
        "pipeline_jobs(id)",
        field="requester_id",
        on_delete="CASCADE",
    ),
    foreign_key(
        "pipeline_joins_job_id_fkey",
        ["job_id"],
        "pipeline_jobs(id)",
        field="job_id",
        on_delete="CASCADE",
    ),
    Index("pipeline_joins_job_id_index", "job_id"),
)
"""A job that asked for work which another job does already. ``waits_for_rerun``: that other job was
running, so its successor is waited for; when it is inserted, the row is pointed at it."""

pipeline_ticks = Table(
    "pipeline_ticks",
    metadata,
    Column("schedule_key", Text, nullable=False),
    timestamp("tick", null=False),
    Column("job_id", BigInteger, nullable=True),
    now_column("created_at"),
    primary_key("pipeline_ticks", "schedule_key", "tick", field="tick"),
    foreign_key(
        "pipeline_ticks_job_id_fkey",
        ["job_id"],
        "pipeline_jobs(id)",
        field="job_id",
        on_delete="SET NULL",
    ),
    Index("pipeline_ticks_job_id_index", "job_id"),
    Index("pipeline_ticks_tick_index", "tick"),
)
"""One row for each tick of a schedule that was turned into a job: the key makes it exactly one."""

pipeline_pods = Table(
    "pipeline_pods",
    metadata,
    Column("pod_id", Text, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("build", Text, nullable=False),
    now_column("started_at"),
    now_column("last_heartbeat_at"),
    primary_key("pipeline_pods", "pod_id", field="pod_id"),
)
"""The processes that claim jobs, to answer who works right now and to refuse strangers."""
