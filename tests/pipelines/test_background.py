"""Loops in the background end when they are told to."""

import asyncio

from pipelines.background import Loop


class Deaf(Loop):
    """A loop whose pass loses its cancellation, as drivers do now and then."""

    def __init__(self) -> None:
        super().__init__("deaf", 0.001)
        self.reached = asyncio.Event()

    async def pass_once(self) -> float | None:
        self.reached.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return None
        return None


async def test_a_loop_ends_also_when_its_cancellation_was_lost_in_a_pass() -> None:
    loop = Deaf()
    await loop.start()
    await loop.reached.wait()
    async with asyncio.timeout(10):
        await loop.stop()


async def test_a_loop_that_was_stopped_begins_again() -> None:
    loop = Deaf()
    for _ in range(2):
        loop.reached.clear()
        await loop.start()
        await loop.reached.wait()
        await loop.stop()
