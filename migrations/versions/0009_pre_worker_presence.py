"""Which workers are connected, to which server, and what was missing from a run's story.

Revision ID: 0009_pre_worker_presence
Revises: 0008_pre_event_feed
"""

from alembic import op

revision = "0009_pre_worker_presence"
down_revision = "0008_pre_event_feed"
branch_labels = None
depends_on = None

UP = (
    """
CREATE TABLE servers (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    watching_since TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT servers_pkey PRIMARY KEY (id)
)
""",
    """
CREATE TABLE worker_sessions (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    server_id UUID NOT NULL,
    worker_id TEXT NOT NULL,
    worker_name TEXT,
    worker_version TEXT,
    api_version TEXT,
    capacity INTEGER,
    connected_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    disconnected_at TIMESTAMP WITH TIME ZONE,
    clean BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT worker_sessions_pkey PRIMARY KEY (id),
    CONSTRAINT worker_sessions_server_id_fkey FOREIGN KEY(server_id) REFERENCES servers (id) ON DELETE CASCADE,
    CONSTRAINT worker_sessions_clean_check CHECK (NOT clean OR disconnected_at IS NOT NULL)
)
""",
    "CREATE INDEX worker_sessions_worker_id_index ON worker_sessions (worker_id)",
    "CREATE INDEX worker_sessions_server_id_index ON worker_sessions (server_id)",
    """
CREATE TABLE run_remarks (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    run_id UUID NOT NULL,
    kind TEXT NOT NULL,
    event TEXT NOT NULL,
    step_id UUID,
    at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    detail TEXT,
    count INTEGER DEFAULT 1 NOT NULL,
    CONSTRAINT run_remarks_pkey PRIMARY KEY (id),
    CONSTRAINT run_remarks_key UNIQUE NULLS NOT DISTINCT (run_id, kind, event, step_id),
    CONSTRAINT run_remarks_run_id_fkey FOREIGN KEY(run_id) REFERENCES runs (id) ON DELETE CASCADE,
    CONSTRAINT run_remarks_kind_check CHECK (kind IN ('missing', 'late', 'resent', 'early'))
)
""",
    "ALTER TABLE runs ADD COLUMN session_id UUID",
)
DOWN = (
    "ALTER TABLE runs DROP COLUMN session_id",
    "DROP TABLE run_remarks",
    "DROP TABLE worker_sessions",
    "DROP TABLE servers",
)


def upgrade() -> None:
    """Apply."""
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Take back."""
    for statement in DOWN:
        op.execute(statement)
