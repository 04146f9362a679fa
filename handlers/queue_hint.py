"""What this process knows about the queue being empty, so that an empty claim costs no query.

Workers claim several times per second. When a claim found nothing, the next one with the same
queues is answered from memory until something happens that may have made a run claimable: a run was
enqueued or released, a run finished (a concurrency limit has room again), the listener lost its
connection, or the recheck time went by.
"""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final

HELD_BACK: Final = 0.25
"""Seconds for which runs that a limit holds back are not asked for again.

Short, because a claim that lost a race under a limit looks the same.
"""

_MOST_KEYS = 256


class QueueHint:
    """Which preferences of queues were found empty, and until when that is believed.

    Args:
        recheck: seconds after which an empty queue is looked at again.
        clock: seconds; monotonic.

    Attributes:
        holds_back: whether a claim came back empty because of a limit, since the last `invalidate`.
    """

    def __init__(self, recheck: float, clock: Callable[[], float] = monotonic) -> None:
        self._recheck = recheck
        self._clock = clock
        self._generation = 0
        self.holds_back = False
        self._empty: OrderedDict[tuple[str, ...], float] = OrderedDict()

    def known_empty(self, queues: tuple[str, ...]) -> bool:
        """Whether a claim with these queues would find nothing, as far as this process knows."""
        until = self._empty.get(queues)
        if until is None:
            return False
        if self._clock() < until:
            return True
        del self._empty[queues]
        return False

    def before_claim(self) -> int:
        """A mark to hand to `found_nothing`: a change during the query must not be forgotten."""
        return self._generation

    def found_nothing(self, queues: tuple[str, ...], mark: int, *, held_back: bool = False) -> None:
        """A claim came back empty.

        Args:
            queues: what it asked for.
            mark: what `before_claim` said before it.
            held_back: whether there are runs that a concurrency limit holds back.
        """
        if mark != self._generation:
            return
        self.holds_back |= held_back
        believed = min(HELD_BACK, self._recheck) if held_back else self._recheck
        self._empty[queues] = self._clock() + believed
        self._empty.move_to_end(queues)
        if len(self._empty) > _MOST_KEYS:
            self._empty.popitem(last=False)

    def invalidate(self) -> None:
        """Something may be claimable now: ask the database at the next claim."""
        self._generation += 1
        self.holds_back = False
        self._empty.clear()
