"""Durable jobs: pipelines, jobs, joins, cron ticks, live processes; and who is told of changes.

Revision ID: 0004_pre_pipelines
Revises: 0003_pre_guards
"""

from alembic import op

revision = "0004_pre_pipelines"
down_revision = "0003_pre_guards"
branch_labels = None
depends_on = None

UP = (
    """
CREATE TABLE pipelines (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    kind TEXT NOT NULL,
    status TEXT DEFAULT 'NOT_STARTED' NOT NULL,
    tenant_id TEXT,
    module_type_id INTEGER,
    year INTEGER,
    entity_type TEXT,
    ingestion_method TEXT,
    job_count INTEGER DEFAULT 0 NOT NULL,
    error_count INTEGER DEFAULT 0 NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    last_error TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pipelines_pkey PRIMARY KEY (id),
    CONSTRAINT pipelines_status_check CHECK (status IN ('NOT_STARTED', 'RUNNING', 'SUCCESS', 'PARTIAL', 'FAILED')),
    CONSTRAINT pipelines_entity_type_check CHECK (entity_type IN ('MODULE_PER_YEAR', 'MODULE_UNIT_SPECIFIC', 'GLOBAL_PER_YEAR')),
    CONSTRAINT pipelines_ingestion_method_check CHECK (ingestion_method IN ('api', 'csv', 'manual', 'computed'))
)
""",
    """
CREATE INDEX pipelines_module_type_id_year_index ON pipelines (module_type_id, year)
""",
    """
CREATE INDEX pipelines_status_index ON pipelines (status)
""",
    """
CREATE INDEX pipelines_tenant_id_created_at_index ON pipelines (tenant_id, created_at)
""",
    """
CREATE INDEX pipelines_updated_at_index ON pipelines (updated_at)
""",
    """
CREATE TABLE pipeline_jobs (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    pipeline_id UUID NOT NULL,
    parent_id BIGINT,
    job_type TEXT NOT NULL,
    tenant_id TEXT,
    entity_type TEXT DEFAULT 'MODULE_PER_YEAR' NOT NULL,
    entity_id BIGINT,
    module_type_id INTEGER,
    data_entry_type_id INTEGER,
    year INTEGER,
    scope_key TEXT,
    target_type TEXT,
    ingestion_method TEXT DEFAULT 'api' NOT NULL,
    provider TEXT DEFAULT 'DEFAULT' NOT NULL,
    state TEXT DEFAULT 'NOT_STARTED' NOT NULL,
    result TEXT,
    status_message TEXT,
    meta JSONB DEFAULT '{}' NOT NULL,
    is_current BOOLEAN DEFAULT false NOT NULL,
    locked_by TEXT,
    locked_at TIMESTAMP WITH TIME ZONE,
    claimed_at TIMESTAMP WITH TIME ZONE,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    attempts INTEGER DEFAULT 0 NOT NULL,
    max_attempts INTEGER DEFAULT 3 NOT NULL,
    run_after TIMESTAMP WITH TIME ZONE,
    rerun_requested BOOLEAN DEFAULT false NOT NULL,
    waits_for_siblings BOOLEAN DEFAULT false NOT NULL,
    chained_count INTEGER DEFAULT 0 NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pipeline_jobs_pkey PRIMARY KEY (id),
    CONSTRAINT pipeline_jobs_pipeline_id_fkey FOREIGN KEY(pipeline_id) REFERENCES pipelines (id) ON DELETE CASCADE,
    CONSTRAINT pipeline_jobs_parent_id_fkey FOREIGN KEY(parent_id) REFERENCES pipeline_jobs (id) ON DELETE SET NULL,
    CONSTRAINT pipeline_jobs_state_check CHECK (state IN ('NOT_STARTED', 'QUEUED', 'RUNNING', 'FINISHED')),
    CONSTRAINT pipeline_jobs_result_check CHECK (result IN ('SUCCESS', 'WARNING', 'ERROR')),
    CONSTRAINT pipeline_jobs_finished_check CHECK ((state = 'FINISHED') = (result IS NOT NULL AND finished_at IS NOT NULL)),
    CONSTRAINT pipeline_jobs_entity_type_check CHECK (entity_type IN ('MODULE_PER_YEAR', 'MODULE_UNIT_SPECIFIC', 'GLOBAL_PER_YEAR')),
    CONSTRAINT pipeline_jobs_target_type_check CHECK (target_type IN ('DATA_ENTRIES', 'FACTORS', 'REDUCTION_OBJECTIVES', 'REFERENCE_DATA')),
    CONSTRAINT pipeline_jobs_ingestion_method_check CHECK (ingestion_method IN ('api', 'csv', 'manual', 'computed')),
    CONSTRAINT pipeline_jobs_provider_check CHECK (provider IN ('ACCRED', 'DEFAULT', 'TEST')),
    CONSTRAINT pipeline_jobs_attempts_check CHECK (attempts >= 0),
    CONSTRAINT pipeline_jobs_max_attempts_check CHECK (max_attempts > 0),
    CONSTRAINT pipeline_jobs_job_type_check CHECK (job_type <> '')
)
 WITH (fillfactor = 70)
""",
    """
CREATE INDEX pipeline_jobs_finished_at_index ON pipeline_jobs (finished_at)
""",
    """
CREATE INDEX pipeline_jobs_parent_id_index ON pipeline_jobs (parent_id)
""",
    """
CREATE INDEX pipeline_jobs_pending_index ON pipeline_jobs (run_after, id) WHERE state = 'NOT_STARTED' AND locked_by IS NULL
""",
    """
CREATE INDEX pipeline_jobs_pipeline_id_index ON pipeline_jobs (pipeline_id)
""",
    """
CREATE INDEX pipeline_jobs_queue_index ON pipeline_jobs (job_type, COALESCE(tenant_id, ''), run_after NULLS FIRST, id) WHERE state IN ('NOT_STARTED', 'QUEUED') AND locked_by IS NULL
""",
    """
CREATE INDEX pipeline_jobs_running_index ON pipeline_jobs (locked_at) WHERE state = 'RUNNING'
""",
    """
CREATE INDEX pipeline_jobs_scope_index ON pipeline_jobs (module_type_id, year, job_type, id)
""",
    """
CREATE UNIQUE INDEX uq_pipeline_jobs_current ON pipeline_jobs (job_type, COALESCE(module_type_id, -1), COALESCE(data_entry_type_id, -1), COALESCE(target_type, ''), ingestion_method, COALESCE(year, -1), COALESCE(scope_key, '')) WHERE is_current
""",
    """
CREATE TABLE pipeline_joins (
    requester_id BIGINT NOT NULL,
    job_id BIGINT NOT NULL,
    waits_for_rerun BOOLEAN DEFAULT false NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pipeline_joins_pkey PRIMARY KEY (requester_id, job_id),
    CONSTRAINT pipeline_joins_requester_id_fkey FOREIGN KEY(requester_id) REFERENCES pipeline_jobs (id) ON DELETE CASCADE,
    CONSTRAINT pipeline_joins_job_id_fkey FOREIGN KEY(job_id) REFERENCES pipeline_jobs (id) ON DELETE CASCADE
)
""",
    """
CREATE INDEX pipeline_joins_job_id_index ON pipeline_joins (job_id)
""",
    """
CREATE TABLE pipeline_ticks (
    schedule_key TEXT NOT NULL,
    tick TIMESTAMP WITH TIME ZONE NOT NULL,
    job_id BIGINT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pipeline_ticks_pkey PRIMARY KEY (schedule_key, tick),
    CONSTRAINT pipeline_ticks_job_id_fkey FOREIGN KEY(job_id) REFERENCES pipeline_jobs (id) ON DELETE SET NULL
)
""",
    """
CREATE INDEX pipeline_ticks_job_id_index ON pipeline_ticks (job_id)
""",
    """
CREATE INDEX pipeline_ticks_tick_index ON pipeline_ticks (tick)
""",
    """
CREATE TABLE pipeline_pods (
    pod_id TEXT NOT NULL,
    namespace TEXT NOT NULL,
    build TEXT NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    last_heartbeat_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pipeline_pods_pkey PRIMARY KEY (pod_id)
)
""",
    """
CREATE FUNCTION pipeline_jobs_notify() RETURNS trigger
LANGUAGE plpgsql AS $notify$
BEGIN
  PERFORM pg_notify('pipeline_jobs', json_build_object('pipeline', NEW.pipeline_id,
    'job', NEW.id, 'job_type', NEW.job_type, 'state', NEW.state, 'result', NEW.result,
    'module', NEW.module_type_id, 'year', NEW.year, 'tenant', NEW.tenant_id)::text);
  RETURN NULL;
END
$notify$
""",
    """
CREATE TRIGGER pipeline_jobs_notify_insert AFTER INSERT ON pipeline_jobs
FOR EACH ROW EXECUTE FUNCTION pipeline_jobs_notify()
""",
    """
CREATE TRIGGER pipeline_jobs_notify_update AFTER UPDATE ON pipeline_jobs
FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state
  OR OLD.status_message IS DISTINCT FROM NEW.status_message OR OLD.meta IS DISTINCT FROM NEW.meta)
EXECUTE FUNCTION pipeline_jobs_notify()
""",
    """
CREATE FUNCTION pipelines_notify() RETURNS trigger
LANGUAGE plpgsql AS $notify$
BEGIN
  PERFORM pg_notify('pipeline_jobs', json_build_object('pipeline', NEW.id,
    'status', NEW.status, 'module', NEW.module_type_id, 'year', NEW.year,
    'tenant', NEW.tenant_id)::text);
  RETURN NULL;
END
$notify$
""",
    """
CREATE TRIGGER pipelines_notify_update AFTER UPDATE ON pipelines
FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
EXECUTE FUNCTION pipelines_notify()
""",
)

DOWN = (
    "DROP TABLE pipeline_pods",
    "DROP TABLE pipeline_ticks",
    "DROP TABLE pipeline_joins",
    "DROP TABLE pipeline_jobs",
    "DROP TABLE pipelines",
    "DROP FUNCTION pipeline_jobs_notify()",
    "DROP FUNCTION pipelines_notify()",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement.strip())


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
