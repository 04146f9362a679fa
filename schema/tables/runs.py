"""Runs, one attempt at a work order each, and the numbered events of a run."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    Sequence,
    SmallInteger,
    Table,
    Text,
    text,
)

from schema.lifecycle import FINAL_STATES, IN_FLIGHT, RUN_STATES
from schema.tables.base import (
    BLANK,
    Xid8,
    check,
    counter,
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

AVAILABLE = text("state = 'available'")
HELD = text(one_of("state", IN_FLIGHT))

runs = Table(
    "runs",
    metadata,
    id_column(),
    uuid("project_id"),
    uuid("workflow_id"),
    uuid("work_order_id"),
    uuid("snapshot_id"),
    uuid("dataclip_id", null=True),
    uuid("starting_trigger_id", null=True),
    uuid("starting_job_id", null=True),
    uuid("final_dataclip_id", null=True),
    Column("created_by", Text, nullable=True),
    Column("state", Text, nullable=False, server_default=text("'available'")),
    Column("priority", SmallInteger, nullable=False, server_default=text("1")),
    Column("queue", Text, nullable=False, server_default=text("'default'")),
    json_column("options", default="{}"),
    Column("save_dataclips", Boolean, nullable=False, server_default=text("true")),
    now_column("inserted_at"),
    timestamp("claimed_at"),
    timestamp("joined_at"),
    timestamp("started_at"),
    timestamp("finished_at"),
    timestamp("recovered_at"),
    Column("error_type", Text, nullable=True),
    Column("error_message", Text, nullable=True),
    Column("worker_name", Text, nullable=True),
    Column("worker_id", Text, nullable=True),
    uuid("lease", null=True),
    Column("lease_epoch", Integer, nullable=False, server_default=text("0")),
    counter("version"),
    json_column("webhook_response"),
    Column("start_fingerprint", LargeBinary, nullable=True),
    Column("complete_fingerprint", LargeBinary, nullable=True),
    uuid("session_id", null=True),
    timestamp("cancel_requested_at"),
    Column("cancel_requested_by", Text, nullable=True),
    primary_key("runs", "id"),
    unique("runs_project_id_id_key", "project_id", "id", field="id"),
    foreign_key(
        "runs_work_order_id_fkey",
        ["project_id", "work_order_id"],
        "work_orders(project_id, id)",
        field="work_order_id",
    ),
    foreign_key(
        "runs_snapshot_id_fkey",
        ["project_id", "workflow_id", "snapshot_id"],
        "snapshots(project_id, workflow_id, id)",
        field="snapshot_id",
    ),
    foreign_key(
        "runs_dataclip_id_fkey",
        ["project_id", "dataclip_id"],
        "dataclips(project_id, id)",
        field="dataclip_id",
        on_delete="SET NULL (dataclip_id)",
    ),
    foreign_key(
        "runs_final_dataclip_id_fkey",
        ["project_id", "final_dataclip_id"],
        "dataclips(project_id, id)",
        field="final_dataclip_id",
        on_delete="SET NULL (final_dataclip_id)",
    ),
    foreign_key(
        "runs_starting_trigger_id_fkey",
        ["snapshot_id", "starting_trigger_id"],
        "snapshot_triggers(snapshot_id, trigger_id)",
        field="starting_trigger_id",
    ),
    foreign_key(
        "runs_starting_job_id_fkey",
        ["snapshot_id", "starting_job_id"],
        "snapshot_jobs(snapshot_id, job_id)",
        field="starting_job_id",
    ),
    check(
        "runs_starting_node_check",
        "num_nonnulls(starting_trigger_id, starting_job_id) = 1",
        field="starting_node_id",
        message="must be exactly one of a trigger and a job",
    ),
    check("runs_state_check", one_of("state", RUN_STATES), field="state"),
    check("runs_priority_check", "priority IN (0, 1)", field="priority"),
    check(
        "runs_lease_check",
        f"state NOT IN {IN_FLIGHT} OR (lease IS NOT NULL AND claimed_at IS NOT NULL)",
        field="lease",
        message=BLANK,
    ),
    check(
        "runs_unclaimed_check",
        "state <> 'available' OR (lease IS NULL AND claimed_at IS NULL AND joined_at IS NULL)",
        field="lease",
        message="must be empty while the run is available",
    ),
    check(
        "runs_started_at_check",
        "state <> 'started' OR started_at IS NOT NULL",
        field="started_at",
        message=BLANK,
    ),
    check(
        "runs_finished_at_check",
        f"state NOT IN {FINAL_STATES} OR finished_at IS NOT NULL",
        field="finished_at",
        message=BLANK,
    ),
    check(
        "runs_unfinished_check",
        f"state IN {FINAL_STATES} OR finished_at IS NULL",
        field="finished_at",
        message="must be empty while the run is not finished",
    ),
    Index(
        "runs_available_index",
        "project_id",
        "workflow_id",
        "queue",
        "priority",
        "inserted_at",
        "id",
        postgresql_where=AVAILABLE,
    ),
    Index("runs_in_flight_workflow_index", "workflow_id", postgresql_where=HELD),
    Index("runs_in_flight_project_index", "project_id", postgresql_where=HELD),
    Index("runs_in_flight_claimed_at_index", "claimed_at", postgresql_where=HELD),
    Index(
        "runs_project_id_claimed_at_index",
        "project_id",
        "claimed_at",
        postgresql_where=text("claimed_at IS NOT NULL"),
    ),
    Index(
        "runs_finished_at_index",
        "finished_at",
        postgresql_where=text("finished_at IS NOT NULL"),
    ),
    Index("runs_project_id_inserted_at_index", "project_id", "inserted_at"),
    Index("runs_workflow_id_state_inserted_at_index", "workflow_id", "state", "inserted_at", "id"),
    Index(
        "runs_project_id_worker_name_inserted_at_index",
        "project_id",
        "worker_name",
        "inserted_at",
        "id",
        postgresql_where=text("worker_name IS NOT NULL"),
    ),
    Index(
        "runs_cancel_requested_at_index",
        "cancel_requested_at",
        postgresql_where=text(f"cancel_requested_at IS NOT NULL AND state NOT IN {FINAL_STATES}"),
    ),
    Index(
        "runs_recovered_at_index",
        "recovered_at",
        postgresql_where=text("recovered_at IS NOT NULL"),
    ),
    Index("runs_work_order_id_index", "work_order_id"),
    Index("runs_dataclip_id_index", "dataclip_id"),
    Index("runs_final_dataclip_id_index", "final_dataclip_id"),
    postgresql_with={"fillfactor": 70},
)
"""``priority`` is 0 for immediate and 1 for normal.

