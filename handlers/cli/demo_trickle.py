"""A trickle of orders, so that whoever opens the page of the demo sees it at work."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from handlers.cli.errors import CommandError
from handlers.cli.posting import post_json

RUSH: Final = 8
"""So many orders come at once: the first look is at some that are over and some under way."""

RUSH_PACE: Final = 0.4
PACE: Final = (2.0, 6.0)
"""Seconds between two of the others, drawn anew each time."""

FIRST_ID: Final = 100

Post = Callable[[str, Any], Awaitable[dict[str, Any]]]


class Trickle:
    """Submits orders until it is cancelled; nothing happens until :meth:`flow`.

    Args:
        webhook: Where orders are posted.
        post: What posts them.
    """

    def __init__(self, webhook: str, post: Post = post_json) -> None:
        self._webhook = webhook
        self._post = post
        self._made: set[str] = set()
        self._answered = asyncio.Event()
        self._answered.set()

    async def flow(self) -> None:
        """Submit orders; one that is not taken ends it, for then the server stops."""
        for order, pause in zip(orders(), pauses(), strict=False):
            self._answered.clear()
            try:
                answer = await self._post(self._webhook, order)
            except CommandError:
                return
            finally:
                self._answered.set()
            self._made.add(str(answer["run_id"]))
            await asyncio.sleep(pause)

    async def made(self, run_id: str) -> bool:
        """Return whether a run is of the trickle, and forget it.

        News of a run may be faster than the answer that names it, so this waits for that.
        """
        await self._answered.wait()
        known = run_id in self._made
        self._made.discard(run_id)
        return known


def orders() -> Iterator[dict[str, int]]:
    """Orders without an end; of twelve, two lack their quantity, and one more lacks its id."""
    for number in itertools.count(FIRST_ID):
        order = {"id": number, "quantity": random.randint(1, 9)}  # noqa: S311 (no secret)
        if number % 6 == 3:
            del order["quantity"]
        elif number % 12 == 11:
            del order["id"]
        yield order


def pauses() -> Iterator[float]:
    """Seconds to wait after each order."""
    yield from itertools.repeat(RUSH_PACE, RUSH)
    while True:
        yield random.uniform(*PACE)  # noqa: S311 (no secret)
