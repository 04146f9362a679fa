"""Projects, the tenants, and their credentials."""

from typing import Final

from sqlalchemy import Column, Integer, LargeBinary, Table, Text, text

from schema.tables.base import (
    check,
    counter,
    foreign_key,
    id_column,
    json_column,
    metadata,
    now_column,
    one_of,
    primary_key,
    unique,
    uuid,
)

RETENTION_POLICIES: Final = ("retain_all", "retain_with_errors", "erase_all")

projects = Table(
    "projects",
    metadata,
    id_column(),
    Column("name", Text, nullable=False),
    Column("retention_policy", Text, nullable=False, server_default=text("'retain_all'")),
    Column("concurrency", Integer, nullable=True),
    counter("claim_epoch"),
    json_column("options", default="{}"),
    now_column("inserted_at"),
    now_column("updated_at"),
    primary_key("projects", "id"),
    unique("projects_name_key", "name", field="name"),
    check(
        "projects_retention_policy_check",
        one_of("retention_policy", RETENTION_POLICIES),
        field="retention_policy",
    ),
    check(
        "projects_concurrency_check",
        "concurrency > 0",
        field="concurrency",
        message="must be greater than 0",
    ),
)
"""The tenants.

``concurrency`` limits the runs in flight, null is no limit; ``claim_epoch`` grows with every
claim of a limited project; ``options`` may hold ``run_timeout_ms``, ``run_memory_limit_mb`` and
``job_logs``.
"""

credentials = Table(
    "credentials",
    metadata,
    id_column(),
    uuid("project_id"),
    Column("name", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("key_id", Text, nullable=False),
    now_column("inserted_at"),
    now_column("updated_at"),
    primary_key("credentials", "id"),
    unique("credentials_project_id_id_key", "project_id", "id", field="id"),
    unique("credentials_project_id_name_key", "project_id", "name", field="name"),
    foreign_key("credentials_project_id_fkey", ["project_id"], "projects(id)", field="project_id"),
)
"""``body`` is ciphertext (:mod:`schema.crypto`); ``key_id`` names the key that opens it."""
