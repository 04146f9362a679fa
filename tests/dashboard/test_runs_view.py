"""The list of runs: live, narrowed by its URL, never moving what one reads."""

import re

import pytest
from playwright.async_api import Page, expect

from handlers.http.api import run_bulk
from tests.dashboard.stage import Stage
from tests.dashboard.visitor import Visitor

pytestmark = pytest.mark.browser


async def rows(page: Page) -> list[str]:
    """The ids of the rows, in their order."""
    return await page.locator("tr[data-id]").evaluate_all("all => all.map(row => row.dataset.id)")


async def test_a_new_run_waits_until_one_wants_to_see_it(stage: Stage, visitor: Visitor) -> None:
    first = await stage.enqueue()
    page = await visitor.open("/runs")
    await expect(page.locator(f"tr[data-id='{first}']")).to_be_visible()
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    before = await rows(page)
    second = await stage.enqueue()
    await expect(page.get_by_role("button", name="1 new run")).to_be_visible()
    assert await rows(page) == before
    await page.keyboard.press("n")
    await expect(page.locator("tr[data-id]").first).to_have_attribute("data-id", second)
    await expect(page.locator(f"tr[data-id='{second}']")).to_be_focused()


async def test_a_row_changes_in_its_place(stage: Stage, visitor: Visitor) -> None:
    worker = await stage.worker("hand-row")
    work = await worker.take()
    page = await visitor.open("/runs")
    row = page.locator(f"tr[data-id='{work.id}']")
    await expect(row).to_contain_text("Claimed")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    await work.start()
    await expect(row).to_contain_text("Running")
    await work.complete(reason="crash", error_type="RuntimeError", error_message="x is not defined")
    await expect(row).to_contain_text("Crashed")
    await expect(row).to_contain_text("x is not defined")


async def test_the_filters_are_in_the_url_and_survive_a_reload(
    stage: Stage, visitor: Visitor
) -> None:
    worker = await stage.worker("hand-filter")
    failed = await worker.take()
    await failed.complete(reason="fail", error_type="JobError", error_message="needle in here")
    await (await worker.take()).walk("check")
    page = await visitor.open("/runs")
    await page.get_by_role("button", name=re.compile("^Failed")).click()
    await expect(page).to_have_url(re.compile("state=failed"))
    row = page.locator(f"tr[data-id='{failed.id}']")
    await expect(row).to_be_visible()
    await expect(page.locator("tr[data-id]", has_text="Success")).to_have_count(0)
    await page.keyboard.press("/")
    await page.keyboard.type("needle in")
    await expect(page).to_have_url(re.compile(r"q=needle\+in"))
    await expect(page.locator("tr[data-id]")).to_have_count(1)
    await page.reload()
    await expect(page.locator("tr[data-id]")).to_have_count(1)
    await expect(page.get_by_label("Search in errors and logs")).to_have_value("needle in")
    await page.get_by_role("button", name="Clear", exact=True).click()
    await expect(page).to_have_url(re.compile(r"/runs$"))


async def test_the_table_is_walked_with_the_keyboard(stage: Stage, visitor: Visitor) -> None:
    for _ in range(3):
        await stage.enqueue()
    page = await visitor.open("/runs")
    await expect(page.locator("tr[data-id]").nth(2)).to_be_visible()
    ids = await rows(page)
    await page.locator("tr[data-id]").first.focus()
    await page.keyboard.press("j")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("k")
    await expect(page.locator(f"tr[data-id='{ids[1]}']")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(f"/runs/{ids[1]}$"))
    await page.keyboard.press("g")
    await page.keyboard.press("r")
    await expect(page).to_have_url(re.compile("/runs$"))
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_selected_runs_are_cancelled_with_progress(stage: Stage, visitor: Visitor) -> None:
    mine = [await stage.enqueue(f'{{"id": {number}, "quantity": 1}}') for number in range(3)]
    page = await visitor.open("/runs?state=available", role="operator")
    for run_id in mine:
        await page.locator(f"tr[data-id='{run_id}'] input").check()
    bar = page.get_by_role("region", name="Selected runs")
    await expect(bar).to_contain_text("3 runs selected")
    await bar.get_by_role("button", name="Cancel runs").click()
    await page.get_by_role("button", name="Cancel them").click()
    await expect(page.locator(".toast")).to_contain_text("3 cancelled")
    for run_id in mine:
        await expect(page.locator(f"tr[data-id='{run_id}']")).to_contain_text("Cancelled")


async def test_all_that_fit_are_cancelled_also_when_one_request_does_not_take_them(
    stage: Stage, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_bulk, "MOST", 20)
    for _ in range(51):
        await stage.enqueue()
    page = await visitor.open("/runs?state=available", role="operator")
    await page.locator("thead input").check()
    await page.get_by_role("button", name=re.compile("^Select all")).click()
    bar = page.get_by_role("region", name="Selected runs")
    await bar.get_by_role("button", name="Cancel runs").click()
    await page.get_by_role("button", name="Cancel them").click()
    await expect(page.locator(".toast")).to_contain_text("51 cancelled")


async def test_the_list_goes_on_where_it_ends(stage: Stage, visitor: Visitor) -> None:
    for _ in range(55):
        await stage.enqueue()
    page = await visitor.open("/runs")
    await expect(page.locator("tr[data-id]")).to_have_count(50)
    await page.get_by_role("button", name="Show more").click()
    await expect(page.locator("tr[data-id]").nth(54)).to_be_attached()
    shown = await rows(page)
    assert len(shown) == len(set(shown))
