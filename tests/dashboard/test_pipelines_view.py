"""Pipelines: units 3 and 11 in the browser, uploads, totals."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, Route, expect

from handlers.emissions.service import seed
from tests.dashboard.stage import SAMPLE, YEAR, Stage
from tests.dashboard.visitor import Visitor, slow_network
from tests.handlers.pipelines_bench import Bench

pytestmark = pytest.mark.browser

PATH = f"/pipelines?year={YEAR}"
ENERGY: dict[str, Any] = {"target": "data", "module": 3}
BAD = b"unit_institutional_id,name\nU-100,Natural gas\n"
FAILED = "Last recalculation failed"


@pytest_asyncio.fixture(scope="module", autouse=True)
async def sample(stage: Stage) -> None:
    """The totals of the sample are there."""
    await seed(stage.app.gateway.engine.pool, SAMPLE)


async def ended(stage: Stage, pipeline_id: str) -> None:
    await Bench(stage.app).ended(pipeline_id)


@asynccontextmanager
async def held(stage: Stage) -> AsyncGenerator[None]:
    """No emission can be written, so a recalculation waits until the end of the block."""
    async with stage.app.gateway.engine.pool.acquire() as connection, connection.transaction():
        await connection.execute("LOCK TABLE data_entry_emissions IN ACCESS EXCLUSIVE MODE")
        yield


def card(page: Page, module: int = 3) -> Locator:
    return page.locator(f"#module-{module}")


async def fail(stage: Stage) -> str:
    """A pipeline of the energy module that fails; the next good one is to be waited for."""
    made = await stage.upload("bad.csv", BAD, **ENERGY)
    await ended(stage, made)
    return made


@pytest_asyncio.fixture
async def failed(stage: Stage) -> AsyncGenerator[str]:
    """The id of a pipeline that failed; afterwards another one has succeeded."""
    yield await fail(stage)
    await ended(stage, await stage.upload("data_energy.csv", **ENERGY))


async def test_totals_per_unit_and_scope_are_a_chart_and_a_table(visitor: Visitor) -> None:
    page = await visitor.open(PATH)
    await expect(card(page)).to_contain_text("524 kg")
    await expect(card(page)).to_contain_text("5 entries")
    rows = page.locator(".totals tbody tr, .totals tfoot tr")
    assert [re.sub(r"\s+", " ", text) for text in await rows.all_inner_texts()] == [
        "U-100 Laboratory of fluids 400.0 350.0 225.0 625.0 0.0 350.0 975.0",
        "U-200 Laboratory of glass 123.5 0.0 56.0 179.5 0.0 0.0 179.5",
        "All units 523.5 350.0 281.0 804.5 0.0 350.0 1 154.5",
    ]
    bars = page.locator(".bar-row")
    assert await bars.count() == 2
    style = "nodes => nodes.map(node => parseFloat(node.style.width))"
    first, second = await bars.locator("i.scope-1").evaluate_all(style)
    assert first / second == pytest.approx(625 / 179.5, rel=0.01)
    label = await page.locator("figure.bars").get_attribute("aria-label")
    assert label == "Totals per unit and scope; the largest is U-100 with 975 kg."


async def test_u11_one_request_asks_for_all_modules_and_no_answer_names_a_current_pipeline(
    visitor: Visitor,
) -> None:
    page = await visitor.page()
    bodies: list[str] = []

    async def keep(route: Route) -> None:
        answer = await route.fetch()
        bodies.append(await answer.text())
        await route.fulfill(response=answer)

    await page.route("**/api/**", keep)
    await page.goto(f"{visitor.url}{PATH}#token={visitor.token()}")
    await expect(card(page, 8)).to_contain_text("Up to date")
    asked = [url for url in visitor.requests if "/api/pipelines/active" in url]
    assert [url.partition("?")[2] for url in asked] == [f"year={YEAR}&modules=3%2C5%2C8"]
    assert bodies
    assert not any("current_pipeline_id" in body for body in bodies)


async def test_u11_a_card_follows_its_pipeline_step_by_step_and_is_calm_after_it(
    visitor: Visitor, stage: Stage
) -> None:
    page = await visitor.open(PATH)
    badge, told = card(page).locator(".badge-button"), card(page).locator("[aria-live=polite]")
    await expect(told).to_have_text("Buildings: up to date")
    async with held(stage):
        await stage.upload("data_energy.csv", **ENERGY)
        await expect(badge).to_have_text("Recalculating · step 1/3 · reading the file")
    await expect(told).to_have_text("Buildings: up to date")
    async with held(stage):
        made = await stage.recalculate(ENERGY["module"])
        await expect(badge).to_have_text("Recalculating · step 2/3 · emissions")
        await expect(told).to_have_text("Buildings: Recalculating · step 2/3 · emissions")
        await badge.hover()
        await expect(page.locator(".diagnostic-head code")).to_have_text(made)
        await expect(page.locator(".job.info")).to_contain_text("_recalc · RUNNING")
    await expect(told).to_have_text("Buildings: up to date")
    await expect(badge).to_have_count(0)


async def test_u11_a_failure_survives_a_reload_and_the_message_is_red(
    visitor: Visitor, failed: str
) -> None:
    page = await visitor.open(PATH)
    for _ in range(2):
        badge = card(page).locator(".badge-button")
        await expect(badge).to_have_text(FAILED)
        await badge.focus()
        await expect(page.locator(".diagnostic-head code")).to_have_text(failed)
        message = page.locator(".job.bad .job-message")
        await expect(message).to_contain_text("quantity")
        color = await message.evaluate("node => getComputedStyle(node).color")
        red, green, blue = map(int, re.findall(r"\d+", color))
        assert red > 3 * max(green, blue), color
        await page.reload()


async def test_u3_focus_opens_the_diagnostic_blur_closes_it_and_hover_works_as_before(
    visitor: Visitor, failed: str
) -> None:
    page = await visitor.open(PATH)
    badge, panel = card(page).locator(".badge-button"), page.locator(".diagnostic-panel")
    await expect(badge).to_have_text(FAILED)
    await expect(panel).to_have_count(0)
    await badge.focus()
    await expect(panel).to_contain_text("Pipeline")
    await expect(panel).to_contain_text(failed)
    await page.locator("#main").focus()
    await expect(panel).to_have_count(0)
    await badge.hover()
    await expect(panel).to_contain_text(failed)
    await panel.locator(".diagnostic-head").hover()
    await expect(panel).to_be_visible()
    await page.mouse.move(1, 1)
    await expect(panel).to_have_count(0)


async def test_u3_tab_reaches_the_copy_button_which_copies_the_id_and_escape_closes(
    visitor: Visitor, failed: str
) -> None:
    page = await visitor.open(PATH, permissions=["clipboard-read", "clipboard-write"])
    badge, panel = card(page).locator(".badge-button"), page.locator(".diagnostic-panel")
    await badge.focus()
    described = await badge.get_attribute("aria-describedby")
    await expect(page.locator(f"#{described}")).to_contain_text(failed)
    await page.keyboard.press("Tab")
    copy = panel.get_by_role("button", name="Copy the id of the pipeline")
    await expect(copy).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Copied to the clipboard.").first).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == failed
    await expect(panel).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(panel).to_have_count(0)
    await expect(badge).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(panel).to_be_visible()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await expect(panel).to_have_count(0)


async def test_u3_who_looks_at_the_diagnostic_goes_on_looking_when_its_pipeline_fails(
    visitor: Visitor, stage: Stage
) -> None:
    page = await visitor.open(PATH)
    badge, panel = card(page).locator(".badge-button"), page.locator(".diagnostic-panel")
    async with held(stage):
        made = await stage.recalculate(ENERGY["module"])
        await expect(badge).to_contain_text("step 2/3")
        await badge.focus()
        await expect(panel).to_contain_text("RUNNING")
        await (await stage.http()).post(f"/api/pipelines/{made}/abort")
        await expect(badge).to_have_text(FAILED)
        await expect(panel).to_contain_text("Aborted by ana")
        await expect(badge).to_be_focused()
    await ended(stage, await stage.upload("data_energy.csv", **ENERGY))


async def test_u3_a_snapshot_that_fails_keeps_the_badge(visitor: Visitor, stage: Stage) -> None:
    page = await visitor.open(PATH)
    visitor.expect("503")

    async def broken(route: Route) -> None:
        await route.fulfill(status=503, json={"code": "unavailable", "detail": "not now"})

    await page.route(re.compile(r"/api/pipelines/[0-9a-f-]{36}$"), broken)
    async with held(stage):
        await stage.recalculate(ENERGY["module"])
        await expect(card(page).locator(".badge-button")).to_contain_text("step 2/3")
    await expect(card(page)).to_contain_text("Up to date")


async def test_an_upload_shows_how_far_it_is_and_its_totals_appear_by_themselves(
    visitor: Visitor, stage: Stage
) -> None:
    page = await visitor.open(PATH, role="operator")
    await card(page).get_by_role("button", name="Upload for Buildings").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("unit_institutional_id")
    more = (SAMPLE / "data_energy.csv").read_text() + "U-200,Heating oil,kWh,100,,\n"
    await slow_network(page, up=200_000)
    file = {"name": "more.csv", "mimeType": "text/csv", "buffer": more.encode() + b"\n" * 100_000}
    await dialog.locator("input[type=file]").set_input_files([file])  # pyright: ignore[reportArgumentType] (a FilePayload)
    await dialog.get_by_role("button", name="Upload").click()
    await expect(dialog.locator("progress")).to_be_visible()
    await expect(dialog).to_have_count(0)
    await expect(card(page)).to_contain_text("6 entries")
    await expect(page.locator(".totals tfoot")).to_contain_text("555.5")
    await ended(stage, await stage.upload("data_energy.csv", **ENERGY))
    await expect(page.locator(".totals tfoot")).to_contain_text("523.5")


async def test_a_file_that_cannot_be_used_is_explained_and_can_be_retried(
    visitor: Visitor, stage: Stage
) -> None:
    page = await visitor.open(PATH, role="operator")
    await page.get_by_role("button", name="Upload a file").click()
    dialog = page.get_by_role("dialog")
    file = {"name": "bad.csv", "mimeType": "text/csv", "buffer": BAD}
    await dialog.locator("input[type=file]").set_input_files([file])  # pyright: ignore[reportArgumentType] (a FilePayload)
    await dialog.get_by_role("button", name="Upload").click()
    await expect(card(page).locator(".badge-button")).to_have_text(FAILED)
    await expect(card(page).locator(".module-error")).to_contain_text("quantity")
    await expect(card(page)).to_contain_text("524 kg")
    await card(page).get_by_role("button", name="Retry").click()
    await expect(card(page)).to_contain_text("Up to date")


async def test_viewers_look_and_do_not_act(visitor: Visitor) -> None:
    page = await visitor.open(PATH, role="viewer")
    await expect(card(page)).to_contain_text("Up to date")
    await expect(page.get_by_role("button", name=re.compile("Upload|Retry|Recalc"))).to_have_count(
        0
    )


async def test_units_of_other_tenants_are_not_shown(visitor: Visitor) -> None:
    page = await visitor.open(PATH, tenants=("U-200",))
    await expect(page.locator(".totals tbody")).to_contain_text("U-200")
    await expect(page.locator("main")).not_to_contain_text("U-100")


async def test_a_token_that_is_not_for_pipelines_is_explained(visitor: Visitor) -> None:
    visitor.expect("403")
    page = await visitor.open(PATH, tenants=None)
    await expect(page.locator("main")).to_contain_text("This token is not for pipelines")


async def test_without_a_year_the_latest_with_totals_is_shown_and_is_in_the_address(
    visitor: Visitor,
) -> None:
    page = await visitor.open("/pipelines")
    await expect(page).to_have_url(re.compile(rf"\?year={YEAR}$"))
    await expect(card(page)).to_contain_text("524 kg")
