"""The job engine of one application: how it is built, and how it runs among the other services."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib import metadata
from typing import Any

import msgspec

from channel_server.log import get_logger
from channel_server.service import Service
from handlers.config import ConfigError, Settings
from handlers.emissions.service import SERVICE, Provider, ProviderError
from handlers.jobs import cron, retention, statistics
from handlers.jobs.registry import build_registry
from pipelines import (
    Engine,
    EngineSettings,
    IngestionMethod,
    NewJob,
    Schedule,
    scope_key_dedup,
)
from pipelines.storage.connection import is_outage
from schema.repo import Repo

log = get_logger(__name__)


def engine_settings(settings: Settings) -> EngineSettings:
    """Return the engine's part of the settings."""
    return EngineSettings(
        concurrency=settings.pipelines_concurrency,
        stale_window=timedelta(seconds=settings.pipelines_stale_window),
        poll_interval=timedelta(seconds=settings.pipelines_poll_interval),
        build=metadata.version("channel-server"),
        run_jobs=settings.pipelines == "on",
    )


def build_engine(settings: Settings, repo: Repo, services: dict[str, Any]) -> Engine:
    """Return the engine of an application, not started.

    Args:
        settings: The configuration.
        repo: Where the cron triggers are read.
        services: What job handlers find in ``context.services``; may be filled later.
    """
    own = own_schedules(settings)

    async def schedules() -> Sequence[Schedule]:
        return [*own, *await cron.schedules(repo)]

    if settings.pipelines_providers:
        services[SERVICE] = read_providers(settings.pipelines_providers)
    return Engine(
        settings.database_url,
        build_registry(),
        engine_settings(settings),
        services=services,
        schedules=schedules if settings.pipelines == "on" else None,
    )


def read_providers(text: str) -> dict[str, Provider]:
    """Return the providers that a setting describes; none if it is empty.

    Raises:
        ConfigError: It does not; no value of it is repeated, for headers are secrets.
    """
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Provider])
    except (msgspec.DecodeError, ProviderError):
        name = "CHANNEL_SERVER_PIPELINES_PROVIDERS"
        raise ConfigError([f"{name} must be a JSON object of providers by name."]) from None


def own_schedules(settings: Settings) -> list[Schedule]:
    """Return the schedules of the gateway itself, from now on.

    A sweep that was missed while nothing ran is not made up for: the next one does its work.
    """
    wanted = (
        (settings.run_statistics_cron, statistics.SWEEP),
        (settings.retention_cron, retention.JOB_TYPE),
    )
    return [
        Schedule(
            key=f"gateway:{job_type}",
            cron=expression,
            since=datetime.now(UTC),
            dedup=scope_key_dedup(job_type),
            job=NewJob(
                job_type=job_type,
                scope_key="gateway",
                ingestion_method=IngestionMethod.computed,
                max_attempts=1,
            ),
        )
        for expression, job_type in wanted
        if expression
    ]


class JobEngine(Service):
    """Keeps the engine up: where it cannot start (no database, no tables) it is tried again.

    Args:
        engine: The engine; :attr:`attempted` is set after the first try, whatever became of it.
    """

    name = "job_engine"

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.attempted = asyncio.Event()
        self._engine = engine

    def passing(self, error: Exception) -> bool:
        """A database that is away comes back."""
        return is_outage(error)

    async def run(self) -> None:
        """Start the engine and hold it until :meth:`stop`."""
        try:
            await self._engine.start()
            await self._engine.started()
            self.ready()
            self.attempted.set()
            await asyncio.Event().wait()
        finally:
            self.attempted.set()
            await self._engine.stop()
