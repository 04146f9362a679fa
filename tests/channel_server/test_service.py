"""The service contract."""

import asyncio
import io
import logging
from collections.abc import Iterator
from contextlib import suppress

import pytest

from channel_server import log, service
from channel_server.service import Service, Signals
from tests import plain_logs
from tests.waiting import left_since


class Counting(Service):
    """Counts its runs, and runs until it is stopped."""

    name = "counting"

    def __init__(self, crashes: int = 0) -> None:
        super().__init__()
        self.runs = 0
        self.crash = crashes
        self.cancelled = 0

    async def run(self) -> None:
        self.runs += 1
        if self.runs <= self.crash:
            raise RuntimeError("not yet")
        self.ready()
        self.signals.emit("ready", self.runs)
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled += 1


async def stress(subject: Service, rounds: int = 50) -> None:
    """Start and stop in every order; nothing may hang, leak or raise."""
    before = asyncio.all_tasks()
    for n in range(rounds):
        calls = [subject.start(), subject.stop(), subject.start(), subject.stop()]
        await asyncio.gather(*(calls if n % 2 else reversed(calls)))
        if n % 3 == 0:
            await subject.start()
            await asyncio.wait_for(subject.started(), 5)
        await subject.stop()
        assert not subject.running
    assert await left_since(before) == []


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    log.configure("json", stream=stream)
    yield stream
    plain_logs.use()
    root.handlers[:] = handlers
    root.setLevel(level)


async def test_start_runs_it_and_stop_cancels_it() -> None:
    subject = Counting()
    await subject.start()
    await asyncio.wait_for(subject.started(), 5)
    assert subject.running
    await subject.stop()
    assert not subject.running
    assert (subject.runs, subject.cancelled) == (1, 1)


async def test_starting_twice_runs_it_once() -> None:
    subject = Counting()
    await subject.start()
    await subject.start()
    await subject.started()
    assert subject.runs == 1
    await subject.stop()


async def test_stopping_twice_and_before_the_start_is_fine() -> None:
    subject = Counting()
    await subject.stop()
    await subject.start()
    await subject.stop()
    await subject.stop()
    assert not subject.running


class Deaf(Counting):
    """Loses its first cancellation, as drivers do now and then."""

    async def run(self) -> None:
        self.ready()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()


async def test_a_service_that_loses_its_cancellation_is_told_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "CANCELLED_AGAIN", 0.01)
    subject = Deaf()
    await subject.start()
    await subject.started()
    async with asyncio.timeout(10):
        await subject.stop()
    assert not subject.running


async def test_it_can_be_started_again() -> None:
    subject = Counting()
    for _ in range(2):
        await subject.start()
        await subject.started()
        await subject.stop()
    assert subject.runs == 2


async def test_the_contract_holds_under_stress() -> None:
    await stress(Counting())


async def test_a_crash_restarts_it_and_is_logged_once(lines: io.StringIO) -> None:
    subject = Counting(crashes=2)
    await subject.start()
    assert await subject.signals.wait("ready") == 3
    await subject.stop()
    assert lines.getvalue().count("service_crashed") == 1
    assert lines.getvalue().count("Traceback") == 1
    assert '"crashes": 2' in lines.getvalue()


async def test_a_crash_that_passes_by_itself_is_a_warning_without_a_traceback(
    lines: io.StringIO,
) -> None:
    class Waiting(Counting):
        def passing(self, error: Exception) -> bool:
            return str(error) == "not yet"

    subject = Waiting(crashes=2)
    await subject.start()
    assert await subject.signals.wait("ready") == 3
    await subject.stop()
    assert lines.getvalue().count("service_waits") == 1
    assert "Traceback" not in lines.getvalue()


async def test_a_crash_after_a_long_good_time_is_logged_again(
    lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "LONGEST_DELAY", 0.0)

    class Flapping(Service):
        async def run(self) -> None:
            self.ready()
            await asyncio.sleep(0)
            raise RuntimeError("again")

    subject = Flapping()
    await subject.start()
    for _ in range(3):
        await subject.signals.wait("crashed")
    await subject.stop()
    assert lines.getvalue().count("service_crashed") >= 3


async def test_a_service_that_returns_has_finished() -> None:
    subject = Service()
    await subject.start()
    await subject.started()
    await asyncio.sleep(0)
    assert not subject.running
    await subject.stop()


async def test_the_delay_grows_and_is_bounded() -> None:
    subject = Service()
    subject.crashes = 1
    assert 0.05 <= subject.restart_delay() <= 0.1
    subject.crashes = 1_000
    assert 15.0 <= subject.restart_delay() <= 30.0


async def test_signals_are_kept_until_read_in_order() -> None:
    signals = Signals()
    signals.emit("done", 1)
    signals.emit("done", 2)
    signals.emit("other")
    assert [await signals.wait("done"), await signals.wait("done")] == [1, 2]
    signals.clear()
    with pytest.raises(TimeoutError):
        await signals.wait("other", timeout=0.01)


async def test_signals_wake_all_who_wait() -> None:
    signals = Signals()
    waiting = [asyncio.ensure_future(signals.wait(name)) for name in ("a", "b", "a")]
    await asyncio.sleep(0)
    for name in ("a", "b", "a"):
        signals.emit(name, name)
    assert await asyncio.gather(*waiting) == ["a", "b", "a"]


async def test_only_the_last_signals_are_kept() -> None:
    signals = Signals()
    for n in range(100):
        signals.emit("tick", n)
    assert await signals.wait("tick") == 36
