"""Indexes and columns that the HTTP API reads by, and the wish that a run be cancelled.

Indexes are made concurrently, outside a transaction: writers of runs are never blocked. All
statements bear being run again.

Revision ID: 0011_pre_api_reading
Revises: 0010_pre_revocations
"""

from alembic import op

revision = "0011_pre_api_reading"
down_revision = "0010_pre_revocations"
branch_labels = None
depends_on = None

FINAL = "('success', 'failed', 'crashed', 'cancelled', 'killed', 'exception', 'lost')"

UP = (
    """
DO $drop$
DECLARE
  leftover regclass;
BEGIN
  FOR leftover IN SELECT indexrelid FROM pg_index
    WHERE indrelid IN ('runs'::regclass, 'work_orders'::regclass, 'run_events'::regclass)
      AND NOT indisvalid
  LOOP
    EXECUTE format('DROP INDEX %s', leftover);
  END LOOP;
END
$drop$
""",
    "ALTER TABLE runs ADD COLUMN IF NOT EXISTS cancel_requested_at TIMESTAMP WITH TIME ZONE",
    "ALTER TABLE runs ADD COLUMN IF NOT EXISTS cancel_requested_by TEXT",
    """
CREATE INDEX CONCURRENTLY IF NOT EXISTS runs_workflow_id_state_inserted_at_index
ON runs (workflow_id, state, inserted_at, id)
""",
    """
CREATE INDEX CONCURRENTLY IF NOT EXISTS runs_project_id_worker_name_inserted_at_index
ON runs (project_id, worker_name, inserted_at, id) WHERE worker_name IS NOT NULL
""",
    f"""
CREATE INDEX CONCURRENTLY IF NOT EXISTS runs_cancel_requested_at_index
ON runs (cancel_requested_at) WHERE cancel_requested_at IS NOT NULL AND state NOT IN {FINAL}
""",
    """
CREATE INDEX CONCURRENTLY IF NOT EXISTS runs_recovered_at_index
ON runs (recovered_at) WHERE recovered_at IS NOT NULL
""",
    """
CREATE INDEX CONCURRENTLY IF NOT EXISTS work_orders_workflow_id_inserted_at_index
ON work_orders (workflow_id, inserted_at, id)
""",
    """
CREATE INDEX CONCURRENTLY IF NOT EXISTS run_events_inserted_at_index
ON run_events USING brin (inserted_at)
""",
    "ALTER TABLE run_statistics ADD COLUMN IF NOT EXISTS p50_seconds FLOAT",
    "ALTER TABLE run_statistics ADD COLUMN IF NOT EXISTS p95_seconds FLOAT",
    """
ALTER TABLE run_statistics
ADD COLUMN IF NOT EXISTS error_types JSONB DEFAULT '{}' NOT NULL
""",
)

DOWN = (
    """
ALTER TABLE run_statistics DROP COLUMN IF EXISTS error_types,
DROP COLUMN IF EXISTS p95_seconds, DROP COLUMN IF EXISTS p50_seconds
""",
    "DROP INDEX CONCURRENTLY IF EXISTS run_events_inserted_at_index",
    "DROP INDEX CONCURRENTLY IF EXISTS work_orders_workflow_id_inserted_at_index",
    "DROP INDEX CONCURRENTLY IF EXISTS runs_recovered_at_index",
    "DROP INDEX CONCURRENTLY IF EXISTS runs_cancel_requested_at_index",
    "DROP INDEX CONCURRENTLY IF EXISTS runs_project_id_worker_name_inserted_at_index",
    "DROP INDEX CONCURRENTLY IF EXISTS runs_workflow_id_state_inserted_at_index",
    "ALTER TABLE runs DROP COLUMN IF EXISTS cancel_requested_by",
    "ALTER TABLE runs DROP COLUMN IF EXISTS cancel_requested_at",
)


def upgrade() -> None:
    """Apply."""
    with op.get_context().autocommit_block():
        for statement in UP:
            op.execute(statement.strip())


def downgrade() -> None:
    """Take back."""
    with op.get_context().autocommit_block():
        for statement in DOWN:
            op.execute(statement.strip())
