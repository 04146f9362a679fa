"""The read model of workers: one row per worker, however many sockets it had."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from schema import worker_sessions, workers
from schema.refused import Refused
from schema.repo import Repo
from schema.worker_sessions import Server, Session
from tests.schema.world import World, project

SERVER = Server(uuid4(), "host:1", "1.2.3")


@pytest.fixture
async def world(repo: Repo) -> World:
    return await World.create(repo)


async def open_socket(world: World, worker_id: str, **more: object) -> Session:
    session = Session(uuid4(), worker_id)
    for name, value in more.items():
        setattr(session, name, value)
    assert await worker_sessions.write(world.repo, SERVER, [session]) is None
    return session


async def close_socket(world: World, session: Session, ago_s: float = 0) -> None:
    session.closed = True
    assert await worker_sessions.write(world.repo, SERVER, [session]) is None
    await world.rows(
        "UPDATE worker_sessions SET disconnected_at = now() - make_interval(secs => $2)"
        " WHERE id = $1",
        *(session.id, ago_s),
    )


async def hold(world: World, session: Session) -> UUID:
    await world.enqueue()
    (run,) = await world.claim(session_id=session.id)
    return run.id


async def connected(world: World, projects: Sequence[UUID] | None = None) -> list[workers.Worker]:
    found = await workers.connected(world.repo, projects)
    assert not isinstance(found, Refused)
    return found


async def test_a_worker_is_shown_with_what_it_says_of_itself(world: World) -> None:
    session = await open_socket(
        world, "w", worker_name="pod-1", worker_version="1.25.0", api_version="1.2", capacity=5
    )
    run = await hold(world, session)
    (worker,) = await connected(world)
    assert (worker.id, worker.name, worker.version, worker.capacity) == ("w", "pod-1", "1.25.0", 5)
    assert (worker.online, worker.server) == (True, "host:1")
    assert (worker.runs, worker.runs_held) == ([run], 1)
    assert worker.connected_at <= worker.seen_at


async def test_a_worker_that_reconnected_is_one_worker(world: World) -> None:
    first = await open_socket(world, "w", worker_name="pod-1")
    run = await hold(world, first)
    await close_socket(world, first)
    await open_socket(world, "w", capacity=2)
    (worker,) = await connected(world)
    assert (worker.online, worker.name, worker.capacity) == (True, "pod-1", 2)
    assert worker.runs == [run]


async def test_those_who_are_there_come_first_and_who_left_long_ago_is_not_shown(
    world: World,
) -> None:
    await close_socket(world, await open_socket(world, "a-just-left"), 5)
    await close_socket(world, await open_socket(world, "b-long-gone"), workers.SHOWN_FOR_S + 5)
    await open_socket(world, "c-there")
    shown = [(worker.id, worker.online) for worker in await connected(world)]
    assert shown == [("c-there", True), ("a-just-left", False)]


async def test_who_holds_a_run_is_shown_however_long_it_is_gone(world: World) -> None:
    session = await open_socket(world, "w")
    run = await hold(world, session)
    await close_socket(world, session, 86_400)
    (worker,) = await connected(world)
    assert (worker.online, worker.runs) == (False, [run])


async def test_workers_of_a_server_that_is_not_seen_are_not_online(world: World) -> None:
    await open_socket(world, "w")
    await world.rows("UPDATE servers SET seen_at = now() - interval '61 seconds'")
    (worker,) = await connected(world)
    assert worker.online is False


async def test_runs_of_other_projects_are_not_shown(world: World) -> None:
    other = await World.create(world.repo, project("other"))
    session = await open_socket(world, "w")
    mine, theirs = await hold(world, session), await hold(other, session)
    assert (await connected(world, [world.project.id]))[0].runs == [mine]
    assert (await connected(world, []))[0].runs == []
    roster = await workers.roster(world.repo, [world.project.id, other.project.id])
    assert not isinstance(roster, Refused)
    assert roster.of(other.project.id)[0].runs == [theirs]
    assert roster.of(uuid4())[0].runs_held == 0
