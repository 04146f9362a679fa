"""Snapshots: immutable copies of a workflow's graph. A run always executes its snapshot.

``snapshot_jobs`` and ``snapshot_triggers`` name the nodes, so that foreign keys can say "a job of
this run's snapshot". They hold no reference to ``jobs`` and ``triggers``: a node that was deleted
from the workflow lives on in its snapshots.
"""

from sqlalchemy import Column, Integer, Table

from schema.tables.base import (
    foreign_key,
    id_column,
    json_column,
    metadata,
    now_column,
    primary_key,
    unique,
    uuid,
)

snapshots = Table(
    "snapshots",
    metadata,
    id_column(),
    uuid("project_id"),
    uuid("workflow_id"),
    Column("lock_version", Integer, nullable=False),
    json_column("graph", default="{}"),
    now_column("inserted_at"),
    primary_key("snapshots", "id"),
    unique("snapshots_project_id_id_key", "project_id", "id", field="id"),
    unique(
        "snapshots_project_id_workflow_id_id_key", "project_id", "workflow_id", "id", field="id"
    ),
    unique(
        "snapshots_workflow_id_lock_version_key",
        "workflow_id",
        "lock_version",
        field="lock_version",
    ),
    foreign_key(
        "snapshots_workflow_id_fkey",
        ["project_id", "workflow_id"],
        "workflows(project_id, id)",
        field="workflow_id",
    ),
)
"""``graph`` holds ``name``, ``triggers``, ``jobs`` and ``edges``: the graph part of a plan."""

snapshot_jobs = Table(
    "snapshot_jobs",
    metadata,
    uuid("snapshot_id"),
    uuid("job_id"),
    primary_key("snapshot_jobs", "snapshot_id", "job_id", field="job_id"),
    foreign_key(
        "snapshot_jobs_snapshot_id_fkey", ["snapshot_id"], "snapshots(id)", field="snapshot_id"
    ),
)

snapshot_triggers = Table(
    "snapshot_triggers",
    metadata,
    uuid("snapshot_id"),
    uuid("trigger_id"),
    primary_key("snapshot_triggers", "snapshot_id", "trigger_id", field="trigger_id"),
    foreign_key(
        "snapshot_triggers_snapshot_id_fkey", ["snapshot_id"], "snapshots(id)", field="snapshot_id"
    ),
)
