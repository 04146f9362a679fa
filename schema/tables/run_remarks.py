"""What was odd about the events of a run: missing, late, sent again, or older than the claim."""

from typing import Final

from sqlalchemy import Column, Integer, Table, Text, text

from schema.tables.base import (
    check,
    foreign_key,
    id_column,
    metadata,
    now_column,
    one_of,
    primary_key,
    unique,
    uuid,
)

REMARK_KINDS: Final = ("missing", "late", "resent", "early")

run_remarks = Table(
    "run_remarks",
    metadata,
    id_column(),
    uuid("run_id"),
    Column("kind", Text, nullable=False),
    Column("event", Text, nullable=False),
    uuid("step_id", null=True),
    now_column("at"),
    Column("detail", Text, nullable=True),
    Column("count", Integer, nullable=False, server_default=text("1")),
    primary_key("run_remarks", "id"),
    unique(
        "run_remarks_key",
        *("run_id", "kind", "event", "step_id"),
        field="event",
        nulls_are_equal=True,
    ),
    foreign_key(
        "run_remarks_run_id_fkey", ["run_id"], "runs(id)", field="run_id", on_delete="CASCADE"
    ),
    check("run_remarks_kind_check", one_of("kind", REMARK_KINDS), field="kind"),
)
"""``event`` is the event that was missing, late, sent again or early; ``step_id`` is what the
worker named, which is perhaps no step at all. What is remarked again is counted.
"""
