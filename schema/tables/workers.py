"""Which servers run, and which workers are or were connected to them."""

from sqlalchemy import Boolean, Column, Index, Integer, Table, Text, text

from schema.tables.base import (
    check,
    foreign_key,
    id_column,
    metadata,
    now_column,
    primary_key,
    timestamp,
    uuid,
)

servers = Table(
    "servers",
    metadata,
    id_column(),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    now_column("started_at"),
    now_column("seen_at"),
    now_column("watching_since"),
    primary_key("servers", "id"),
)
"""One row per server process.

``seen_at`` is its heartbeat. ``watching_since`` says since when the heartbeats came without a gap:
a server judges the absence of workers only over a time that it has watched itself.
"""

worker_sessions = Table(
    "worker_sessions",
    metadata,
    id_column(),
    uuid("server_id"),
    Column("worker_id", Text, nullable=False),
    Column("worker_name", Text, nullable=True),
    Column("worker_version", Text, nullable=True),
    Column("api_version", Text, nullable=True),
    Column("capacity", Integer, nullable=True),
    now_column("connected_at"),
    timestamp("disconnected_at"),
    Column("clean", Boolean, nullable=False, server_default=text("false")),
    primary_key("worker_sessions", "id"),
    foreign_key(
        "worker_sessions_server_id_fkey",
        ["server_id"],
        "servers(id)",
        field="server_id",
        on_delete="CASCADE",
    ),
    check(
        "worker_sessions_clean_check",
        "NOT clean OR disconnected_at IS NOT NULL",
        field="clean",
        message="must not be set while the worker is connected",
    ),
    Index("worker_sessions_worker_id_index", "worker_id"),
    Index("worker_sessions_server_id_index", "server_id"),
)
"""One row per socket of a worker; ``clean`` when the worker itself ended it.

``worker_id`` names the process of the worker, which may have several sockets, one after the other.
A worker whose token names no process has the id of its socket.
"""
