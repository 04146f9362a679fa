"""The dashboard in Chromium: what its first view costs, and a thousand runs a minute."""

import asyncio
import itertools
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from playwright.async_api import expect

import migrations
from benchmarks.report import Figures
from schema.embedded import EmbeddedPostgres
from tests.dashboard.chromium import running
from tests.dashboard.stage import QUIET, Stage, Worker
from tests.dashboard.visitor import Visitor, is_live
from tests.handlers.bench import settings

PER_MINUTE: Final = 1000
WORKERS: Final = 5

_PAINT: Final = """performance.getEntriesByType('paint')
  .find(entry => entry.name === 'first-contentful-paint').startTime"""


def first_view() -> Figures:
    """Load the overview: ``p50_ms`` until its figures are drawn, ``kib`` over the network."""
    return asyncio.run(_first_view())


def live_runs(seconds: float) -> Figures:
    """Show the list of runs while runs come and go: ``cpu_us`` is the page's time for one run."""
    return asyncio.run(_live_runs(seconds))


async def _first_view() -> Figures:
    async with _opened() as (stage, visitor):
        await _walk(await stage.worker())
        page = await visitor.page()
        sizes: list[float] = []
        session: Any = await page.context.new_cdp_session(page)

        def finished(done: dict[str, Any]) -> None:
            sizes.append(done["encodedDataLength"])

        session.on("Network.loadingFinished", finished)
        await session.send("Network.enable")
        await page.goto(f"{stage.url}/#token={visitor.token()}")
        await page.locator(".stat").first.wait_for()
        shown = await page.evaluate("performance.now()")
        await is_live(page)
        await expect(page.locator(".chart canvas")).to_be_visible()
        painted = await page.evaluate(_PAINT)
        return Figures(p50_ms=painted, p99_ms=shown, kib=sum(sizes) / 1024)


async def _live_runs(seconds: float) -> Figures:
    async with _opened() as (stage, visitor):
        workers = [await stage.worker(f"hand-{at}") for at in range(WORKERS)]
        page = await visitor.open("/runs?follow=1")
        await _walk(workers[0])
        await expect(page.locator("tr[data-id]")).to_have_count(1)
        session: Any = await page.context.new_cdp_session(page)
        await session.send("Performance.enable", {"timeDomain": "threadTicks"})
        before = await _busy(session)
        loop = asyncio.get_running_loop()
        began = loop.time()
        walks: list[asyncio.Task[None]] = []
        for at, worker in zip(
            range(int(seconds * PER_MINUTE / 60)), itertools.cycle(workers), strict=False
        ):
            await asyncio.sleep(max(0.0, began + at * 60 / PER_MINUTE - loop.time()))
            walks.append(asyncio.create_task(_walk(worker)))
        await asyncio.gather(*walks)
        took = loop.time() - began
        spent = await _busy(session) - before
        return Figures(rate=len(walks) / took, cpu_us=1e6 * spent / len(walks))


async def _walk(worker: Worker) -> None:
    await (await worker.take()).walk("check")


async def _busy(session: Any) -> float:
    """Seconds of processor that the main thread has spent on tasks."""
    metrics = (await session.send("Performance.getMetrics"))["metrics"]
    return next(each["value"] for each in metrics if each["name"] == "TaskDuration")


@asynccontextmanager
async def _opened() -> AsyncGenerator[tuple[Stage, Visitor]]:
    with tempfile.TemporaryDirectory() as data:
        postgres = EmbeddedPostgres(Path(data) / "postgres")
        url = await asyncio.to_thread(postgres.start)
        await migrations.up(url)
        stage = Stage(settings(url, **QUIET))
        await stage.start()
        try:
            async with running() as browser:
                visitor = Visitor(browser, stage)
                yield stage, visitor
                await visitor.close()
        finally:
            await stage.stop()
            await asyncio.to_thread(postgres.stop)
