"""Two workers, the janitor and a release on one run, in every order, and all at once."""

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from schema import janitor, queue
from schema.lifecycle import OUTCOMES, TRANSITIONS
from schema.outcomes import Applied, Owner
from schema.queue import Claims
from schema.refused import Refused
from schema.repo import Repo
from tests.schema.world import World

WORKER_OPS = ("claim", "start", "complete")
OUTCOME = {"a": "success", "b": "failed"}
AT_ONCE = 8


def interleavings() -> Iterator[tuple[str, ...]]:
    """Every order in which each worker keeps its own: 8!/(3!*3!) = 1120."""
    for places in itertools.permutations(range(8), 2):
        rest = [place for place in range(8) if place not in places]
        for own in itertools.combinations(rest, 3):
            order = [""] * 8
            order[places[0]], order[places[1]] = "janitor", "release"
            others = [place for place in rest if place not in own]
            for worker, at in (("a", own), ("b", tuple(others))):
                for op, place in zip(WORKER_OPS, at, strict=True):
                    order[place] = f"{worker}.{op}"
            yield tuple(order)


@dataclass
class Model:
    """What must be true after each operation."""

    state: str = "available"
    holder: str | None = None

    def apply(self, op: str) -> bool:
        """Apply an operation; whether it takes effect."""
        worker, _, what = op.rpartition(".")
        after = getattr(self, what)(worker)
        if after is None:
            return False
        self.state = after
        return True

    def claim(self, worker: str) -> str | None:
        if self.state != "available":
            return None
        self.holder = worker
        return "claimed"

    def start(self, worker: str) -> str | None:
        return "started" if (self.holder, self.state) == (worker, "claimed") else None

    def complete(self, worker: str) -> str | None:
        reporting = self.state in ("claimed", "started", "lost")
        return OUTCOME[worker] if self.holder == worker and reporting else None

    def janitor(self, _worker: str) -> str | None:
        return "lost" if self.state in ("claimed", "started") else None

    def release(self, _worker: str) -> str | None:
        if self.state != "claimed":
            return None
        self.holder = None
        return "available"


@dataclass
class Actors:
    """The same operations on a real run, in a queue of its own."""

    world: World
    run_id: UUID
    queue: str
    owners: dict[str, Owner] = field(default_factory=dict[str, Owner])

    @classmethod
    async def create(cls, world: World) -> "Actors":
        name = str(uuid4())
        created = await world.enqueue(queue=name)
        return cls(world, created.run_id, name)

    def owner(self, worker: str) -> Owner:
        return self.owners.get(worker) or Owner(self.run_id, uuid4())

    async def apply(self, op: str) -> bool:
        """Do it; whether it took effect."""
        worker, _, what = op.rpartition(".")
        return await getattr(self, what)(worker)

    async def claim(self, worker: str) -> bool:
        claims = await queue.claim(self.world.repo, 1, queues=[self.queue])
        assert isinstance(claims, Claims), claims
        for run in claims.runs:
            assert run.id == self.run_id
            self.owners[worker] = run.owner
        return bool(claims.runs)

    async def start(self, worker: str) -> bool:
        return self.told(await self.world.start(self.owner(worker)))

    async def complete(self, worker: str) -> bool:
        return self.told(await self.world.complete(self.owner(worker), OUTCOME[worker]))

    async def janitor(self, _worker: str) -> bool:
        swept = await janitor.mark_lost(
            self.world.repo, default_timeout_s=0, grace_s=0, run_ids=[self.run_id]
        )
        assert not isinstance(swept, Refused), swept
        return bool(swept)

    async def release(self, _worker: str) -> bool:
        """The server releases the latest claim that it knows of."""
        for owner in reversed(list(self.owners.values())):
            event = await queue.release(self.world.repo, owner)
            assert not isinstance(event, Refused), event
            if event is not None:
                return True
        return False

    def told(self, result: Any) -> bool:
        if isinstance(result, Applied):
            return True
        assert isinstance(result, Refused), result
        assert result.kind in ("lease_lost", "invalid"), result
        return False


async def check(actors: Actors, order: tuple[str, ...]) -> None:
    """Run one order against the model: what takes effect, and what that leaves behind."""
    model = Model()
    states = [model.state]
    for op in order:
        expected = model.apply(op)
        assert await actors.apply(op) == expected, (op, order)
        if expected:
            states.append(model.state)
    # Each change is recorded with its state: an operation that had none left the run as it was.
    assert await check_history(actors) == states, order
    run = await actors.world.run(actors.run_id)
    holder = actors.owners[model.holder].lease if model.holder else None
    assert (run["state"], run["lease"]) == (model.state, holder), order


async def check_history(actors: Actors) -> list[str]:
    """The recorded states are a legal path without a gap."""
    rows = await actors.world.rows(
        "SELECT version, payload::text FROM run_events WHERE run_id = $1 ORDER BY version",
        actors.run_id,
    )
    assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
    states = [msgspec.json.decode(row[1])["run"]["state"] for row in rows]
    assert states[0] == "available"
    assert set(itertools.pairwise(states)) <= TRANSITIONS, states
    return states


@pytest.fixture
async def world(repo: Repo) -> World:
    return await World.create(repo)


async def test_every_interleaving_ends_in_a_legal_state_with_one_owner(world: World) -> None:
    waiting = list(interleavings())
    assert len(set(waiting)) == 1120

    async def work() -> None:
        while waiting:
            order = waiting.pop()
            await check(await Actors.create(world), order)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def test_all_at_once_ends_in_a_legal_state_with_one_owner(world: World) -> None:
    seen: set[tuple[str, ...]] = set()
    for _ in range(40):
        actors = await Actors.create(world)

        async def worker(name: str, actors: Actors = actors) -> None:
            await actors.claim(name)
            await actors.start(name)
            await actors.complete(name)

        await asyncio.gather(
            worker("a"), worker("b"), actors.janitor(""), actors.release(""), actors.janitor("")
        )
        states = await check_history(actors)
        run = await world.run(actors.run_id)
        assert run["state"] == states[-1]
        assert run["lease_epoch"] == states.count("claimed")
        assert run["lease"] in {None, *(owner.lease for owner in actors.owners.values())}
        assert sum(state in OUTCOMES for state in states) <= 1
        seen.add(tuple(states))
    assert seen
