"""Cron triggers with two real server processes: one tick, one run."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from handlers.config import Settings
from schema.repo import Repo, connection
from tests.handlers.cli_bench import variables
from tests.handlers.pipelines_bench import cron_flow
from tests.handlers.process import PATIENCE, command
from tests.schema.world import World, project

LOOK = """SELECT
  (SELECT count(*) FROM pipeline_ticks WHERE schedule_key NOT LIKE 'gateway:%') AS ticks,
  (SELECT count(*) FROM pipeline_jobs WHERE job_type = 'cron_work_order') AS jobs,
  (SELECT count(*) FROM runs) AS runs,
  (SELECT count(*) FROM pipeline_jobs WHERE job_type = 'cron_work_order'
    AND result = 'SUCCESS') AS done,
  (SELECT count(DISTINCT meta ->> 'tick') FROM pipeline_jobs
    WHERE job_type = 'cron_work_order' AND result = 'SUCCESS') AS moments"""


@pytest.mark.chaos
async def test_two_server_processes_start_one_run_per_tick(
    app_settings: Settings, repo: Repo, tmp_path: Path
) -> None:
    await World.create(repo, project(workflows=[cron_flow("* * * * * *")]))
    env = variables(app_settings, 0) | {"CHANNEL_SERVER_RUN_STATISTICS_CRON": ""}
    async with (
        command("serve", folder=tmp_path, env=env) as one,
        command("serve", folder=tmp_path, env=env) as two,
        connection(app_settings.database_url) as watcher,
    ):
        for server in (one, two):
            await server.line_with("application_started")
        news: asyncio.Queue[Any] = asyncio.Queue()

        def told(*notice: Any) -> None:
            news.put_nowait(notice)

        await watcher.add_listener("channel_server", told)
        async with asyncio.timeout(PATIENCE):
            for _ in range(3):
                await news.get()
        # Both stop ticking before the rows are compared.
        for server in (one, two):
            assert await server.end(signal.SIGINT) == 0
        seen = await watcher.fetchrow(LOOK)
    assert seen is not None
    assert seen["ticks"] == seen["jobs"]
    assert seen["runs"] == seen["done"] == seen["moments"] >= 3
