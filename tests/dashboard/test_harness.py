"""The harness notices what it is there to notice."""

import pytest

from tests.dashboard.visitor import Visitor

pytestmark = pytest.mark.browser


async def test_errors_of_the_console_and_of_scripts_are_complaints(visitor: Visitor) -> None:
    page = await visitor.page()
    await page.evaluate("console.error('so wrong')")
    async with page.expect_event("pageerror"):
        await page.evaluate("setTimeout(() => { throw new Error('thrown'); })")
    assert [each.split(" (")[0] for each in visitor.complaints] == ["so wrong", "thrown"]
    visitor.expect("so wrong|thrown")
    assert visitor.complaints == []


async def test_requests_to_elsewhere_fail_and_are_complaints(visitor: Visitor) -> None:
    page = await visitor.page()
    failed = await page.evaluate("fetch('http://example.org/x').catch(error => error.name)")
    assert failed == "TypeError"
    assert "a request went elsewhere: http://example.org/x" in visitor.complaints
    visitor.expect("example.org|ERR_NAME_NOT_RESOLVED")
