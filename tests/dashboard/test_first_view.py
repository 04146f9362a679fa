"""What the first view costs a reader's network."""

from typing import Any

import pytest
from playwright.async_api import expect

from tests.dashboard.stage import Stage
from tests.dashboard.visitor import Visitor, is_live

pytestmark = pytest.mark.browser

MOST_BYTES = 150_000


async def test_the_first_view_is_at_most_150_kilobytes_over_the_network(
    visitor: Visitor, stage: Stage
) -> None:
    await (await (await stage.worker()).take()).walk("check")
    page = await visitor.page()
    sizes: list[float] = []

    def finished(done: dict[str, Any]) -> None:
        sizes.append(done["encodedDataLength"])

    session: Any = await page.context.new_cdp_session(page)
    session.on("Network.loadingFinished", finished)
    await session.send("Network.enable")
    await page.goto(f"{visitor.url}/#token={visitor.token()}")
    await expect(page.locator(".overview-grid .chart canvas")).to_be_visible()
    await is_live(page)
    assert len(sizes) > 15
    assert sum(sizes) <= MOST_BYTES, f"{sum(sizes):,.0f} bytes in {len(sizes)} requests"
