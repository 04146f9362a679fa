"""Somebody in front of the page: a browser context whose every complaint is kept."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    expect,
)

from tests.dashboard.stage import Stage

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
PATIENCE = 15_000
"""Milliseconds until something that should show counts as missing."""

expect.set_options(timeout=PATIENCE)


class Visitor:
    """Opens pages of one stage, in contexts of its own.

    Args:
        browser: The browser.
        stage: The server.

    Attributes:
        complaints: Errors of the console and of scripts, and requests that went elsewhere.
        requests: Addresses of all requests, in order.
    """

    def __init__(self, browser: Browser, stage: Stage) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._browser = browser
        self._stage = stage
        self._contexts: list[BrowserContext] = []
        self._expected: list[re.Pattern[str]] = []

    @property
    def url(self) -> str:
        """Of the server."""
        return self._stage.url

    def token(self, role: Any = "viewer", tenants: Any = ("*",)) -> str:
        """A token of the stage."""
        return self._stage.token(role, tenants)

    async def open(
        self,
        path: str = "/",
        *,
        role: Any = "viewer",
        tenants: Any = ("*",),
        token: str | None = None,
        live: bool = True,
        **options: Any,
    ) -> Page:
        """Open a view, signed in by a token in the fragment, and wait until it is live.

        Args:
            path: Of the view.
            role: Of the user.
            tenants: Of the user.
            token: Instead of one that is made.
            live: Whether to wait until the page says that it is.
            options: Of the context: ``color_scheme``, ``viewport``, …
        """
        given = self._stage.token(role, tenants) if token is None else token
        page = await self.page(**options)
        await page.goto(f"{self._stage.url}{path}#token={given}")
        if live:
            await is_live(page)
        return page

    async def page(self, **options: Any) -> Page:
        """An empty page in a context of its own."""
        values: dict[str, Any] = {
            "viewport": {"width": 1280, "height": 800},
            # What moves without an end is drawn without an end, which no test is about.
            "reduced_motion": "reduce",
            **options,
        }
        context = await self._browser.new_context(**values)
        self._contexts.append(context)
        context.set_default_timeout(PATIENCE)
        context.on("console", self._said)
        context.on("weberror", lambda error: self._complain(str(error.error)))
        context.on("request", self._asked)
        return await context.new_page()

    def expect(self, pattern: str) -> None:
        """Take complaints that match for granted: the test makes them happen."""
        self._expected.append(re.compile(pattern))
        self.complaints = [each for each in self.complaints if not self._is_expected(each)]

    async def close(self) -> None:
        """Close all pages."""
        for context in self._contexts:
            for page in context.pages:
                # What is still on its way through a test's hands ends with the page.
                await page.unroute_all(behavior="ignoreErrors")
            await context.close()

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self._complain(f"{message.text} ({message.location.get('url', '')})")

    def _asked(self, request: Request) -> None:
        self.requests.append(request.url)
        where = urlsplit(request.url)
        if where.scheme in ("data", "blob"):
            return
        if f"{where.scheme}://{where.netloc}" != self._stage.url:
            self._complain(f"a request went elsewhere: {request.url}")

    def _complain(self, text: str) -> None:
        if not self._is_expected(text):
            self.complaints.append(text)

    def _is_expected(self, text: str) -> bool:
        return any(pattern.search(text) for pattern in self._expected)


async def is_live(page: Page) -> None:
    """Wait until the page says that what it shows is what is."""
    await expect(page.locator(".connection")).to_have_attribute("data-state", "live")


async def violations(page: Page, *rules: str) -> list[str]:
    """Return what axe-core finds wrong with a page as it is now.

    Args:
        page: The page.
        rules: The rules to go by; by default all that axe goes by itself.
    """
    if not await page.evaluate("'axe' in window"):
        # Evaluated by the debugger, as the policy of the page lets no foreign script in.
        await page.evaluate(AXE.read_text())
    # What it would load first is for rules about films and turned screens, of which there are none.
    options: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}
    if rules:
        options["runOnly"] = {"type": "rule", "values": rules}
    found = await page.evaluate("options => axe.run(options)", options)
    return [
        f"{each['id']}: {node['html']} — {node['failureSummary']}"
        for each in found["violations"]
        for node in each["nodes"]
    ]


async def slow_network(page: Page, *, latency: float = 20, down: int = -1, up: int = -1) -> None:
    """Make everything of a page slow from now on, websockets too.

    Args:
        page: The page.
        latency: Milliseconds of each way.
        down: Bytes per second; -1 is as fast as it goes.
        up: The same for what is sent.
    """
    session: Any = await page.context.new_cdp_session(page)
    await session.send("Network.enable")
    await session.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": latency, "downloadThroughput": down, "uploadThroughput": up},
    )
