"""Projects, credentials, workflows with their graphs and snapshots, dataclips.

Revision ID: 0001_pre_workflows
Revises: 
"""

from alembic import op

revision = "0001_pre_workflows"
down_revision = None
branch_labels = None
depends_on = None

UP = (
    """
CREATE TABLE projects (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    name TEXT NOT NULL,
    retention_policy TEXT DEFAULT 'retain_all' NOT NULL,
    concurrency INTEGER,
    claim_epoch BIGINT DEFAULT 0 NOT NULL,
    options JSONB DEFAULT '{}' NOT NULL,
    inserted_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT projects_pkey PRIMARY KEY (id),
    CONSTRAINT projects_name_key UNIQUE (name),
    CONSTRAINT projects_retention_policy_check CHECK (retention_policy IN ('retain_all', 'retain_with_errors', 'erase_all')),
    CONSTRAINT projects_concurrency_check CHECK (concurrency > 0)
)
""",
    """
CREATE TABLE credentials (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    project_id UUID NOT NULL,
    name TEXT NOT NULL,
    body BYTEA NOT NULL,
    key_id TEXT NOT NULL,
    inserted_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT credentials_pkey PRIMARY KEY (id),
    CONSTRAINT credentials_project_id_id_key UNIQUE (project_id, id),
    CONSTRAINT credentials_project_id_name_key UNIQUE (project_id, name),
    CONSTRAINT credentials_project_id_fkey FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE RESTRICT
)
""",
    """
CREATE TABLE dataclips (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    project_id UUID NOT NULL,
    type TEXT NOT NULL,
    name TEXT,
    body JSONB,
    request JSONB,
    wiped_at TIMESTAMP WITH TIME ZONE,
    inserted_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT dataclips_pkey PRIMARY KEY (id),
    CONSTRAINT dataclips_project_id_id_key UNIQUE (project_id, id),
    CONSTRAINT dataclips_project_id_fkey FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE RESTRICT,
    CONSTRAINT dataclips_type_check CHECK (type IN ('http_request', 'kafka', 'step_result', 'saved_input', 'global')),
    CONSTRAINT dataclips_wiped_check CHECK (wiped_at IS NULL OR (body IS NULL AND request IS NULL))
)
""",
    """
CREATE INDEX dataclips_project_id_inserted_at_index ON dataclips (project_id, inserted_at)
""",
    """
CREATE TABLE workflows (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    project_id UUID NOT NULL,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    concurrency INTEGER,
    claim_epoch BIGINT DEFAULT 0 NOT NULL,
    lock_version INTEGER DEFAULT 0 NOT NULL,
    enabled BOOLEAN DEFAULT true NOT NULL,
    inserted_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT workflows_pkey PRIMARY KEY (id),
    CONSTRAINT workflows_project_id_id_key UNIQUE (project_id, id),
    CONSTRAINT workflows_project_id_key_key UNIQUE (project_id, key),
    CONSTRAINT workflows_project_id_name_key UNIQUE (project_id, name),
    CONSTRAINT workflows_project_id_fkey FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE RESTRICT,
    CONSTRAINT workflows_concurrency_check CHECK (concurrency > 0)
)
""",
    """
CREATE TABLE jobs (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    workflow_id UUID NOT NULL,
    project_id UUID NOT NULL,
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    adaptor TEXT NOT NULL,
    body TEXT NOT NULL,
    credential_id UUID,
    inserted_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT jobs_pkey PRIMARY KEY (id),
    CONSTRAINT jobs_workflow_id_id_key UNIQUE (workflow_id, id),
    CONSTRAINT jobs_workflow_id_key_key UNIQUE (workflow_id, key),
    CONSTRAINT jobs_workflow_id_fkey FOREIGN KEY(project_id, workflow_id) REFERENCES workflows (project_id, id) ON DELETE RESTRICT,
    CONSTRAINT jobs_credential_id_fkey FOREIGN KEY(project_id, credential_id) REFERENCES credentials (project_id, id) ON DELETE RESTRICT
)
""",
    """
CREATE TABLE snapshots (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    project_id UUID NOT NULL,
    workflow_id UUID NOT NULL,
    lock_version INTEGER NOT NULL,
    graph JSONB DEFAULT '{}' NOT NULL,
    inserted_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT snapshots_pkey PRIMARY KEY (id),
    CONSTRAINT snapshots_project_id_id_key UNIQUE (project_id, id),
    CONSTRAINT snapshots_project_id_workflow_id_id_key UNIQUE (project_id, workflow_id, id),
    CONSTRAINT snapshots_workflow_id_lock_version_key UNIQUE (workflow_id, lock_version),
    CONSTRAINT snapshots_workflow_id_fkey FOREIGN KEY(project_id, workflow_id) REFERENCES workflows (project_id, id) ON DELETE RESTRICT
)
""",
    """
CREATE TABLE triggers (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    workflow_id UUID NOT NULL,
    project_id UUID NOT NULL,
    key TEXT NOT NULL,
    type TEXT NOT NULL,
    enabled BOOLEAN DEFAULT true NOT NULL,
    webhook_reply TEXT DEFAULT 'before_start' NOT NULL,
    webhook_response_config JSONB,
    cron_expression TEXT,
    inserted_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT triggers_pkey PRIMARY KEY (id),
    CONSTRAINT triggers_workflow_id_id_key UNIQUE (workflow_id, id),
    CONSTRAINT triggers_workflow_id_key_key UNIQUE (workflow_id, key),
    CONSTRAINT triggers_workflow_id_fkey FOREIGN KEY(project_id, workflow_id) REFERENCES workflows (project_id, id) ON DELETE RESTRICT,
    CONSTRAINT triggers_type_check CHECK (type IN ('webhook', 'cron', 'kafka')),
    CONSTRAINT triggers_webhook_reply_check CHECK (webhook_reply IN ('before_start', 'after_completion'))
)
""",
    """
CREATE TABLE edges (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    workflow_id UUID NOT NULL,
    key TEXT NOT NULL,
    source_trigger_id UUID,
    source_job_id UUID,
    target_job_id UUID NOT NULL,
    condition_type TEXT DEFAULT 'always' NOT NULL,
    condition_expression TEXT,
    enabled BOOLEAN DEFAULT true NOT NULL,
    inserted_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT edges_pkey PRIMARY KEY (id),
    CONSTRAINT edges_workflow_id_key_key UNIQUE (workflow_id, key),
    CONSTRAINT edges_workflow_id_fkey FOREIGN KEY(workflow_id) REFERENCES workflows (id) ON DELETE RESTRICT,
    CONSTRAINT edges_source_trigger_id_fkey FOREIGN KEY(workflow_id, source_trigger_id) REFERENCES triggers (workflow_id, id) ON DELETE RESTRICT,
    CONSTRAINT edges_source_job_id_fkey FOREIGN KEY(workflow_id, source_job_id) REFERENCES jobs (workflow_id, id) ON DELETE RESTRICT,
    CONSTRAINT edges_target_job_id_fkey FOREIGN KEY(workflow_id, target_job_id) REFERENCES jobs (workflow_id, id) ON DELETE RESTRICT,
    CONSTRAINT edges_source_check CHECK (num_nonnulls(source_trigger_id, source_job_id) = 1),
    CONSTRAINT edges_condition_type_check CHECK (condition_type IN ('always', 'on_job_success', 'on_job_failure', 'js_expression')),
    CONSTRAINT edges_condition_expression_check CHECK (condition_type <> 'js_expression' OR condition_expression IS NOT NULL)
)
""",
    """
CREATE TABLE snapshot_jobs (
    snapshot_id UUID NOT NULL,
    job_id UUID NOT NULL,
    CONSTRAINT snapshot_jobs_pkey PRIMARY KEY (snapshot_id, job_id),
    CONSTRAINT snapshot_jobs_snapshot_id_fkey FOREIGN KEY(snapshot_id) REFERENCES snapshots (id) ON DELETE RESTRICT
)
""",
    """
CREATE TABLE snapshot_triggers (
    snapshot_id UUID NOT NULL,
    trigger_id UUID NOT NULL,
    CONSTRAINT snapshot_triggers_pkey PRIMARY KEY (snapshot_id, trigger_id),
    CONSTRAINT snapshot_triggers_snapshot_id_fkey FOREIGN KEY(snapshot_id) REFERENCES snapshots (id) ON DELETE RESTRICT
)
""",
)

DOWN = (
    "DROP TABLE snapshot_triggers",
    "DROP TABLE snapshot_jobs",
    "DROP TABLE edges",
    "DROP TABLE triggers",
    "DROP TABLE snapshots",
    "DROP TABLE jobs",
    "DROP TABLE workflows",
    "DROP TABLE dataclips",
    "DROP TABLE credentials",
    "DROP TABLE projects",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement.strip())


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
