"""Steps, the executions of jobs, and which run each belongs to."""

from sqlalchemy import Column, Index, LargeBinary, Table, Text, text

from schema.tables.base import (
    foreign_key,
    id_column,
    metadata,
    now_column,
    primary_key,
    timestamp,
    uuid,
)

steps = Table(
    "steps",
    metadata,
    id_column(),
    uuid("project_id"),
    uuid("snapshot_id"),
    uuid("job_id"),
    uuid("credential_id", null=True),
    uuid("input_dataclip_id", null=True),
    uuid("output_dataclip_id", null=True),
    timestamp("started_at"),
    timestamp("finished_at"),
    Column("exit_reason", Text, nullable=True),
    Column("error_type", Text, nullable=True),
    Column("error_message", Text, nullable=True),
    Column("start_fingerprint", LargeBinary, nullable=True),
    Column("complete_fingerprint", LargeBinary, nullable=True),
    now_column("inserted_at"),
    primary_key("steps", "id", field="step_id"),
    foreign_key(
        "steps_snapshot_id_fkey",
        ["project_id", "snapshot_id"],
        "snapshots(project_id, id)",
        field="snapshot_id",
    ),
    foreign_key(
        "steps_job_id_fkey",
        ["snapshot_id", "job_id"],
        "snapshot_jobs(snapshot_id, job_id)",
        field="job_id",
    ),
    foreign_key(
        "steps_credential_id_fkey",
        ["project_id", "credential_id"],
        "credentials(project_id, id)",
        field="credential_id",
    ),
    foreign_key(
        "steps_input_dataclip_id_fkey",
        ["project_id", "input_dataclip_id"],
        "dataclips(project_id, id)",
        field="input_dataclip_id",
        on_delete="SET NULL (input_dataclip_id)",
    ),
    foreign_key(
        "steps_output_dataclip_id_fkey",
        ["project_id", "output_dataclip_id"],
        "dataclips(project_id, id)",
        field="output_dataclip",
        on_delete="SET NULL (output_dataclip_id)",
    ),
    Index("steps_unfinished_index", "id", postgresql_where=text("finished_at IS NULL")),
    Index("steps_input_dataclip_id_index", "input_dataclip_id"),
    Index("steps_output_dataclip_id_index", "output_dataclip_id"),
    postgresql_with={"fillfactor": 80},
)
"""A step's job is one of its snapshot, its dataclips and credential are of its project."""

run_steps = Table(
    "run_steps",
    metadata,
    uuid("run_id"),
    uuid("step_id"),
    now_column("inserted_at"),
    primary_key("run_steps", "run_id", "step_id", field="step_id"),
    foreign_key("run_steps_run_id_fkey", ["run_id"], "runs(id)", field="run_id"),
    foreign_key("run_steps_step_id_fkey", ["step_id"], "steps(id)", field="step_id"),
    Index("run_steps_step_id_index", "step_id"),
)
