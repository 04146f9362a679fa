"""The view of one run: nodes light up, the log follows, the data and the history are there."""

import re

import pytest
from playwright.async_api import expect

from tests.dashboard.stage import Stage
from tests.dashboard.visitor import Visitor

pytestmark = pytest.mark.browser


async def test_a_run_is_seen_while_it_happens(stage: Stage, visitor: Visitor) -> None:
    worker = await stage.worker()
    work = await worker.take()
    page = await visitor.open(f"/runs/{work.id}")
    head = page.get_by_role("region", name="Summary")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    await expect(head).to_contain_text("Claimed")

    await work.start()
    await expect(head).to_contain_text("Running")
    step = await work.step("check")
    await expect(page.get_by_role("button", name=re.compile("^Check.*Running"))).to_have_count(2)
    await work.log("the first line", step=step)
    await expect(page.locator(".log-line")).to_contain_text(["the first line"])
    await work.done(step)
    node = page.locator("svg .node.good")
    await expect(node).to_contain_text("Check")
    failing = await work.step("price")
    await work.log("no quantity at all", level="error", step=failing)
    await work.done(failing, reason="fail", error_type="JobError", error_message="no quantity")
    await work.complete(reason="fail", error_type="JobError", error_message="no quantity")

    await expect(head).to_contain_text("Failed")
    await expect(head).to_contain_text("A step threw an error in Price")
    await expect(page.locator(".log-line")).to_have_count(2)
    await expect(page.locator(".edge.taken")).to_have_count(2)


async def test_a_step_narrows_the_log_and_shows_its_data(stage: Stage, visitor: Visitor) -> None:
    work = await (await stage.worker("hand-2")).take()
    await work.walk("check", "price")
    page = await visitor.open(f"/runs/{work.id}")
    await expect(page.locator(".log-line")).to_have_count(2)
    await page.locator(".gantt-row").get_by_text("Price").click()
    await expect(page.locator(".log-line")).to_have_text([re.compile("price is at work")])
    await expect(page).to_have_url(re.compile("step="))
    await page.get_by_role("tab", name="Data").click()
    await expect(page.get_by_role("group", name="Body")).to_contain_text("n: 1")
    await page.reload()
    await expect(page.get_by_role("tab", name="Data")).to_have_attribute("aria-selected", "true")
    await page.get_by_role("button", name="Input of the run").click()
    await expect(page.get_by_role("group", name="Body")).to_contain_text("quantity: 3")


async def test_what_was_missing_or_repeated_is_in_the_history(
    stage: Stage, visitor: Visitor
) -> None:
    work = await (await stage.worker("hand-3")).take()
    await work.complete()
    page = await visitor.open(f"/runs/{work.id}?tab=history")
    events = page.locator(".event")
    await expect(events.first).to_contain_text("created")
    await expect(page.locator(".history")).to_contain_text(re.compile("never came|Missing"))


async def test_the_log_is_searched_by_level_and_text_and_jumps_to_errors(
    stage: Stage, visitor: Visitor
) -> None:
    work = await (await stage.worker("hand-4")).take()
    await work.start()
    for number in range(60):
        await work.log(f"line {number}", level="error" if number == 40 else "info")
    page = await visitor.open(f"/runs/{work.id}")
    view = page.get_by_role("region", name="Lines of the log")
    await expect(view.get_by_text("line 59")).to_be_in_viewport()
    await view.press("e")
    await expect(page.get_by_role("region", name="The chosen line")).to_contain_text("line 40")
    await page.get_by_label("Level").select_option("error")
    await expect(page.locator(".log-line")).to_have_count(1)
    await page.get_by_label("Level").select_option("")
    await page.get_by_label("Search in this log").fill("line 5")
    await expect(page.locator(".log-line")).to_have_count(11)
    await work.log("line 5 once more")
    await expect(page.locator(".log-line")).to_have_count(12)


async def test_a_viewer_cannot_act_and_an_operator_cancels(stage: Stage, visitor: Visitor) -> None:
    run_id = await stage.enqueue()
    watching = await visitor.open(f"/runs/{run_id}")
    await expect(watching.get_by_role("region", name="Summary")).to_contain_text("Queued")
    await expect(watching.get_by_role("button", name="Cancel")).to_have_count(0)
    acting = await visitor.open(f"/runs/{run_id}", role="operator")
    await acting.get_by_role("button", name="Cancel").click()
    await acting.get_by_role("button", name="Cancel the run").click()
    for page in (acting, watching):
        summary = page.get_by_role("region", name="Summary")
        await expect(summary).to_contain_text("Cancelled")


async def test_a_run_is_retried_from_the_step_that_is_chosen(
    stage: Stage, visitor: Visitor
) -> None:
    worker = await stage.worker("hand-6")
    work = await worker.take()
    await work.start()
    step = await work.step("check")
    clip = await work.done(step)
    failing = await work.step("price", input_dataclip_id=clip)
    await work.done(failing, reason="fail", error_type="JobError", error_message="no quantity")
    await work.complete(reason="fail", error_type="JobError", error_message="no quantity")
    page = await visitor.open(f"/runs/{work.id}?step={failing}", role="operator")
    await page.get_by_role("button", name="Retry from Price").click()
    await page.get_by_role("button", name="Retry", exact=True).click()
    await expect(page).not_to_have_url(re.compile(work.id))
    await expect(page.get_by_role("region", name="Summary")).to_contain_text("Queued")
    again = await worker.claim()
    assert page.url == f"{stage.url}/runs/{again.id}"
