"""Work orders, runs with their events, steps, log lines.

Revision ID: 0002_pre_runs
Revises: 0001_pre_workflows
"""

from alembic import op

revision = "0002_pre_runs"
down_revision = "0001_pre_workflows"
branch_labels = None
depends_on = None

UP = (
    """
CREATE TABLE steps (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    project_id UUID NOT NULL,
    snapshot_id UUID NOT NULL,
    job_id UUID NOT NULL,
    credential_id UUID,
    input_dataclip_id UUID,
    output_dataclip_id UUID,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    exit_reason TEXT,
    error_type TEXT,
    error_message TEXT,
    start_fingerprint BYTEA,
    complete_fingerprint BYTEA,
    inserted_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT steps_pkey PRIMARY KEY (id),
    CONSTRAINT steps_snapshot_id_fkey FOREIGN KEY(project_id, snapshot_id) REFERENCES snapshots (project_id, id) ON DELETE RESTRICT,
    CONSTRAINT steps_job_id_fkey FOREIGN KEY(snapshot_id, job_id) REFERENCES snapshot_jobs (snapshot_id, job_id) ON DELETE RESTRICT,
    CONSTRAINT steps_credential_id_fkey FOREIGN KEY(project_id, credential_id) REFERENCES credentials (project_id, id) ON DELETE RESTRICT,
    CONSTRAINT steps_input_dataclip_id_fkey FOREIGN KEY(project_id, input_dataclip_id) REFERENCES dataclips (project_id, id) ON DELETE SET NULL (input_dataclip_id),
    CONSTRAINT steps_output_dataclip_id_fkey FOREIGN KEY(project_id, output_dataclip_id) REFERENCES dataclips (project_id, id) ON DELETE SET NULL (output_dataclip_id)
)
 WITH (fillfactor = 80)
""",
    """
CREATE INDEX steps_input_dataclip_id_index ON steps (input_dataclip_id)
""",
    """
CREATE INDEX steps_output_dataclip_id_index ON steps (output_dataclip_id)
""",
    """
CREATE INDEX steps_unfinished_index ON steps (id) WHERE finished_at IS NULL
""",
    """
CREATE TABLE work_orders (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    project_id UUID NOT NULL,
    workflow_id UUID NOT NULL,
    snapshot_id UUID NOT NULL,
    trigger_id UUID,
    dataclip_id UUID,
    state TEXT DEFAULT 'pending' NOT NULL,
    last_activity TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    inserted_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT work_orders_pkey PRIMARY KEY (id),
    CONSTRAINT work_orders_project_id_id_key UNIQUE (project_id, id),
    CONSTRAINT work_orders_snapshot_id_fkey FOREIGN KEY(project_id, workflow_id, snapshot_id) REFERENCES snapshots (project_id, workflow_id, id) ON DELETE RESTRICT,
    CONSTRAINT work_orders_trigger_id_fkey FOREIGN KEY(snapshot_id, trigger_id) REFERENCES snapshot_triggers (snapshot_id, trigger_id) ON DELETE RESTRICT,
    CONSTRAINT work_orders_dataclip_id_fkey FOREIGN KEY(project_id, dataclip_id) REFERENCES dataclips (project_id, id) ON DELETE SET NULL (dataclip_id),
    CONSTRAINT work_orders_state_check CHECK (state IN ('pending', 'running', 'success', 'failed', 'crashed', 'cancelled', 'killed', 'exception', 'lost'))
)
 WITH (fillfactor = 80)
""",
    """
CREATE INDEX work_orders_dataclip_id_index ON work_orders (dataclip_id)
""",
    """
CREATE INDEX work_orders_project_id_inserted_at_index ON work_orders (project_id, inserted_at)
""",
    """
CREATE TABLE runs (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    project_id UUID NOT NULL,
    workflow_id UUID NOT NULL,
    work_order_id UUID NOT NULL,
    snapshot_id UUID NOT NULL,
    dataclip_id UUID,
    starting_trigger_id UUID,
    starting_job_id UUID,
    final_dataclip_id UUID,
    created_by TEXT,
    state TEXT DEFAULT 'available' NOT NULL,
    priority SMALLINT DEFAULT 1 NOT NULL,
    queue TEXT DEFAULT 'default' NOT NULL,
    options JSONB DEFAULT '{}' NOT NULL,
    save_dataclips BOOLEAN DEFAULT true NOT NULL,
    inserted_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    claimed_at TIMESTAMP WITH TIME ZONE,
    joined_at TIMESTAMP WITH TIME ZONE,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    recovered_at TIMESTAMP WITH TIME ZONE,
    error_type TEXT,
    error_message TEXT,
    worker_name TEXT,
    worker_id TEXT,
    lease UUID,
    lease_epoch INTEGER DEFAULT 0 NOT NULL,
    version BIGINT DEFAULT 0 NOT NULL,
    webhook_response JSONB,
    start_fingerprint BYTEA,
    complete_fingerprint BYTEA,
    CONSTRAINT runs_pkey PRIMARY KEY (id),
    CONSTRAINT runs_project_id_id_key UNIQUE (project_id, id),
    CONSTRAINT runs_work_order_id_fkey FOREIGN KEY(project_id, work_order_id) REFERENCES work_orders (project_id, id) ON DELETE RESTRICT,
    CONSTRAINT runs_snapshot_id_fkey FOREIGN KEY(project_id, workflow_id, snapshot_id) REFERENCES snapshots (project_id, workflow_id, id) ON DELETE RESTRICT,
    CONSTRAINT runs_dataclip_id_fkey FOREIGN KEY(project_id, dataclip_id) REFERENCES dataclips (project_id, id) ON DELETE SET NULL (dataclip_id),
    CONSTRAINT runs_final_dataclip_id_fkey FOREIGN KEY(project_id, final_dataclip_id) REFERENCES dataclips (project_id, id) ON DELETE SET NULL (final_dataclip_id),
    CONSTRAINT runs_starting_trigger_id_fkey FOREIGN KEY(snapshot_id, starting_trigger_id) REFERENCES snapshot_triggers (snapshot_id, trigger_id) ON DELETE RESTRICT,
    CONSTRAINT runs_starting_job_id_fkey FOREIGN KEY(snapshot_id, starting_job_id) REFERENCES snapshot_jobs (snapshot_id, job_id) ON DELETE RESTRICT,
    CONSTRAINT runs_starting_node_check CHECK (num_nonnulls(starting_trigger_id, starting_job_id) = 1),
    CONSTRAINT runs_state_check CHECK (state IN ('available', 'claimed', 'started', 'success', 'failed', 'crashed', 'cancelled', 'killed', 'exception', 'lost')),
    CONSTRAINT runs_priority_check CHECK (priority IN (0, 1)),
    CONSTRAINT runs_lease_check CHECK (state NOT IN ('claimed', 'started') OR (lease IS NOT NULL AND claimed_at IS NOT NULL)),
    CONSTRAINT runs_unclaimed_check CHECK (state <> 'available' OR (lease IS NULL AND claimed_at IS NULL AND joined_at IS NULL)),
    CONSTRAINT runs_started_at_check CHECK (state <> 'started' OR started_at IS NOT NULL),
    CONSTRAINT runs_finished_at_check CHECK (state NOT IN ('success', 'failed', 'crashed', 'cancelled', 'killed', 'exception', 'lost') OR finished_at IS NOT NULL),
    CONSTRAINT runs_unfinished_check CHECK (state IN ('success', 'failed', 'crashed', 'cancelled', 'killed', 'exception', 'lost') OR finished_at IS NULL)
)
 WITH (fillfactor = 70)
""",
    """
CREATE INDEX runs_available_index ON runs (project_id, workflow_id, queue, priority, inserted_at, id) WHERE state = 'available'
""",
    """
CREATE INDEX runs_dataclip_id_index ON runs (dataclip_id)
""",
    """
CREATE INDEX runs_final_dataclip_id_index ON runs (final_dataclip_id)
""",
    """
CREATE INDEX runs_in_flight_claimed_at_index ON runs (claimed_at) WHERE state IN ('claimed', 'started')
""",
    """
CREATE INDEX runs_in_flight_project_index ON runs (project_id) WHERE state IN ('claimed', 'started')
""",
    """
CREATE INDEX runs_in_flight_workflow_index ON runs (workflow_id) WHERE state IN ('claimed', 'started')
""",
    """
CREATE INDEX runs_project_id_claimed_at_index ON runs (project_id, claimed_at) WHERE claimed_at IS NOT NULL
""",
    """
CREATE INDEX runs_project_id_inserted_at_index ON runs (project_id, inserted_at)
""",
    """
CREATE INDEX runs_work_order_id_index ON runs (work_order_id)
""",
    """
CREATE TABLE run_events (
    run_id UUID NOT NULL,
    version BIGINT NOT NULL,
    event TEXT NOT NULL,
    payload JSONB DEFAULT '{}' NOT NULL,
    inserted_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT run_events_pkey PRIMARY KEY (run_id, version),
    CONSTRAINT run_events_run_id_fkey FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE RESTRICT
)
""",
    """
CREATE TABLE run_steps (
    run_id UUID NOT NULL,
    step_id UUID NOT NULL,
    inserted_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT run_steps_pkey PRIMARY KEY (run_id, step_id),
    CONSTRAINT run_steps_run_id_fkey FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE RESTRICT,
    CONSTRAINT run_steps_step_id_fkey FOREIGN KEY(step_id) REFERENCES steps (id) ON DELETE RESTRICT
)
""",
    """
CREATE INDEX run_steps_step_id_index ON run_steps (step_id)
""",
    """
CREATE TABLE log_lines (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    run_id UUID NOT NULL,
    step_id UUID,
    level TEXT DEFAULT 'info' NOT NULL,
    source TEXT,
    message TEXT NOT NULL,
    timestamp TIMESTAMP WITH TIME ZONE NOT NULL,
    version BIGINT NOT NULL,
    CONSTRAINT log_lines_pkey PRIMARY KEY (id),
    CONSTRAINT log_lines_run_id_version_key UNIQUE (run_id, version),
    CONSTRAINT log_lines_run_id_fkey FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE RESTRICT,
    CONSTRAINT log_lines_step_id_fkey FOREIGN KEY(run_id, step_id) REFERENCES run_steps (run_id, step_id) ON DELETE RESTRICT,
    CONSTRAINT log_lines_level_check CHECK (level IN ('debug', 'info', 'warn', 'error', 'success', 'always'))
)
""",
)

DOWN = (
    "DROP TABLE log_lines",
    "DROP TABLE run_steps",
    "DROP TABLE run_events",
    "DROP TABLE runs",
    "DROP TABLE work_orders",
    "DROP TABLE steps",
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement.strip())


def downgrade() -> None:
    for statement in DOWN:
        op.execute(statement)
