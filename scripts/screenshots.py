"""Takes the pictures of the dashboard that the documentation shows.

    python -m scripts.screenshots [docs/images]

Starts a server with the demo's project and something of everything, and looks at it with Chromium.
"""

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Page, expect

import migrations
from schema.embedded import EmbeddedPostgres
from tests.dashboard.chromium import running
from tests.dashboard.scenery import furnish
from tests.dashboard.stage import QUIET, YEAR, Stage
from tests.dashboard.visitor import Visitor, is_live
from tests.handlers.bench import settings

ROOT = Path(__file__).parents[1]
RUNS = 40
BAR = ".overview-grid .chart canvas"


async def main(folder: Path) -> None:
    """Start everything, take all pictures, end everything."""
    with tempfile.TemporaryDirectory() as data:
        postgres = EmbeddedPostgres(Path(data) / "postgres")
        url = await asyncio.to_thread(postgres.start)
        try:
            await migrations.up(url)
            await take_all(url, folder)
        finally:
            await asyncio.to_thread(postgres.stop)


async def take_all(database_url: str, folder: Path) -> None:
    """Take the pictures of a server on an empty database."""
    stage = Stage(settings(database_url, **QUIET))
    await stage.start()
    try:
        scenery = await furnish(stage)
        for at in range(RUNS):
            work = await scenery.worker.take()
            await work.walk(*("check", "price", "deliver")[: 1 + at % 3])
        async with running() as browser:
            visitor = Visitor(browser, stage)
            failed = f"/runs/{scenery.failed}"
            await take(visitor, folder / "overview.png", "/", BAR)
            await take(visitor, folder / "runs.png", "/runs", "tr[data-id]")
            await take(visitor, folder / "run.png", failed, ".graph svg")
            await take(visitor, folder / "run-dark.png", failed, ".graph svg", color_scheme="dark")
            narrow: dict[str, Any] = {"viewport": {"width": 390, "height": 780}}
            await take(visitor, folder / "overview-narrow.png", "/", BAR, **narrow)
            path = f"/pipelines?year={YEAR}"
            await take(visitor, folder / "pipelines.png", path, ".badge-button", diagnose)
            await take(visitor, folder / "health.png", "/health", ".verdict")
            await visitor.close()
    finally:
        await stage.stop()


async def diagnose(page: Page) -> None:
    """Open the diagnostic of a failure."""
    await page.locator(".badge-button").first.focus()
    await expect(page.locator(".diagnostic-panel")).to_be_visible()


async def take(
    visitor: Visitor, file: Path, path: str, ready: str, act: Any = None, **options: Any
) -> None:
    """Take the picture of one view once it is complete."""
    values: dict[str, Any] = {
        "viewport": {"width": 1280, "height": 860},
        **options,
    }
    page = await visitor.open(path, role="operator", **values)
    await expect(page.locator(ready).first).to_be_visible()
    await is_live(page)
    if act is not None:
        await act(page)
    await page.evaluate("document.fonts.ready")
    picture = await page.screenshot(path=file, animations="disabled")
    print(f"{file}: {len(picture) // 1024} kB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "docs" / "images")
    asyncio.run(main(parser.parse_args().folder))
