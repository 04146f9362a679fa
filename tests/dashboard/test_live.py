"""Nothing is silently stale: live updates, restarts, slow networks, tabs, tokens that end."""

import re
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.dashboard.stage import Stage, Worker
from tests.dashboard.visitor import Visitor, is_live, slow_network, violations

pytestmark = pytest.mark.browser

FRESH = ".runs-card tbody tr[data-id]"


@pytest_asyncio.fixture
async def worker(stage: Stage) -> Worker:
    """A worker on its own socket."""
    return await stage.worker("hand-1")


async def shown_ids(page: Page) -> list[str]:
    """The runs of the list, from the top."""
    return await page.locator(FRESH).evaluate_all("rows => rows.map(row => row.dataset.id)")


async def stored_ids(stage: Stage) -> list[str]:
    """The runs of the database, newest first."""
    rows = await stage.sql("SELECT id FROM runs ORDER BY inserted_at DESC, id DESC")
    return [str(row["id"]) for row in rows]


async def test_after_a_restart_of_the_server_nothing_is_missing_and_the_page_said_so(
    visitor: Visitor, stage: Stage, worker: Worker
) -> None:
    visitor.expect("WebSocket|ERR_CONNECTION|Failed to load")
    page = await visitor.open("/runs?follow=1")
    work = await worker.take()
    await expect(page.locator(f'tr[data-id="{work.id}"]')).to_be_visible()
    await stage.halt()
    await expect(page.locator(".connection")).to_have_attribute("data-state", "offline")
    await expect(page.locator(".connection")).to_contain_text("Offline since")
    await stage.resume()
    # While nobody was connected: three runs are new, another one goes on and ends.
    missed = [await stage.enqueue() for _ in range(3)]
    await work.walk("check", "price", "deliver")
    await is_live(page)
    row = page.locator(f'tr[data-id="{work.id}"]')
    await expect(row).to_contain_text("Success")
    for run_id in missed:
        await expect(page.locator(f'tr[data-id="{run_id}"]')).to_contain_text("Queued")
    assert await shown_ids(page) == await stored_ids(stage)


async def test_two_tabs_show_the_same_and_one_that_closes_takes_nothing_along(
    visitor: Visitor, worker: Worker
) -> None:
    first = await visitor.open("/runs")
    work = await worker.take()
    second = await first.context.new_page()
    # A token lives in its own tab, so the second one is signed in by a link too.
    await second.goto(f"{visitor.url}/runs/{work.id}#token={visitor.token()}")
    await is_live(second)
    await work.start()
    await expect(second.locator(".run-title")).to_contain_text("Running")
    await second.close()
    step = await work.step("check")
    await work.done(step)
    await work.complete()
    await first.keyboard.press("n")
    await expect(first.locator(f'tr[data-id="{work.id}"]')).to_contain_text("Success")


async def test_on_a_slow_network_the_page_says_that_it_is_connecting_and_then_is_right(
    visitor: Visitor, stage: Stage, worker: Worker
) -> None:
    page = await visitor.page()
    await slow_network(page, latency=150, down=60_000, up=30_000)
    await page.goto(f"{visitor.url}/runs?follow=1#token={visitor.token()}")
    chip = page.locator(".connection")
    await expect(chip).to_have_attribute("data-state", re.compile("connecting|behind"))
    await is_live(page)
    work = await worker.take()
    await work.walk("check")
    await expect(page.locator(f'tr[data-id="{work.id}"]')).to_contain_text("Success")


async def test_a_token_that_ends_says_so_asks_again_and_keeps_the_place(
    visitor: Visitor, worker: Worker
) -> None:
    work = await worker.take()
    path = f"/runs/{work.id}?tab=history"
    page = await visitor.page()
    await page.clock.install()
    await page.goto(f"{visitor.url}{path}#token={visitor.token()}")
    await is_live(page)
    await page.clock.fast_forward("01:00:01")
    dialog = page.get_by_role("dialog", name="Your session has ended")
    await expect(dialog).to_be_visible()
    await expect(page.locator(".connection")).to_contain_text("Signed out")
    await expect(page.locator(".run-title")).to_contain_text("Claimed")
    assert await violations(page) == []
    await page.clock.set_system_time(datetime.now(UTC))
    await dialog.get_by_role("textbox").fill(visitor.token())
    await page.keyboard.press("Enter")
    await expect(dialog).to_have_count(0)
    await is_live(page)
    await expect(page).to_have_url(visitor.url + path)
    await work.start()
    await expect(page.locator(".run-title")).to_contain_text("Running")


async def test_a_token_is_in_no_request_line_and_leaves_the_address_bar(
    visitor: Visitor,
) -> None:
    token = visitor.token()
    page = await visitor.open("/runs?state=failed", token=token)
    assert page.url == f"{visitor.url}/runs?state=failed"
    assert len(visitor.requests) > 10
    assert not [url for url in visitor.requests if token in url]
    await page.reload()
    await is_live(page)


async def test_without_a_token_the_page_asks_for_one_and_takes_a_whole_link(
    visitor: Visitor,
) -> None:
    page = await visitor.page()
    await page.goto(f"{visitor.url}/runs")
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("Sign in")
    await dialog.get_by_role("textbox").fill(f"{visitor.url}/#token={visitor.token()}")
    await dialog.get_by_role("button", name="Sign in").click()
    await is_live(page)
    await expect(page.get_by_role("heading", name="Runs", level=1)).to_be_visible()
