"""Token buckets: how often something may happen, with an exact time to wait.

Pure: time is given in, nothing ticks. A bucket is one number, the moment at which it will be full
again, so an idle connection pays 24 bytes for its own.

>>> rate = Rate(per_second=2.0, burst=3)
>>> moment = 0.0
>>> for _ in range(4):
...     moment, wait = rate.take(moment, now=100.0)
>>> wait
0.5
"""

from collections.abc import Hashable
from ipaddress import IPv6Address, ip_address
from typing import Final

import msgspec

MOST_KEYS: Final = 10_000
"""Buckets that are kept by :class:`Buckets` unless it is told otherwise."""

SHORTEST_PAUSE: Final = 0.05
"""Seconds a connection is not read at the least; shorter would cost more than it holds back."""

_IPV6_SITE: Final = 64


class Rate(msgspec.Struct, frozen=True):
    """How often something may happen.

    Attributes:
        per_second: How many per second in the long run; 0 is without limit.
        burst: How many at once, after a quiet time; at least 1.
    """

    per_second: float
    burst: float

    def take(self, full_at: float, now: float, count: float = 1.0) -> tuple[float, float]:
        """Take ``count`` from a bucket, or leave it as it is if it has less.

        Args:
            full_at: When the bucket will be full again; 0 for a new one.
            now: Seconds of a clock that never goes back.
            count: How many; more than ``burst`` counts as ``burst``.

        Returns:
            When the bucket will be full again now, and the seconds after which the same would
            succeed: 0 if it was taken.
        """
        if not self.per_second:
            return full_at, 0.0
        owed = max(full_at - now, 0.0)
        wait = owed - (self.burst - min(count, self.burst)) / self.per_second
        if wait > _ROUNDING:
            return full_at, wait
        return now + owed + min(count, self.burst) / self.per_second, 0.0

    def owe(self, full_at: float, now: float, count: float = 1.0) -> tuple[float, float]:
        """Take ``count`` whether they are there or not.

        For what has happened already, such as a message that was read.

        Returns:
            When the bucket will be full again, and the seconds until it owes nothing: 0 if it
            had enough.
        """
        if not self.per_second:
            return full_at, 0.0
        owed = max(full_at - now, 0.0) + count / self.per_second
        wait = owed - self.burst / self.per_second
        return now + owed, wait if wait > _ROUNDING else 0.0


_ROUNDING: Final = 1e-6


class Buckets:
    """One bucket per key, of bounded number.

    When there are too many, the one that was not asked for longest goes; whoever comes back after
    that finds a full one.

    Args:
        rate: Of each of them.
        most: How many are kept.
    """

    __slots__ = ("_full_at", "_most", "rate")

    def __init__(self, rate: Rate, most: int = MOST_KEYS) -> None:
        self.rate = rate
        self._most = most
        self._full_at: dict[Hashable, float] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: Hashable, now: float, count: float = 1.0) -> float:
        """Take from the bucket of a key; see :meth:`Rate.take`.

        Returns:
            0 if it was taken, else the seconds after which the same would succeed.
        """
        if not self.rate.per_second:
            return 0.0
        buckets = self._full_at
        full_at, wait = self.rate.take(buckets.pop(key, 0.0), now, count)
        buckets[key] = full_at  # at the end: dicts keep the order of insertion
        if len(buckets) > self._most:
            del buckets[next(iter(buckets))]
        return wait


def address_key(host: str) -> str:
    """What counts as one address: an IPv4 address, or an IPv6 network of 64 bits."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return host
    mapped = address.ipv4_mapped
    if mapped is not None:
        return str(mapped)
    return f"{int(address) >> (128 - _IPV6_SITE):x}::/{_IPV6_SITE}"
