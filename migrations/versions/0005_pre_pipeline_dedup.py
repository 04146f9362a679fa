"""One active job per scope: partial unique indexes, made without blocking the writers of jobs.

Outside a transaction, one by one. An attempt that failed halfway leaves an invalid index of the
same name; such a one is dropped first, so that trying again is enough.

Revision ID: 0005_pre_pipeline_dedup
Revises: 0004_pre_pipelines
"""

from alembic import op

revision = "0005_pre_pipeline_dedup"
down_revision = "0004_pre_pipelines"
branch_labels = None
depends_on = None

UP = (
    """
DO $drop$
DECLARE
  leftover regclass;
BEGIN
  FOR leftover IN SELECT indexrelid FROM pg_index
    WHERE indrelid = 'pipeline_jobs'::regclass AND NOT indisvalid
  LOOP
    EXECUTE format('DROP INDEX %s', leftover);
  END LOOP;
END
$drop$
""",
    """
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS uq_aggregation_active ON pipeline_jobs (module_type_id, year) WHERE job_type = 'aggregation' AND state IN ('NOT_STARTED', 'QUEUED', 'RUNNING')
""",
    """
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS uq_emission_recalc_active ON pipeline_jobs (module_type_id, data_entry_type_id, year) WHERE job_type = 'emission_recalc' AND state IN ('NOT_STARTED', 'QUEUED', 'RUNNING') AND module_type_id IS NOT NULL AND data_entry_type_id IS NOT NULL AND year IS NOT NULL
""",
    """
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS uq_scope_key_active ON pipeline_jobs (job_type, scope_key) WHERE scope_key IS NOT NULL AND state IN ('NOT_STARTED', 'QUEUED', 'RUNNING')
""",
)

DOWN = (
    "DROP INDEX CONCURRENTLY IF EXISTS uq_aggregation_active",
    "DROP INDEX CONCURRENTLY IF EXISTS uq_emission_recalc_active",
    "DROP INDEX CONCURRENTLY IF EXISTS uq_scope_key_active",
)


def upgrade() -> None:
    with op.get_context().autocommit_block():
        for statement in UP:
            op.execute(statement.strip())


def downgrade() -> None:
    with op.get_context().autocommit_block():
        for statement in DOWN:
            op.execute(statement)
