"""Cursors of projects: where in the history of its project an event is.

The columns have no value in rows that exist, so that nothing is rewritten; their defaults are for
new rows. The index is made concurrently: writers are never blocked. All statements bear being run
again. Events that a process of the release before writes meanwhile have no project: watchers of
projects are not told of them, watchers of their runs are.

Revision ID: 0008_pre_event_feed
Revises: 0007_pre_run_statistics
"""

from alembic import op

revision = "0008_pre_event_feed"
down_revision = "0007_pre_run_statistics"
branch_labels = None
depends_on = None

UP = (
    """
DO $drop$
DECLARE
  leftover regclass;
BEGIN
  FOR leftover IN SELECT indexrelid FROM pg_index
    WHERE indrelid = 'run_events'::regclass AND NOT indisvalid
  LOOP
    EXECUTE format('DROP INDEX %s', leftover);
  END LOOP;
END
$drop$
""",
    "CREATE SEQUENCE IF NOT EXISTS run_events_seq",
    """
ALTER TABLE run_events
    ADD COLUMN IF NOT EXISTS project_id UUID,
    ADD COLUMN IF NOT EXISTS seq BIGINT,
    ADD COLUMN IF NOT EXISTS xact XID8
""",
    """
ALTER TABLE run_events
    ALTER COLUMN seq SET DEFAULT nextval('run_events_seq'),
    ALTER COLUMN xact SET DEFAULT pg_current_xact_id()
""",
    """
CREATE INDEX CONCURRENTLY IF NOT EXISTS run_events_feed_index ON run_events (project_id, xact, seq)
    WHERE event IN ('run:created', 'run:updated') AND xact IS NOT NULL
""",
    """
CREATE TABLE IF NOT EXISTS run_event_horizons (
    project_id UUID NOT NULL,
    xact XID8 NOT NULL,
    CONSTRAINT run_event_horizons_pkey PRIMARY KEY (project_id),
    CONSTRAINT run_event_horizons_project_id_fkey FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE
)
""",
)

DOWN = (
    "DROP TABLE IF EXISTS run_event_horizons",
    "DROP INDEX CONCURRENTLY IF EXISTS run_events_feed_index",
    "ALTER TABLE run_events DROP COLUMN IF EXISTS project_id, DROP COLUMN IF EXISTS seq, DROP COLUMN IF EXISTS xact",
    "DROP SEQUENCE IF EXISTS run_events_seq",
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
            op.execute(statement)
