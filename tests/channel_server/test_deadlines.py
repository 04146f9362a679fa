"""One timer for all deadlines."""

import asyncio

import pytest

from channel_server.transport.deadlines import RESOLUTION, Deadlines


class Item:
    def __init__(self, again: float | None = None) -> None:
        self.bucket: int | None = None
        self.asked = asyncio.Event()
        self.times: list[float] = []
        self.again = again

    def deadline_reached(self, now: float) -> float | None:
        self.times.append(now)
        self.asked.set()
        again, self.again = self.again, None
        return None if again is None else now + again


@pytest.fixture
async def deadlines() -> Deadlines:
    return Deadlines(asyncio.get_running_loop())


async def asked(item: Item) -> float:
    await asyncio.wait_for(item.asked.wait(), 5)
    item.asked.clear()
    return item.times[-1]


async def test_an_item_is_asked_at_its_time_and_not_before(deadlines: Deadlines) -> None:
    item = Item()
    when = deadlines.now() + 0.1
    deadlines.schedule(item, when)
    assert when <= await asked(item) < when + 10 * RESOLUTION
    assert len(deadlines) == 0
    assert item.bucket is None


async def test_an_item_that_is_not_due_says_when_to_ask_again(deadlines: Deadlines) -> None:
    item = Item(again=0.1)
    deadlines.schedule(item, deadlines.now())
    first = await asked(item)
    assert await asked(item) >= first + 0.1


async def test_a_new_time_replaces_the_old_one(deadlines: Deadlines) -> None:
    late, item = Item(), Item()
    deadlines.schedule(item, deadlines.now() + 100)
    deadlines.schedule(item, deadlines.now() + 0.05)
    deadlines.schedule(late, deadlines.now() + 0.2)
    deadlines.schedule(late, deadlines.now() + 100)
    await asked(item)
    assert late.times == []
    assert len(deadlines) == 1


async def test_schedule_within_keeps_an_earlier_time(deadlines: Deadlines) -> None:
    item = Item()
    deadlines.schedule_within(item, deadlines.now() + 100)
    deadlines.schedule_within(item, deadlines.now() + 0.05)
    deadlines.schedule_within(item, deadlines.now() + 50)
    await asked(item)


async def test_a_cancelled_item_is_not_asked(deadlines: Deadlines) -> None:
    cancelled, item = Item(), Item()
    deadlines.schedule(cancelled, deadlines.now() + 0.05)
    deadlines.schedule(item, deadlines.now() + 0.05)
    deadlines.cancel(cancelled)
    deadlines.cancel(cancelled)
    await asked(item)
    assert cancelled.times == []


async def test_close_forgets_everything(deadlines: Deadlines) -> None:
    items = [Item() for _ in range(3)]
    for item in items:
        deadlines.schedule(item, deadlines.now() + 0.05)
    deadlines.close()
    assert len(deadlines) == 0
    last = Item()
    deadlines.schedule(last, deadlines.now() + 0.1)
    await asked(last)
    assert all(item.times == [] and item.bucket is None for item in items)
