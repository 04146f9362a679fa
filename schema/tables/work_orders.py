"""Work orders: one unit of work that was asked for."""

from sqlalchemy import Column, Index, Table, Text, text

from schema.lifecycle import WORK_ORDER_STATES
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

work_orders = Table(
    "work_orders",
    metadata,
    id_column(),
    uuid("project_id"),
    uuid("workflow_id"),
    uuid("snapshot_id"),
    uuid("trigger_id", null=True),
    uuid("dataclip_id", null=True),
    Column("state", Text, nullable=False, server_default=text("'pending'")),
    now_column("last_activity"),
    now_column("inserted_at"),
    primary_key("work_orders", "id"),
    unique("work_orders_project_id_id_key", "project_id", "id", field="id"),
    foreign_key(
        "work_orders_snapshot_id_fkey",
        ["project_id", "workflow_id", "snapshot_id"],
        "snapshots(project_id, workflow_id, id)",
        field="snapshot_id",
    ),
    foreign_key(
        "work_orders_trigger_id_fkey",
        ["snapshot_id", "trigger_id"],
        "snapshot_triggers(snapshot_id, trigger_id)",
        field="trigger_id",
    ),
    foreign_key(
        "work_orders_dataclip_id_fkey",
        ["project_id", "dataclip_id"],
        "dataclips(project_id, id)",
        field="dataclip_id",
        on_delete="SET NULL (dataclip_id)",
    ),
    check("work_orders_state_check", one_of("state", WORK_ORDER_STATES), field="state"),
    Index("work_orders_project_id_inserted_at_index", "project_id", "inserted_at"),
    Index("work_orders_workflow_id_inserted_at_index", "workflow_id", "inserted_at", "id"),
    Index("work_orders_dataclip_id_index", "dataclip_id"),
    postgresql_with={"fillfactor": 80},
)
"""``state`` and ``last_activity`` are kept by the database (:mod:`schema.triggers`)."""
