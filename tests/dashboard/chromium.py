"""Debian's Chromium, driven by Playwright: one process for all tests of a test process.

It is the package without windows, the same engine for half of the processor's time.
"""

import os
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, async_playwright

REQUIRED = "CHANNEL_SERVER_REQUIRE_BROWSER"
"""Environment variable; where it is 1, a missing browser is an error instead of a skip."""

FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-domain-reliability",
    "--disable-gpu",
    # One site is all there is: no process is made ready for another one.
    "--disable-site-isolation-trials",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--no-pings",
    "--no-proxy-server",
    "--renderer-process-limit=1",
    # Whatever is asked for beside the server under test fails, and the test with it.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)

NEEDED = "needs Chromium: `apt-get install --no-install-recommends chromium-headless-shell`"


def find() -> str | None:
    """Return where Chromium is; None if it is not installed."""
    return shutil.which("chromium-headless-shell")


@asynccontextmanager
async def running(*more: str) -> AsyncGenerator[Browser]:
    """Run a headless browser with a profile of its own, until the end of the block.

    Args:
        more: Further flags.

    Raises:
        LookupError: It is not installed.
    """
    path = find()
    if path is None:
        raise LookupError(NEEDED)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=path,
            args=[*FLAGS, *more],
            # The sandbox of Chromium does not start as root.
            chromium_sandbox=os.geteuid() != 0,
        )
        try:
            yield browser
        finally:
            await browser.close()


def skip_or_fail() -> None:
    """End a test that has no browser: as skipped, or as failed where one is required."""
    if find() is not None:
        return
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{NEEDED}, and {REQUIRED} is set", pytrace=False)
    pytest.skip(NEEDED)
