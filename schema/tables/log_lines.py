"""Log lines of runs, in the order in which they arrived."""

from typing import Final

from sqlalchemy import BigInteger, Column, Table, Text, text

from schema.tables.base import (
    check,
    foreign_key,
    id_column,
    metadata,
    one_of,
    primary_key,
    timestamp,
    unique,
    uuid,
)

LOG_LEVELS: Final = ("debug", "info", "warn", "error", "success", "always")

log_lines = Table(
    "log_lines",
    metadata,
    id_column(),
    uuid("run_id"),
    uuid("step_id", null=True),
    Column("level", Text, nullable=False, server_default=text("'info'")),
    Column("source", Text, nullable=True),
    Column("message", Text, nullable=False),
    timestamp("timestamp", null=False),
    Column("version", BigInteger, nullable=False),
    primary_key("log_lines", "id"),
    unique("log_lines_run_id_version_key", "run_id", "version", field="version"),
    foreign_key("log_lines_run_id_fkey", ["run_id"], "runs(id)", field="run_id"),
    foreign_key(
        "log_lines_step_id_fkey",
        ["run_id", "step_id"],
        "run_steps(run_id, step_id)",
        field="step_id",
        message="must be associated with the run",
    ),
    check("log_lines_level_check", one_of("level", LOG_LEVELS), field="level"),
)
"""``timestamp`` is the worker's clock; ``version`` is the run's version of the line, its place."""
