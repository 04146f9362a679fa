"""What a seed means: which troubles come when, and what the load does. Pure; the same every time.

What a seed does not decide is the order in which processes run in between: a failing seed replays
the same troubles at the same moments under the same load, and mostly fails again.
"""

from dataclasses import dataclass
from random import Random
from typing import Final

SERVERS: Final = 2

KINDS: Final = (
    "kill_server",
    "drain_server",
    "kill_postgres",
    "terminate_backends",
    "terminate_listener",
    "cut_clients",
    "cut_clients_after",
    "half_open",
    "throttle",
    "duplicate_frames",
    "cut_database",
    "stall_database",
    "exhaust_pool",
    "time_out_statements",
    "read_only_database",
    "fill_disk",
    "step_clock",
)

LONGEST: Final = 2.5
"""Seconds that a trouble lasts at the most."""


@dataclass(frozen=True)
class Trouble:
    """One thing that goes wrong.

    Attributes:
        at: Seconds after the load began.
        kind: One of ``KINDS``.
        server: Which server it is about.
        seconds: How long it lasts, or how long the thing stays down.
        number: Bytes, frames or seconds of a clock, as the kind says.
    """

    at: float
    kind: str
    server: int
    seconds: float
    number: int


@dataclass(frozen=True)
class Plan:
    """Everything that a seed decides.

    Attributes:
        seed: The seed.
        seconds: How long load and troubles last.
        troubles: In the order of their times.
        interval: Seconds between two webhook calls.
        workers: Workers for each server.
        dashboards: Dashboards for each server.
    """

    seed: int
    seconds: float
    troubles: tuple[Trouble, ...]
    interval: float = 0.12
    workers: int = 3
    dashboards: int = 2

    def random(self, name: str) -> Random:
        """The numbers of one actor, which do not depend on what the others do."""
        return Random(f"{self.seed} {name}")


def make(seed: int, seconds: float, *, pause: float = 1.0) -> Plan:
    """Return the plan of a seed: each kind once before any comes again.

    Args:
        seed: The seed.
        seconds: How long load and troubles last.
        pause: Seconds between two troubles, on average.
    """
    random = Random(seed)
    troubles: list[Trouble] = []
    left: list[str] = []
    at = pause
    while at < seconds - LONGEST:
        if not left:
            left = random.sample(KINDS, len(KINDS))
        kind = left.pop()
        number = _number(kind, random)
        lasts = random.uniform(0.3, LONGEST)
        troubles.append(Trouble(at, kind, random.randrange(SERVERS), lasts, number))
        at += random.uniform(0.5, 1.5) * pause
    return Plan(seed, seconds, tuple(troubles))


def _number(kind: str, random: Random) -> int:
    if kind == "cut_clients_after":
        return random.randrange(1, 4000)
    if kind == "throttle":
        return random.choice([64, 1000, 20_000])
    if kind == "duplicate_frames":
        return random.randrange(1, 6)
    return random.choice([-3600, 3600])
