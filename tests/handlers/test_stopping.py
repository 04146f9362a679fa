"""How a serving process ends: drained, told twice, or too slow."""

import asyncio
import os
import signal

import pytest

from handlers.cli import stopping
from handlers.cli.stopping import StopSignals, end, stop_signals


class App:
    """Something to stop that takes as long as it is told to."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.aborted = False

    async def stop(self) -> None:
        await self.release.wait()

    def abort(self) -> None:
        self.aborted = True
        self.release.set()


async def test_a_drain_that_ends_by_itself_is_not_cut() -> None:
    app = App()
    app.release.set()
    await end(app, StopSignals())
    assert not app.aborted


async def test_a_second_signal_cuts_it() -> None:
    app, signals = App(), StopSignals()
    signals.received()
    signals.received()
    await end(app, signals, leave=False)
    assert app.aborted


async def test_a_drain_that_takes_too_long_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "LONGEST", 0.01)
    app = App()
    await end(app, StopSignals(), leave=False)
    assert app.aborted


async def test_what_stopping_raises_is_raised() -> None:
    class Failing(App):
        async def stop(self) -> None:
            raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await end(Failing(), StopSignals())


async def test_signals_are_told_apart() -> None:
    signals = stop_signals()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(signals.wait(), 5)
        assert not signals.again.is_set()
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.wait_for(signals.again.wait(), 5)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)
