"""The marks of tests in the browser."""

import pytest

IN_BROWSER = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.browser]
