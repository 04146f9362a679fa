"""Cursors of projects: where in the history of its project an event is.

Revision ID: 0008_pre_event_feed
Revises: 0007_pre_run_statistics
"""

from alembic import op

revision = "0008_pre_event_feed"
down_revision = "0007_pre_run_statistics"
branch_labels = None
depends_on = None

UP = ()
DOWN = ()


def upgrade() -> None:
    """Apply."""
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Take back."""
    for statement in DOWN:
        op.execute(statement)