``lease`` and ``lease_epoch`` name the owner: each claim makes a new pair. ``session_id`` is the
socket on which the owner claimed or last joined the run; its row may be gone. ``version`` grows by
one with each committed change that dashboards are told of; events and log lines carry it.
``webhook_response`` is the last one that a step sent, for the caller who waits.
``cancel_requested_at`` and ``_by``: somebody asked the worker, who holds the run, to end it.
"""

PROJECT_EVENTS: Final = ("run:created", "run:updated")
"""Events of runs that the watchers of their project are told of."""

_seq = Sequence("run_events_seq", metadata=metadata)

run_events = Table(
    "run_events",
    metadata,
    uuid("run_id"),
    Column("version", BigInteger, nullable=False),
    Column("event", Text, nullable=False),
    json_column("payload", default="{}"),
    now_column("inserted_at"),
    uuid("project_id", null=True),
    Column("seq", BigInteger, _seq, nullable=True, server_default=_seq.next_value()),
    Column("xact", Xid8(), nullable=True, server_default=text("pg_current_xact_id()")),
    primary_key("run_events", "run_id", "version", field="version"),
    foreign_key("run_events_run_id_fkey", ["run_id"], "runs(id)", field="run_id"),
    Index(
        "run_events_feed_index",
        "project_id",
        "xact",
        "seq",
        postgresql_where=text(f"event IN {PROJECT_EVENTS} AND xact IS NOT NULL"),
    ),
    Index("run_events_inserted_at_index", "inserted_at", postgresql_using="brin"),
)
"""What was told to dashboards, by version, for replay. Log lines are not repeated in here.

``seq`` is taken while the run is locked, so that it has the order of the versions of a run;
``xact`` says which snapshots see the event (:mod:`schema.positions`). Both are null, as is
``project_id``, in rows that are older than these columns.
"""

run_event_horizons = Table(
    "run_event_horizons",
    metadata,
    uuid("project_id"),
    Column("xact", Xid8(), nullable=False),
    primary_key("run_event_horizons", "project_id", field="project_id"),
    foreign_key(
        "run_event_horizons_project_id_fkey",
        ["project_id"],
        "projects(id)",
        field="project_id",
        on_delete="CASCADE",
    ),
)
"""The newest transaction of which a project's events were pruned: older cursors have a gap."""
