"""What the page says about its connection is true, and nothing is missing after a break."""

import re

from playwright.async_api import expect

from tests.dashboard.marks import IN_BROWSER
from tests.dashboard.stage import Stage
from tests.dashboard.visitor import Visitor, violations

pytestmark = IN_BROWSER


async def test_what_happened_during_a_restart_is_on_the_page_afterwards(
    stage: Stage, visitor: Visitor
) -> None:
    visitor.expect("WebSocket connection|ERR_CONNECTION_REFUSED|Failed to load resource")
    first = await stage.enqueue()
    page = await visitor.open("/runs?follow=1")
    chip = page.locator(".connection")
    await expect(chip).to_have_text("Live")
    await expect(page.locator(f"tr[data-id='{first}']")).to_be_visible()
    await stage.halt()
    await expect(chip).to_contain_text("Offline since")
    await stage.resume()
    missed = [await stage.enqueue() for _ in range(3)]
    await expect(chip).to_have_text("Live")
    for run_id in missed:
        await expect(page.locator(f"tr[data-id='{run_id}']")).to_have_count(1)


async def test_a_token_that_ends_is_asked_for_again_and_the_place_is_kept(
    stage: Stage, visitor: Visitor
) -> None:
    visitor.expect("401|WebSocket connection")
    page = await visitor.page()
    await page.clock.install()
    await page.goto(f"{stage.url}/runs?state=available,started#token={stage.token()}")
    await expect(page.locator(".connection")).to_have_text("Live")
    await page.clock.fast_forward("01:00:00")
    dialog = page.get_by_role("dialog", name="Your session has ended")
    await expect(dialog).to_be_visible()
    await expect(page.locator(".connection")).to_have_text("Signed out")
    assert await violations(page) == []
    await dialog.get_by_label("Token").fill(stage.token(lifetime=8 * 3600.0))
    await page.keyboard.press("Enter")
    await expect(dialog).to_have_count(0)
    await expect(page.locator(".connection")).to_have_text("Live")
    await expect(page).to_have_url(re.compile(r"/runs\?state=available"))


async def test_the_token_leaves_the_address_bar_and_is_in_no_request(
    stage: Stage, visitor: Visitor
) -> None:
    page = await visitor.open("/runs")
    await expect(page.locator(".connection")).to_have_text("Live")
    assert page.url == f"{stage.url}/runs"
    assert not [url for url in visitor.requests if "eyJ" in url.partition("#")[0]]
    await page.reload()
    await expect(page.locator(".connection")).to_have_text("Live")


async def test_without_a_token_the_page_asks_for_one(stage: Stage, visitor: Visitor) -> None:
    page = await visitor.page()
    await page.goto(f"{stage.url}/runs")
    await page.get_by_role("dialog", name="Sign in").get_by_label("Token").fill(stage.token())
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator(".connection")).to_have_text("Live")
