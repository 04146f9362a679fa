"""Every view, in both themes and on a narrow screen: it is there, and axe finds nothing wrong."""

from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, ViewportSize, expect

from tests.dashboard.scenery import Scenery, furnish
from tests.dashboard.stage import YEAR, Stage
from tests.dashboard.visitor import Visitor, is_live, violations

pytestmark = pytest.mark.browser

LOOKS: dict[str, tuple[Any, ViewportSize]] = {
    "light": ("light", {"width": 1280, "height": 800}),
    "dark": ("dark", {"width": 1280, "height": 800}),
    "narrow": ("light", {"width": 390, "height": 844}),
}
OF_COLOURS = ("color-contrast", "link-in-text-block")


@pytest_asyncio.fixture(scope="module")
async def scenery(stage: Stage) -> Scenery:
    """Something of everything."""
    return await furnish(stage)


def views(scenery: Scenery) -> dict[str, str]:
    """Each address, and what shows that it is complete."""
    run = f"/runs/{scenery.failed}"
    return {
        "/": ".overview-grid .chart canvas",
        "/runs": "tr[data-id]",
        run: ".log-line",
        f"{run}?tab=data": "#run-tab .json",
        f"{run}?tab=history": "#run-tab .history",
        "/workflows": "main table, main .card",
        f"/pipelines?year={YEAR}": "#module-3 .badge-button",
        "/health": ".verdict",
    }


async def test_axe_finds_nothing_wrong_with_any_view_in_both_themes_and_on_a_narrow_screen(
    visitor: Visitor, scenery: Scenery
) -> None:
    page = await visitor.open("/runs", role="operator")
    found: list[str] = []
    for path, ready in views(scenery).items():
        await walk(page, path)
        await expect(page.locator(ready).first).to_be_visible()
        await is_live(page)
        for look, (scheme, size) in LOOKS.items():
            await page.emulate_media(color_scheme=scheme)
            await page.set_viewport_size(size)
            # The themes differ in nothing but colours.
            rules = OF_COLOURS if look == "dark" else ()
            wrong = [*await violations(page, *rules), *await spilling(page)]
            found += [f"{path}, {look}: {each}" for each in wrong]
    assert found == []


async def test_axe_finds_nothing_wrong_with_what_opens(visitor: Visitor, scenery: Scenery) -> None:
    page = await visitor.open(f"/pipelines?year={YEAR}", role="operator", color_scheme="dark")
    await page.locator("#module-3 .badge-button").focus()
    await expect(page.locator(".diagnostic-panel")).to_be_visible()
    found = await violations(page)
    await page.get_by_role("button", name="Upload a file").click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    found += await violations(page)
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.locator("#main").focus()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog")).to_be_visible()
    found += await violations(page)
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("dialog")).to_contain_text("Sign in")
    found += await violations(page)
    assert found == []


async def test_the_theme_is_the_systems_until_somebody_chooses(
    visitor: Visitor, scenery: Scenery
) -> None:
    page = await visitor.open("/runs", color_scheme="dark")
    background = "getComputedStyle(document.documentElement).backgroundColor"
    dark = await page.evaluate(background)
    await page.get_by_role("button", name="Use the light theme").click()
    light = await page.evaluate(background)
    assert (dark, light) == ("rgb(13, 15, 20)", "rgb(246, 247, 249)")
    await page.reload()
    assert await page.evaluate(background) == light


async def test_what_moves_without_an_end_stands_still_for_who_wants_less_motion(
    visitor: Visitor, scenery: Scenery
) -> None:
    work = await scenery.worker.take()
    await work.start()
    await work.step("check")
    page = await visitor.open(f"/runs/{work.id}", reduced_motion="no-preference")
    await expect(page.locator(".node.active")).to_be_visible()
    moving = "document.getAnimations().map(each => each.animationName ?? each.transitionProperty)"
    assert {"march", "pulse"} <= set(await page.evaluate(moving))
    await page.emulate_media(reduced_motion="reduce")
    assert await page.evaluate(moving) == []


async def spilling(page: Page) -> list[str]:
    """Say whether the page is wider than its window: then it would scroll sideways."""
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    over = await page.evaluate(wide)
    return [f"{over} px wider than the window"] if over > 0 else []


async def walk(page: Page, path: str) -> None:
    """Go to another view as a link of the page does: nothing is loaded twice."""
    await page.evaluate("path => history.pushState(null, '', path)", path)
    await page.evaluate("() => void dispatchEvent(new PopStateEvent('popstate'))")
