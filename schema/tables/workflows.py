"""Workflows and the graph that is edited: jobs, triggers, edges.

Runs never read these; they execute a snapshot (:mod:`schema.tables.snapshots`).
"""

from typing import Final

from sqlalchemy import Boolean, Column, Integer, Table, Text, text

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

TRIGGER_TYPES: Final = ("webhook", "cron", "kafka")
WEBHOOK_REPLIES: Final = ("before_start", "after_completion")
CONDITION_TYPES: Final = ("always", "on_job_success", "on_job_failure", "js_expression")

workflows = Table(
    "workflows",
    metadata,
    id_column(),
    uuid("project_id"),
    Column("key", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("concurrency", Integer, nullable=True),
    counter("claim_epoch"),
    Column("lock_version", Integer, nullable=False, server_default=text("0")),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    now_column("inserted_at"),
    now_column("updated_at"),
    primary_key("workflows", "id"),
    unique("workflows_project_id_id_key", "project_id", "id", field="id"),
    unique("workflows_project_id_key_key", "project_id", "key", field="key"),
    unique("workflows_project_id_name_key", "project_id", "name", field="name"),
    foreign_key("workflows_project_id_fkey", ["project_id"], "projects(id)", field="project_id"),
    check(
        "workflows_concurrency_check",
        "concurrency > 0",
        field="concurrency",
        message="must be greater than 0",
    ),
)
"""``lock_version`` is the version of the graph; each has one snapshot."""

jobs = Table(
    "jobs",
    metadata,
    id_column(),
    uuid("workflow_id"),
    uuid("project_id"),
    Column("key", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("adaptor", Text, nullable=False),
    Column("body", Text, nullable=False),
    uuid("credential_id", null=True),
    now_column("inserted_at"),
    now_column("updated_at"),
    primary_key("jobs", "id"),
    unique("jobs_workflow_id_id_key", "workflow_id", "id", field="id"),
    unique("jobs_workflow_id_key_key", "workflow_id", "key", field="key"),
    foreign_key(
        "jobs_workflow_id_fkey",
        ["project_id", "workflow_id"],
        "workflows(project_id, id)",
        field="workflow_id",
    ),
    foreign_key(
        "jobs_credential_id_fkey",
        ["project_id", "credential_id"],
        "credentials(project_id, id)",
        field="credential_id",
    ),
)

triggers = Table(
    "triggers",
    metadata,
    id_column(),
    uuid("workflow_id"),
    uuid("project_id"),
    Column("key", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("webhook_reply", Text, nullable=False, server_default=text("'before_start'")),
    json_column("webhook_response_config"),
    Column("cron_expression", Text, nullable=True),
    now_column("inserted_at"),
    now_column("updated_at"),
    primary_key("triggers", "id"),
    unique("triggers_workflow_id_id_key", "workflow_id", "id", field="id"),
    unique("triggers_workflow_id_key_key", "workflow_id", "key", field="key"),
    foreign_key(
        "triggers_workflow_id_fkey",
        ["project_id", "workflow_id"],
        "workflows(project_id, id)",
        field="workflow_id",
    ),
    check("triggers_type_check", one_of("type", TRIGGER_TYPES), field="type"),
    check(
        "triggers_webhook_reply_check",
        one_of("webhook_reply", WEBHOOK_REPLIES),
        field="webhook_reply",
    ),
)

edges = Table(
    "edges",
    metadata,
    id_column(),
    uuid("workflow_id"),
    Column("key", Text, nullable=False),
    uuid("source_trigger_id", null=True),
    uuid("source_job_id", null=True),
    uuid("target_job_id"),
    Column("condition_type", Text, nullable=False, server_default=text("'always'")),
    Column("condition_expression", Text, nullable=True),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    now_column("inserted_at"),
    now_column("updated_at"),
    primary_key("edges", "id"),
    unique("edges_workflow_id_key_key", "workflow_id", "key", field="key"),
    foreign_key("edges_workflow_id_fkey", ["workflow_id"], "workflows(id)", field="workflow_id"),
    foreign_key(
        "edges_source_trigger_id_fkey",
        ["workflow_id", "source_trigger_id"],
        "triggers(workflow_id, id)",
        field="source_trigger_id",
    ),
    foreign_key(
        "edges_source_job_id_fkey",
        ["workflow_id", "source_job_id"],
        "jobs(workflow_id, id)",
        field="source_job_id",
    ),
    foreign_key(
        "edges_target_job_id_fkey",
        ["workflow_id", "target_job_id"],
        "jobs(workflow_id, id)",
        field="target_job_id",
    ),
    check(
        "edges_source_check",
        "num_nonnulls(source_trigger_id, source_job_id) = 1",
        field="source",
        message="must be exactly one of a trigger and a job",
    ),
    check(
        "edges_condition_type_check",
        one_of("condition_type", CONDITION_TYPES),
        field="condition_type",
    ),
    check(
        "edges_condition_expression_check",
        "condition_type <> 'js_expression' OR condition_expression IS NOT NULL",
        field="condition_expression",
        message="This field can't be blank.",
    ),
)
