"""Every setting of a deployment: name, default, unit and one sentence, in one place.

`Settings.load` reads the environment; `settings_table` prints the documentation. A wrong value is
refused at start with a sentence that names the variable, what was expected and what came; values of
secrets are never repeated.
"""

import base64
import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from handlers.settings_fields import (
    SettingError,
    describe_fields,
    field,
    hints_of,
    parse,
    read_fields,
)
from handlers.settings_liveness import LivenessSettings
from handlers.settings_rates import (
    USER_MESSAGE_DEADLINE,
    WORKER_MESSAGE_DEADLINE,
    byte_rate_problems,
)
from handlers.settings_secrets import CREDENTIALS, USER_TOKENS, derive, secret_problems

LatePolicyName = Literal["accept", "reject", "acknowledge"]


class Settings(LivenessSettings, frozen=True, kw_only=True):
    """One deployment. Build it with `load`, or with keywords in tests; `check` validates either.

    Raises nothing by itself: `load` and `check` raise `ConfigError` with every problem found.
    """

    database_url: Annotated[
        str,
        field(
            "DATABASE_URL",
            "PostgreSQL 15 or newer, as `postgresql://user:password@host:port/name`.",
            secret=True,
        ),
    ] = ""
    worker_secret: Annotated[
        str,
        field(
            "WORKER_SECRET",
            "Shared secret of server and workers: its raw UTF-8 bytes sign the worker tokens"
            " (HS256).",
            secret=True,
        ),
    ] = ""
    worker_runs_private_key: Annotated[
        str,
        field(
            "WORKER_RUNS_PRIVATE_KEY",
            "RSA private key (PEM, base64-encoded) that signs the run tokens (RS256).",
            secret=True,
        ),
    ] = ""
    user_secret: Annotated[
        str,
        field(
            "CHANNEL_SERVER_USER_SECRET",
            "Secret that signs dashboard tokens (HS256); without it, one is derived from"
            " `WORKER_SECRET`.",
            secret=True,
        ),
    ] = ""
    credentials_key: Annotated[
        str,
        field(
            "CHANNEL_SERVER_CREDENTIALS_KEY",
            "Key of 32 bytes (base64) that encrypts credential bodies at rest; without it, one is"
            " derived from `WORKER_SECRET`, which then must not change.",
            secret=True,
        ),
    ] = ""

    host: Annotated[str, field("CHANNEL_SERVER_HOST", "Address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, field("CHANNEL_SERVER_PORT", "Port to listen on; 0 takes a free one.", ge=0, le=65535)
    ] = 4000
    check_origin: Annotated[
        tuple[str, ...],
        field(
            "CHANNEL_SERVER_CHECK_ORIGIN",
            "Origins that may open the dashboard socket: exact hosts or `*.domain`, with commas"
            " between; empty means the host of the request.",
        ),
    ] = ()
    worker_max_frame_bytes: Annotated[
        int,
        field(
            "CHANNEL_SERVER_WORKER_MAX_FRAME_BYTES",
            "Largest message a worker may send; a larger one closes its socket with 1009.",
            unit="bytes",
            ge=32 * 1024 * 1024,
        ),
    ] = 32 * 1024 * 1024
    user_max_frame_bytes: Annotated[
        int,
        field(
            "CHANNEL_SERVER_USER_MAX_FRAME_BYTES",
            "Largest message a dashboard may send.",
            unit="bytes",
            ge=1024,
        ),
    ] = 64 * 1024
    user_send_queue_bytes: Annotated[
        int,
        field(
            "CHANNEL_SERVER_USER_SEND_QUEUE_BYTES",
            "Unsent bytes a dashboard may have before it is closed with 1013.",
            unit="bytes",
            ge=64 * 1024,
        ),
    ] = 1024 * 1024
    webhook_max_body_bytes: Annotated[
        int,
        field(
            "CHANNEL_SERVER_WEBHOOK_MAX_BODY_BYTES",
            "Largest body of a webhook call; a larger one is answered 413.",
            unit="bytes",
            ge=1024,
        ),
    ] = 10 * 1024 * 1024
    webhook_reply_timeout: Annotated[
        float,
        field(
            "CHANNEL_SERVER_WEBHOOK_REPLY_TIMEOUT",
            "How long a webhook call with `after_completion` waits for its run before it is"
            " answered 504; the run goes on.",
            unit="s",
            gt=0,
        ),
    ] = 300.0
    drain_window: Annotated[
        float,
        field(
            "CHANNEL_SERVER_DRAIN_WINDOW",
            "Time over which open sockets are closed at shutdown, so that not all come back at"
            " once.",
            unit="s",
            ge=0,
            le=15,
        ),
    ] = 5.0

    database_pool_size: Annotated[
        int,
        field("CHANNEL_SERVER_DATABASE_POOL_SIZE", "Connections to the database.", ge=2, le=1000),
    ] = 10
    database_statement_timeout: Annotated[
        float,
        field(
            "CHANNEL_SERVER_DATABASE_STATEMENT_TIMEOUT",
            "Longest run time of one statement; past it the event is refused as retryable.",
            unit="s",
            gt=0,
        ),
    ] = 15.0
    database_acquire_timeout: Annotated[
        float,
        field(
            "CHANNEL_SERVER_DATABASE_ACQUIRE_TIMEOUT",
            "Longest wait for a free connection of the pool.",
            unit="s",
            gt=0,
        ),
    ] = 5.0
    database_patience: Annotated[
        float,
        field(
            "CHANNEL_SERVER_DATABASE_PATIENCE",
            "How long an event of a worker is tried again while the database is away, before it is"
            " refused as retryable.",
            unit="s",
            ge=0,
        ),
    ] = 3.0
    log_patience: Annotated[
        float,
        field(
            "CHANNEL_SERVER_LOG_PATIENCE",
            "How long log lines are tried again while the database is away, before they are"
            " acknowledged, dropped and counted; keep it under the 30 s of the workers.",
            unit="s",
            ge=0,
            le=25,
        ),
    ] = 20.0

    run_timeout: Annotated[
        float,
        field(
            "CHANNEL_SERVER_RUN_TIMEOUT",
            "Run time given to a run whose project sets no `run_timeout_ms`.",
            unit="s",
            gt=0,
        ),
    ] = 300.0
    run_grace: Annotated[
        float,
        field(
            "CHANNEL_SERVER_RUN_GRACE",
            "Time past its timeout after which an unfinished run counts as lost.",
            unit="s",
            ge=0,
        ),
    ] = 60.0
    run_token_extra: Annotated[
        float,
        field(
            "CHANNEL_SERVER_RUN_TOKEN_EXTRA",
            "How long a run token outlives its run's timeout and grace, so that a worker can"
            " re-join after an outage.",
            unit="s",
            ge=0,
        ),
    ] = 86400.0
    unheard_claim_after: Annotated[
        float,
        field(
            "CHANNEL_SERVER_UNHEARD_CLAIM_AFTER",
            "Time within which a worker must join a run that it claimed; then the run is available"
            " again.",
            unit="s",
            gt=0,
        ),
    ] = 10.0
    lease_check_interval: Annotated[
        float,
        field(
            "CHANNEL_SERVER_LEASE_CHECK_INTERVAL",
            "Time between two looks for unheard claims.",
            unit="s",
            gt=0,
        ),
    ] = 2.0
    janitor_interval: Annotated[
        float,
        field(
            "CHANNEL_SERVER_JANITOR_INTERVAL",
            "Time between two looks for lost runs and for steps left open.",
            unit="s",
            gt=0,
        ),
    ] = 30.0
    janitor_batch: Annotated[
        int,
        field("CHANNEL_SERVER_JANITOR_BATCH", "Runs marked lost per statement.", ge=1, le=10000),
    ] = 100
    work_available_interval: Annotated[
        float,
        field(
            "CHANNEL_SERVER_WORK_AVAILABLE_INTERVAL",
            "Shortest time between two `work-available` pushes to one worker.",
            unit="s",
            gt=0,
        ),
    ] = 0.5
    queue_recheck: Annotated[
        float,
        field(
            "CHANNEL_SERVER_QUEUE_RECHECK",
            "How long an empty queue is believed empty when no event says otherwise.",
            unit="s",
            gt=0,
        ),
    ] = 5.0
    late_completion: Annotated[
        LatePolicyName,
        field(
            "CHANNEL_SERVER_LATE_COMPLETION",
            "What happens when a worker finishes a run that was given up as lost: `accept` applies"
            " it once, `acknowledge` answers `too_late`, `reject` refuses it.",
        ),
    ] = "accept"
    state_machine: Annotated[
        Literal["enforce", "observe"],
        field(
            "CHANNEL_SERVER_STATE_MACHINE",
            "`enforce` refuses transitions outside the lifecycle; `observe` only logs and counts"
            " them while a deployment migrates.",
        ),
    ] = "enforce"

    log_format: Annotated[
        Literal["console", "json"],
        field("CHANNEL_SERVER_LOG_FORMAT", "Log lines for people or for programs."),
    ] = "console"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        field("CHANNEL_SERVER_LOG_LEVEL", "Lowest level that is logged."),
    ] = "info"

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> "Settings":
        """Read the environment, let `overrides` win, and check the lot.

        Args:
            environ: variables to read; default `os.environ`. Empty values count as absent.
            overrides: values by field name, already typed (command-line options).

        Raises:
            ConfigError: one or more settings are missing or wrong; it lists all of them.
        """
        values, errors = read_fields(cls, os.environ if environ is None else environ, overrides)
        if errors:
            raise ConfigError(errors)
        settings = cls(**values)
        settings.check()
        return settings

    def check(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigError: with every problem found, not only the first.
        """
        errors = [
            *_field_errors(self),
            *self.wire_problems(),
            *byte_rate_problems(
                "CHANNEL_SERVER_RATE_USER_BYTES",
                self.rate_user_bytes,
                self.user_max_frame_bytes,
                USER_MESSAGE_DEADLINE,
            ),
            *byte_rate_problems(
                "CHANNEL_SERVER_RATE_WORKER_BYTES",
                self.rate_worker_bytes,
                self.worker_max_frame_bytes,
                WORKER_MESSAGE_DEADLINE,
            ),
            *secret_problems(
                database_url=self.database_url,
                worker_secret=self.worker_secret,
                private_key=self.worker_runs_private_key,
                user_secret=self.user_secret,
                credentials_key=self.credentials_key,
            ),
            *self.previous_problems(
                {
                    "WORKER_SECRET_PREVIOUS": self.worker_secret,
                    "WORKER_RUNS_PRIVATE_KEY_PREVIOUS": self.worker_runs_private_key,
                    "CHANNEL_SERVER_USER_SECRET_PREVIOUS": self.user_secret,
                    "CHANNEL_SERVER_CREDENTIALS_KEY_PREVIOUS": self.credentials_key,
                }
            ),
        ]
        if errors:
            raise ConfigError(errors)

    def private_key_pem(self) -> bytes:
        """The RSA private key as PEM bytes."""
        return base64.b64decode(self.worker_runs_private_key)

    def user_key(self) -> bytes:
        """The key of dashboard tokens: `user_secret`, or one derived from the worker secret."""
        return self.user_secret.encode() or derive(self.worker_secret, USER_TOKENS)

    def credential_key(self) -> bytes:
        """The 32 bytes that encrypt credentials: configured, or derived from the worker secret."""
        if self.credentials_key:
            return base64.b64decode(self.credentials_key)
        return derive(self.worker_secret, CREDENTIALS)


class ConfigError(Exception):
    """Settings are missing or wrong.

    Attributes:
        problems: one sentence each.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(self.problems)


def settings_table() -> str:
    """The configuration reference as a Markdown table, one row per setting."""
    return describe_fields(Settings)


def _field_errors(settings: Settings) -> list[str]:
    problems: list[str] = []
    for name, hint in hints_of(Settings).items():
        try:
            parse(hint, getattr(settings, name))
        except SettingError as error:
            problems.append(str(error))
    return problems


def environment_names() -> tuple[str, ...]:
    """The environment variables that are read, in the order of the table."""
    return tuple(hint.__metadata__[0].env for hint in hints_of(Settings).values())
