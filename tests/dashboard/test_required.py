"""Without a browser its tests say so; where one is required, they fail."""

from pathlib import Path

import pytest
from _pytest.outcomes import Failed, Skipped

from tests.dashboard.chromium import NEEDED, REQUIRED, skip_or_fail


@pytest.fixture(autouse=True)
def nothing_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def test_without_a_browser_tests_are_skipped_and_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(REQUIRED, raising=False)
    with pytest.raises(Skipped, match=NEEDED):
        skip_or_fail()


def test_where_a_browser_is_required_they_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRED, "1")
    with pytest.raises(Failed, match=NEEDED):
        skip_or_fail()
