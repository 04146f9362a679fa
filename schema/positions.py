"""Positions in the history of a project: which of its events somebody was told of.

Events of different runs commit in any order, so no number can say "up to here". A position is a
snapshot of PostgreSQL, of which every event that it sees was told, and what was told beyond it:

* ``base``: what this snapshot sees was told;
* ``told``: numbers of further events that were told, one by one;
* ``stage``: of what another snapshot sees, everything up to a number was told. A replay that was
  interrupted stands there.

A transaction that runs for hours is one number in a snapshot: it delays nothing, and nothing grows
while it runs. Pure values; the text form is opaque to clients and checked when it comes back.
"""

import itertools
import re
from collections.abc import Iterable
from typing import Final, cast

import msgspec

LONGEST: Final = 16 * 1024
"""Characters of a cursor. Its size is that of the snapshots in it: one number per transaction under
way, and PostgreSQL has a limit of connections."""

_LARGEST: Final = 2**63 - 1
_NUMBER: Final = "(?:0|[1-9a-f][0-9a-f]{0,15})"
_NUMBERS: Final = rf"{_NUMBER}(?:\.{_NUMBER})*"
_CURSOR: Final = re.compile(
    rf"1-({_NUMBERS})(?:-t({_NUMBER}(?:\.n?{_NUMBER})*))?(?:-s({_NUMBERS})-({_NUMBER}))?"
)


class BadCursorError(ValueError):
    """A text is not a cursor that this server has made."""

    def __str__(self) -> str:
        return "this is no cursor"


class Snapshot(msgspec.Struct, frozen=True):
    """Which transactions a statement saw.

    Attributes:
        xmax: Transactions from here on are not seen.
        running: Those below it that are not seen either, ascending.
    """

    xmax: int
    running: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Snapshot":
        """Return what PostgreSQL writes as ``xmin:xmax:xip,xip``."""
        _, xmax, running = text.split(":")
        return cls(int(xmax), tuple(int(xact) for xact in running.split(",") if xact))

    @property
    def xmin(self) -> int:
        """All transactions below it are seen."""
        return self.running[0] if self.running else self.xmax

    @property
    def text(self) -> str:
        """As PostgreSQL reads it."""
        return f"{self.xmin}:{self.xmax}:{','.join(map(str, self.running))}"

    def sees(self, xact: int) -> bool:
        """Whether what this transaction committed is seen."""
        return xact < self.xmax and xact not in self.running


class Stage(msgspec.Struct, frozen=True):
    """How far a replay came.

    Attributes:
        target: What it replays: all that this snapshot sees.
        seq: Number of the last event that was told, in the order of the numbers.
    """

    target: Snapshot
    seq: int


class Position(msgspec.Struct, frozen=True):
    """What somebody was told; see the module."""

    base: Snapshot
    told: tuple[int, ...] = ()
    stage: Stage | None = None

    @property
    def cursor(self) -> str:
        """The position as text: ASCII, no spaces, fit for headers and addresses."""
        parts = ["1-", _pack(self.base)]
        if self.told:
            parts += ["-t", _chain(self.told)]
        if self.stage is not None:
            parts += ["-s", _pack(self.stage.target), "-", f"{self.stage.seq:x}"]
        return "".join(parts)

    @classmethod
    def parse(cls, cursor: object) -> "Position":
        """Return the position of a cursor.

        Raises:
            BadCursorError: It is none.
        """
        if not isinstance(cursor, str) or len(cursor) > LONGEST:
            raise BadCursorError
        found = _CURSOR.fullmatch(cursor)
        if found is None:
            raise BadCursorError
        base, told, target, seq = cast("tuple[str, str | None, str | None, str]", found.groups())
        stage = None if target is None else Stage(_unpack(target), _checked(int(seq, 16)))
        return cls(_unpack(base), () if told is None else _unchain(told), stage)

    @property
    def newest(self) -> int:
        """No transaction from here on was told of, except by number."""
        return self.base.xmax if self.stage is None else max(self.base.xmax, self.stage.target.xmax)

    def covers(self, xact: int, seq: int) -> bool:
        """Whether an event was told."""
        stage = self.stage
        return (
            self.base.sees(xact)
            or seq in self.told
            or (stage is not None and seq <= stage.seq and stage.target.sees(xact))
        )

    def plus(self, seq: int) -> "Position":
        """Return the position after one more event was told."""
        return Position(self.base, (*self.told, seq), self.stage)

    def reached(self, target: Snapshot, seq: int) -> "Position":
        """Return the position after all that ``target`` sees was told up to a number.

        Only one stage can be under way: ``target`` must be the one of the stage, if there is one.
        """
        return Position(self.base, self.told, Stage(target, seq))

    def completed(self, target: Snapshot, beyond: Iterable[int] = ()) -> "Position":
        """Return the position after all that ``target`` sees was told.

        Args:
            target: The snapshot.
            beyond: Numbers of events that were told and that it may not see. Naming one that it
                does see does no harm.
        """
        return Position(target, tuple(beyond))


def _pack(snapshot: Snapshot) -> str:
    # Running transactions are close to each other and to the end: distances are short.
    numbers = [snapshot.xmax]
    above = snapshot.xmax
    for xact in reversed(snapshot.running):
        numbers.append(above - xact)
        above = xact
    return ".".join(f"{number:x}" for number in numbers)


def _unpack(text: str) -> Snapshot:
    xmax, *distances = (int(number, 16) for number in text.split("."))
    running: list[int] = []
    above = _checked(xmax)
    for distance in distances:
        above -= distance
        if distance == 0 or above <= 0:
            raise BadCursorError
        running.append(above)
    return Snapshot(xmax, tuple(reversed(running)))


def _chain(numbers: tuple[int, ...]) -> str:
    parts = [f"{numbers[0]:x}"]
    for before, number in itertools.pairwise(numbers):
        step = number - before
        parts.append(f"{step:x}" if step >= 0 else f"n{-step:x}")
    return ".".join(parts)


def _unchain(text: str) -> tuple[int, ...]:
    numbers: list[int] = []
    at = 0
    for part in text.split("."):
        at += -int(part[1:], 16) if part.startswith("n") else int(part, 16)
        numbers.append(_checked(at))
    return tuple(numbers)


def _checked(number: int) -> int:
    if not 0 <= number <= _LARGEST:
        raise BadCursorError
    return number
