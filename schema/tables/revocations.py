"""Tokens that count no more, though they are genuine and in force."""

from typing import Final

from sqlalchemy import Column, Table, Text

from schema.tables.base import check, metadata, now_column, one_of, primary_key, timestamp

REVOKED_KINDS: Final = ("token", "user", "worker")

revocations = Table(
    "revocations",
    metadata,
    Column("kind", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("reason", Text, nullable=True),
    Column("revoked_by", Text, nullable=False),
    now_column("revoked_at"),
    timestamp("expires_at"),
    primary_key("revocations", "kind", "value", field="value"),
    check("revocations_kind_check", one_of("kind", REVOKED_KINDS), field="kind"),
    check("revocations_value_check", "value <> ''", field="value"),
)
"""``kind`` says what ``value`` is: the ``jti`` of one user token; a subject, all of whose user
tokens issued up to ``revoked_at`` count no more; or a ``worker_id``.

After ``expires_at`` the row may go, because the token has expired by itself; null is never.
"""
