"""Statistics of runs per workflow and day, and the index by which finished runs are found.

The index is made concurrently, outside a transaction: writers of runs are never blocked. All
statements bear being run again.

Revision ID: 0007_pre_run_statistics
Revises: 0006_pre_emissions
"""

from alembic import op

revision = "0007_pre_run_statistics"
down_revision = "0006_pre_emissions"
branch_labels = None
depends_on = None

UP = (
    """
DO $drop$
DECLARE
  leftover regclass;
BEGIN
  FOR leftover IN SELECT indexrelid FROM pg_index
    WHERE indrelid = 'runs'::regclass AND NOT indisvalid
  LOOP
    EXECUTE format('DROP INDEX %s', leftover);
  END LOOP;
END
$drop$
""",
    """
CREATE INDEX CONCURRENTLY IF NOT EXISTS runs_finished_at_index ON runs (finished_at) WHERE finished_at IS NOT NULL
""",
    """
CREATE TABLE IF NOT EXISTS run_statistics (
    workflow_id UUID NOT NULL,
    day DATE NOT NULL,
    total INTEGER NOT NULL,
    states JSONB DEFAULT '{}' NOT NULL,
    seconds FLOAT NOT NULL,
    computed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT run_statistics_pkey PRIMARY KEY (workflow_id, day),
    CONSTRAINT run_statistics_workflow_id_fkey FOREIGN KEY(workflow_id) REFERENCES workflows (id) ON DELETE CASCADE
)
""",
)

DOWN = (
    "DROP TABLE IF EXISTS run_statistics",
    "DROP INDEX CONCURRENTLY IF EXISTS runs_finished_at_index",
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for statement in UP:
            op.execute(statement.strip())


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for statement in DOWN:
            op.execute(statement)
