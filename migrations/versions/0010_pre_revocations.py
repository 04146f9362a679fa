"""Tokens that were revoked before their time.

Revision ID: 0010_pre_revocations
Revises: 0009_pre_worker_presence
"""

from alembic import op

revision = "0010_pre_revocations"
down_revision = "0009_pre_worker_presence"
branch_labels = None
depends_on = None

UP = (
    """
CREATE TABLE revocations (
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    reason TEXT,
    revoked_by TEXT NOT NULL,
    revoked_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT revocations_pkey PRIMARY KEY (kind, value),
    CONSTRAINT revocations_kind_check CHECK (kind IN ('token', 'user', 'worker')),
    CONSTRAINT revocations_value_check CHECK (value <> '')
)
""",
)
DOWN = ("DROP TABLE revocations",)


def upgrade() -> None:
    """Apply."""
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    """Take back."""
    for statement in DOWN:
        op.execute(statement)
