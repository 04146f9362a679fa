"""Which workers are connected, to which server, and what was missing from a run's story.

Revision ID: 0009_pre_worker_presence
Revises: 0008_pre_event_feed
"""

from alembic import op

revision = "0009_pre_worker_presence"
down_revision = "0008_pre_event_feed"
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
