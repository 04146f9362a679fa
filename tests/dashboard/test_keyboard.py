"""The page with the keyboard alone."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.dashboard.stage import Stage
from tests.dashboard.visitor import Visitor

pytestmark = pytest.mark.browser


async def focused(page: Page) -> str:
    """What has the focus, by the name that is read out or its text."""
    return await page.evaluate(
        "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent)"
        ".trim()"
    )


async def test_the_first_tab_stop_skips_to_the_content(visitor: Visitor) -> None:
    page = await visitor.open("/runs")
    await page.keyboard.press("Tab")
    assert await focused(page) == "Skip to the content"
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "main"


async def test_a_walk_from_the_list_into_a_run_and_back_needs_no_mouse(
    visitor: Visitor, stage: Stage
) -> None:
    worker = await stage.worker()
    for _ in range(2):
        await (await worker.take()).walk("check")
    page = await visitor.open("/")
    await page.keyboard.press("g")
    await page.keyboard.press("r")
    await expect(page).to_have_url(re.compile("/runs$"))
    rows = page.locator("tr[data-id]")
    await expect(rows).to_have_count(2)
    for _ in range(40):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.matches('tr[data-id]')"):
            break
    await expect(rows.first).to_be_focused()
    await page.keyboard.press("j")
    await expect(rows.nth(1)).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile("/runs/[0-9a-f-]{36}"))
    await expect(page.locator(".run-title")).to_contain_text("Success")
    await page.go_back()
    await expect(rows).to_have_count(2)
    await page.keyboard.press("/")
    await expect(page.locator("[data-search]")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.locator("[data-search]")).not_to_be_focused()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_every_stop_of_the_tab_key_can_be_seen_and_has_a_name(visitor: Visitor) -> None:
    page = await visitor.open("/pipelines?year=2025", role="operator")
    await expect(page.locator("#module-3")).to_be_visible()
    names: list[str] = []
    for _ in range(30):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement === document.body"):
            break
        name = await focused(page)
        assert name or await page.evaluate("document.activeElement.labels?.length > 0")
        ring = "getComputedStyle(document.activeElement).outlineStyle"
        assert await page.evaluate(ring) != "none", name
        names.append(name)
    assert "Upload a file" in names
    assert len(names) > 12
