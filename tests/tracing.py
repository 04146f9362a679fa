"""Coverage only while a test of some rooms runs.

Tracing makes Python a third slower, and most of what the suite costs is not about lines: browsers,
processes that are killed, state machines. ``MEASURED_ROOMS`` names the folders of ``tests`` whose
tests count, with commas between; without it, coverage is whatever ``coverage run`` was told.
Commands that tests start are traced, forked ones are not.
"""

import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Final

import coverage
import pytest

ROOMS: Final = frozenset(filter(None, os.environ.get("MEASURED_ROOMS", "").split(",")))
_FOLDER: Final = Path(__file__).parent


class Tracing:
    """Switches the tracing of this thread off and on.

    Other threads are traced all the time: those of an executor outlive a test, and a thread that
    begins untraced can not be traced later.
    """

    def __init__(self) -> None:
        self._trace = sys.gettrace()
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
        """Coverage ends as it began."""
        self._switch(on=True)

    def _switch(self, *, on: bool) -> None:
        if on != self._on:
            self._on = on
            sys.settrace(self._trace if on else None)


def use(config: pytest.Config) -> None:
    """Measure this process by room, if it is one that runs tests and is measured at all."""
    measured = coverage.Coverage.current() is not None
    if not (ROOMS and measured and hasattr(config, "workerinput")):
        return
    config.pluginmanager.register(Tracing())
