"""Coverage only while a test of some rooms runs, and not in the processes that tests start.

Tracing makes Python a third slower, and most of what the suite costs is not about lines: browsers,
processes that are killed, state machines. ``MEASURED_ROOMS`` names the folders of ``tests`` whose
tests count, with commas between; without it, coverage is whatever ``coverage run`` was told.
"""

import os
from collections.abc import Generator
from pathlib import Path
from typing import Final

import coverage
import pytest

ROOMS: Final = frozenset(filter(None, os.environ.get("MEASURED_ROOMS", "").split(",")))
_FOLDER: Final = Path(__file__).parent
_INHERITED: Final = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")


class Tracing:
    """Switches the tracing of this process off and on.

    Args:
        measured: What traces it.
    """

    def __init__(self, measured: coverage.Coverage) -> None:
        self._measured = measured
        self._on = True

    def pytest_collection_finish(self) -> None:
        """Imports are measured, whoever asks for them."""
        self._switch(on=False)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Measure a test, with what is made for it, if its room counts."""
        self._switch(on=item.path.relative_to(_FOLDER).parts[0] in ROOMS)
        return (yield)

    def pytest_sessionfinish(self) -> None:
        """Nothing after the last test counts."""
        self._switch(on=False)

    def _switch(self, *, on: bool) -> None:
        if on != self._on:
            self._on = on
            (self._measured.start if on else self._measured.stop)()


def use(config: pytest.Config) -> None:
    """Measure this process by room, if it is one that runs tests and is measured at all."""
    measured = coverage.Coverage.current()
    if not ROOMS or measured is None or not hasattr(config, "workerinput"):
        return
    for name in _INHERITED:
        os.environ.pop(name, None)
    config.pluginmanager.register(Tracing(measured))
