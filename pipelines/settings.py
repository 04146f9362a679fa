"""Settings of the job engine."""

import os
import secrets
import socket
from datetime import timedelta

import msgspec


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the engine of one process works. All processes of a database need the same stale window.

    Attributes:
        concurrency: Jobs that run at once in this process.
        stale_window: A running job whose lock was not refreshed for this long is taken over. No
            handler may leave its transaction idle for longer.
        poll_interval: How often the queue is looked at when no notification comes.
        poll_batch: Jobs that are considered at one look.
        blocked_delay: How long a job is left alone after it met a running one of its scope.
        retry_delay: How long a job is left alone after the database failed under it.
        grace: How long a handler may take to end after it was cancelled.
        reconcile_interval: How often stored statuses are checked against the jobs.
        reconcile_lookback: Pipelines that changed within this time are checked.
        repair_after: How long follow-up work may be missing before the reconciler inserts it.
        schedule_catch_up: Ticks that were missed for at most this long are still created.
        pod: Name of this process among those that share the database.
        namespace: Processes of another namespace refuse to share the database.
        build: Version of the code; a mix is logged, or refused with ``strict_build``.
        strict_build: See above.
        run_jobs: Whether this process claims jobs at all.
    """

    concurrency: int = 4
    stale_window: timedelta = timedelta(minutes=60)
    poll_interval: timedelta = timedelta(seconds=10)
    poll_batch: int = 100
    blocked_delay: timedelta = timedelta(seconds=10)
    retry_delay: timedelta = timedelta(seconds=2)
    grace: timedelta = timedelta(seconds=5)
    reconcile_interval: timedelta = timedelta(seconds=60)
    reconcile_lookback: timedelta = timedelta(days=1)
    repair_after: timedelta = timedelta(seconds=60)
    schedule_catch_up: timedelta = timedelta(minutes=10)
    pod: str = msgspec.field(default_factory=lambda: os.environ.get("HOSTNAME") or _host())
    namespace: str = "default"
    build: str = "unknown"
    strict_build: bool = False
    run_jobs: bool = True

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise ValueError("concurrency must be at least 1")
        if self.stale_window <= timedelta(0):
            raise ValueError("stale_window must be positive")

    @property
    def heartbeat_interval(self) -> float:
        """Seconds between heartbeats: a quarter of the stale window."""
        return self.stale_window.total_seconds() / 4

    @property
    def abort_after(self) -> float:
        """Seconds without a successful heartbeat after which a job is aborted: 75 % of the window.

        Strictly before anybody else may take it.
        """
        return self.stale_window.total_seconds() * 0.75


def owner_token(pod: str) -> str:
    """Return a new owner token: unique for each claim, not for each process."""
    return f"{pod}:{os.getpid()}:{secrets.token_hex(6)}"


def _host() -> str:
    return socket.gethostname()
