"""Dataclips: the JSON values that go into and come out of runs and steps."""

from typing import Final

from sqlalchemy import Column, Index, Table, Text

from schema.tables.base import (
    check,
    foreign_key,
    id_column,
    json_column,
    metadata,
    now_column,
    one_of,
    primary_key,
    timestamp,
    unique,
    uuid,
)

DATACLIP_TYPES: Final = ("http_request", "kafka", "step_result", "saved_input", "global")

dataclips = Table(
    "dataclips",
    metadata,
    id_column(),
    uuid("project_id"),
    Column("type", Text, nullable=False),
    Column("name", Text, nullable=True),
    json_column("body"),
    json_column("request"),
    timestamp("wiped_at"),
    now_column("inserted_at"),
    primary_key("dataclips", "id"),
    unique("dataclips_project_id_id_key", "project_id", "id", field="id"),
    foreign_key("dataclips_project_id_fkey", ["project_id"], "projects(id)", field="project_id"),
    check("dataclips_type_check", one_of("type", DATACLIP_TYPES), field="type"),
    check(
        "dataclips_wiped_check",
        "wiped_at IS NULL OR (body IS NULL AND request IS NULL)",
        field="body",
        message="must be empty once wiped",
    ),
    Index("dataclips_project_id_inserted_at_index", "project_id", "inserted_at"),
)
"""A wiped dataclip keeps its row and its id; ``body`` and ``request`` are null for good."""
