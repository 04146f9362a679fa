"""Unit 6: the heartbeat aborts before anybody else may take the job, at once when it is lost."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from pipelines.heartbeat import Abort, Heartbeat


class Time:
    """A clock that moves when somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    async def wait(self, event: asyncio.Event, seconds: float) -> None:
        await asyncio.sleep(0)
        if not event.is_set():
            self.now += seconds


def heart(beat: Callable[[], Awaitable[int]], time: Time | None = None) -> tuple[Heartbeat, Time]:
    time = time or Time()
    made = Heartbeat(7, beat, interval=15, abort_after=45, clock=time, wait=time.wait)
    return made, time


def scripted(*answers: int | Exception) -> Callable[[], Awaitable[int]]:
    left = list(answers)

    async def beat() -> int:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return beat


DOWN = ConnectionError("down")


async def test_failing_beats_abort_at_three_quarters_of_the_window_after_three_calls() -> None:
    heartbeat, time = heart(scripted(DOWN, DOWN, DOWN, DOWN))
    await heartbeat.run()
    assert (heartbeat.reason, heartbeat.beats) == (Abort.STALLED, 3)
    assert heartbeat.aborted.is_set()
    assert time.now - 100 == 45 < 60


async def test_a_success_starts_the_count_again() -> None:
    heartbeat, time = heart(scripted(DOWN, DOWN, 1, DOWN, DOWN, DOWN))
    await heartbeat.run()
    assert (heartbeat.reason, heartbeat.beats) == (Abort.STALLED, 6)
    assert time.now - 100 == 90


@pytest.mark.parametrize("before", [(), (1,), (DOWN, DOWN, 1, DOWN, DOWN)])
async def test_p12_no_row_aborts_at_once(before: tuple[int | Exception, ...]) -> None:
    heartbeat, _time = heart(scripted(*before, 0))
    await heartbeat.run()
    assert (heartbeat.reason, heartbeat.beats) == (Abort.LOST, len(before) + 1)


async def test_a_beat_that_hangs_counts_as_a_failure() -> None:
    async def hang() -> int:
        await asyncio.Event().wait()
        return 1

    loop = asyncio.get_running_loop()
    heartbeat = Heartbeat(7, hang, interval=0.04, abort_after=0.12)
    began = loop.time()
    async with asyncio.timeout(5):
        await heartbeat.run()
    assert heartbeat.reason is Abort.STALLED
    assert loop.time() - began >= 0.11


async def test_time_counts_from_when_a_beat_was_sent() -> None:
    time = Time()

    async def slow() -> int:
        time.now += 10
        return 1 if heartbeat.beats == 1 else 0

    heartbeat, _time = heart(slow, time)
    await heartbeat.run()
    assert time.now == 100 + 15 + 10 + 5 + 10


async def test_a_kick_beats_now() -> None:
    heartbeat, time = heart(scripted(0))
    heartbeat.kick()
    await heartbeat.run()
    assert (heartbeat.reason, time.now) == (Abort.LOST, 100)


async def test_a_held_heartbeat_does_not_beat_but_still_aborts_in_time() -> None:
    heartbeat, time = heart(scripted())
    heartbeat.hold()
    await heartbeat.run()
    assert (heartbeat.reason, heartbeat.beats, time.now - 100) == (Abort.STALLED, 0, 45)


async def test_the_first_reason_stays() -> None:
    heartbeat, _time = heart(scripted())
    heartbeat.abort(Abort.LOST)
    heartbeat.abort(Abort.STALLED)
    await heartbeat.run()
    assert heartbeat.reason is Abort.LOST


async def test_cancelling_it_is_not_swallowed() -> None:
    async def hang() -> int:
        await asyncio.Event().wait()
        return 1

    task = asyncio.create_task(Heartbeat(7, hang, interval=0.001, abort_after=60).run())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
