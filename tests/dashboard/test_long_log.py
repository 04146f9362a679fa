"""A hundred thousand lines of log: there, complete, and never in the way."""

from typing import Any

import msgspec
import pytest
from playwright.async_api import Browser, expect

from tests.dashboard.stage import Stage
from tests.dashboard.visitor import Visitor

pytestmark = pytest.mark.browser

LINES = 100_000
LONGEST = 100
"""Milliseconds for which the page may take no input."""

FILL = """WITH run AS (UPDATE runs SET version = version + $2::int WHERE id = $1 RETURNING id)
INSERT INTO log_lines (run_id, level, source, message, timestamp, version)
SELECT $1, CASE WHEN n % 1000 = 0 THEN 'error' ELSE 'info' END, 'JOB',
  to_jsonb('line ' || n || ' says ' || repeat('x', n % 60)), now() + n * interval '1 microsecond',
  (SELECT version FROM runs WHERE id = $1) + n
FROM generate_series(1, $2::int) AS n"""

TASKS = {"RunTask", "ThreadControllerImpl::RunTask"}


def longest_tasks(trace: bytes) -> list[float]:
    """Milliseconds of processor that the main thread of the page spent on its longest tasks.

    Not of the clock: other programs of the machine are not the page's fault.
    """
    events: list[Any] = msgspec.json.decode(trace)["traceEvents"]
    named = [each for each in events if each["name"] == "thread_name"]
    mains = {
        (each["pid"], each["tid"]) for each in named if each["args"]["name"] == "CrRendererMain"
    }
    spent = [
        each["tdur"] / 1000
        for each in events
        if each["name"] in TASKS and (each["pid"], each["tid"]) in mains and "tdur" in each
    ]
    assert spent, "the trace has no tasks"
    return sorted(spent)[-5:]


async def fill(stage: Stage, run_id: str) -> None:
    """Add the lines; what foreign keys and triggers would check of each is known to hold."""
    async with stage.app.gateway.engine.pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(FILL, run_id, LINES)


async def test_100_000_lines_are_loaded_searched_and_scrolled_without_a_stutter(
    browser: Browser, visitor: Visitor, stage: Stage
) -> None:
    work = await (await stage.worker()).take()
    await work.walk("check")
    await fill(stage, work.id)
    page = await visitor.open("/runs")
    await expect(page.locator("tr[data-id]").first).to_be_visible()
    await browser.start_tracing(page=page, categories=["toplevel"])
    await page.locator(f'tr[data-id="{work.id}"]').click()
    last = page.locator(".log-line", has_text=f"line {LINES} says")
    await expect(last).to_be_visible(timeout=60_000)
    await expect(page.get_by_role("button", name="100 errors")).to_be_visible()
    assert await page.locator(".log-line").count() < 200
    await page.get_by_role("button", name="100 errors").click()
    await expect(page.locator(".log-line.chosen")).to_contain_text("line 1000 says")
    view = page.locator(".log-view")
    for part in (0, 0.3, 0.9, 0.1, 1):
        await view.evaluate("(box, part) => { box.scrollTop = box.scrollHeight * part }", part)
    await expect(last).to_be_visible()
    await page.get_by_placeholder("Search in this log").fill("line 77777 says")
    await expect(page.locator(".log-line")).to_have_count(1)
    longest = longest_tasks(await browser.stop_tracing())
    assert longest[-1] <= LONGEST, longest
