"""The overview: what is going on, without a reload."""

import pytest
from playwright.async_api import expect

from tests.dashboard.stage import Stage
from tests.dashboard.visitor import Visitor

pytestmark = pytest.mark.browser


async def test_workers_and_runs_come_and_go_on_the_overview(stage: Stage, visitor: Visitor) -> None:
    page = await visitor.open("/")
    workers = page.get_by_role("region", name="Workers")
    await expect(workers).to_contain_text("No worker is connected")
    worker = await stage.worker("hand-seen", version="3.2.1")
    await expect(workers).to_contain_text("hand-seen")
    await expect(workers).to_contain_text("3.2.1")
    work = await worker.take()
    await work.start()
    latest = page.get_by_role("region", name="Latest runs")
    await expect(latest.locator("tr[data-id]").first).to_contain_text("Running")
    await expect(workers).to_contain_text("1 of 5")
    await work.complete(reason="fail", error_type="JobError", error_message="no luck")
    await expect(latest.locator("tr[data-id]").first).to_contain_text("no luck")
    attention = page.get_by_role("region", name="Needs attention")
    await expect(attention.get_by_role("link").first).to_contain_text("Failed")
    await attention.get_by_role("link").first.click()
    await expect(page).to_have_url(f"{stage.url}/runs/{work.id}")


async def test_a_state_of_the_overview_leads_to_its_runs(stage: Stage, visitor: Visitor) -> None:
    run_id = await stage.enqueue()
    page = await visitor.open("/")
    await expect(page.locator(".chart canvas")).to_be_visible()
    await page.get_by_role("link", name="Queued", exact=True).click()
    await expect(page.locator(f"tr[data-id='{run_id}']")).to_be_visible()
    await expect(page).to_have_url(f"{stage.url}/runs?state=available")
