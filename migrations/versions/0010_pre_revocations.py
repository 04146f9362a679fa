"""Tokens that were revoked before their time.

Revision ID: 0010_pre_revocations
Revises: 0009_pre_worker_presence
"""

from alembic import op

revision = "0010_pre_revocations"
down_revision = "0009_pre_worker_presence"
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
