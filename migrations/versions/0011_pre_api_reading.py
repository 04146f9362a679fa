"""Indexes and columns that lists of the HTTP API read by.

Revision ID: 0011_pre_api_reading
Revises: 0010_pre_revocations
"""

from alembic import op

revision = "0011_pre_api_reading"
down_revision = "0010_pre_revocations"
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
