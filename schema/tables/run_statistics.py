"""What became of the runs of each workflow on each day."""

from sqlalchemy import Column, Date, Float, Integer, Table

from schema.tables.base import (
    foreign_key,
    json_column,
    metadata,
    primary_key,
    timestamp,
    uuid,
)

run_statistics = Table(
    "run_statistics",
    metadata,
    uuid("workflow_id"),
    Column("day", Date, nullable=False),
    Column("total", Integer, nullable=False),
    json_column("states", default="{}"),
    Column("seconds", Float, nullable=False),
    timestamp("computed_at", null=False),
    Column("p50_seconds", Float, nullable=True),
    Column("p95_seconds", Float, nullable=True),
    json_column("error_types", default="{}"),
    primary_key("run_statistics", "workflow_id", "day", field="day"),
    foreign_key(
        "run_statistics_workflow_id_fkey",
        ["workflow_id"],
        "workflows(id)",
        field="workflow_id",
        on_delete="CASCADE",
    ),
)
"""``day`` is the one, in UTC, on which the runs finished; ``states`` counts them by state, and
``seconds`` is the time that they took together. ``p50_seconds`` and ``p95_seconds`` are of those
that a worker had, and ``error_types`` counts the failures by what they were. Derived: the rows of
``runs`` are the truth."""
