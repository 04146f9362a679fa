"""A revoked token opens nothing any more, and what it has opened is closed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from channel_server.client_errors import ConnectRefused
from channel_server.testing.client import SocketClient, connect
from handlers.application import USER_MOUNT, WORKER_MOUNT, Application
from handlers.http.event_stream import Watched, stream
from handlers.revocations import Revocations, RevocationWatch
from handlers.run_tokens import User, WorkerIdentity
from schema import revocations
from schema.refused import Refused
from schema.revocations import Kind
from tests.handlers.bench import TIMEOUT, Bench, settings

SENT_AWAY = 1008


async def revoke(bench: Bench, kind: Kind, value: str, **more: Any) -> None:
    """Revoke, and let the bench's process hear of it."""
    assert await revocations.revoke(bench.app.repo, kind, value, by="ana", **more) is None
    assert await bench.app.gateway.revocation_watch.read()


async def user_of(bench: Bench, subject: str) -> tuple[str, User, SocketClient]:
    tokens = bench.app.gateway.user_tokens
    token = tokens.issue(subject, [bench.world.project.id], "viewer", 3600)
    user = tokens.verify(token)
    assert user is not None
    return token, user, await bench.connect(USER_MOUNT, token)


async def refused(bench: Bench, mount: str, token: str) -> bool:
    try:
        await bench.connect(mount, token)
    except ConnectRefused as error:
        return error.status == 403
    return False


def closed(socket: SocketClient) -> int | None:
    """The code that a socket was closed with, if it was."""
    code = socket.peer.close_code
    return None if code is None else int(code)


async def test_a_revoked_user_token_is_closed_with_1008_and_refused_from_then_on(
    bench: Bench,
) -> None:
    token, user, socket = await user_of(bench, "ana")
    other_token, _, other = await user_of(bench, "ana")
    assert user.token_id is not None
    await revoke(bench, "token", user.token_id)
    assert (closed(socket), closed(other)) == (SENT_AWAY, None)
    assert await refused(bench, USER_MOUNT, token)
    assert not await refused(bench, USER_MOUNT, other_token)


async def test_all_tokens_of_a_subject_are_revoked_at_once_and_nobody_elses(
    bench: Bench,
) -> None:
    token, _, one = await user_of(bench, "mallory")
    _, _, two = await user_of(bench, "mallory")
    _, _, other = await user_of(bench, "ana")
    await revoke(bench, "user", "mallory")
    assert [closed(socket) for socket in (one, two, other)] == [SENT_AWAY, SENT_AWAY, None]
    assert await refused(bench, USER_MOUNT, token)


async def test_a_subject_gets_in_again_with_a_token_issued_later() -> None:
    known = Revocations()
    moment = 1_000_000.0
    entry = revocations.Revocation("user", "ana", None, "eve", at(moment), None)
    assert known.replace([entry])
    before = User("ana", frozenset(), "viewer", None, None, "t", moment)
    assert known.user(before)
    assert known.user(User("ana", frozenset(), "viewer", None))  # does not say when
    later = User("ana", frozenset(), "viewer", None, None, "t", moment + 10)
    assert not known.user(later)


async def test_a_revoked_worker_is_closed_and_refused(bench: Bench) -> None:
    worker, other = await bench.worker("worker-1"), await bench.worker("worker-2")
    await revoke(bench, "worker", "worker-1")
    assert (closed(worker), closed(other)) == (SENT_AWAY, None)
    tokens = bench.app.gateway.worker_tokens
    assert await refused(bench, WORKER_MOUNT, tokens.issue("worker-1"))
    assert not await refused(bench, WORKER_MOUNT, tokens.issue("worker-3"))


async def test_what_was_restored_counts_again(bench: Bench) -> None:
    token, user, _ = await user_of(bench, "ana")
    assert user.token_id is not None
    await revoke(bench, "token", user.token_id)
    repo = bench.app.repo
    assert await revocations.restore(repo, "token", user.token_id) is True
    assert await revocations.restore(repo, "token", user.token_id) is False
    assert await bench.app.gateway.revocation_watch.read()
    assert not await refused(bench, USER_MOUNT, token)


async def test_who_is_not_on_the_list_is_not_disturbed_by_it(bench: Bench) -> None:
    _, _, socket = await user_of(bench, "ana")
    channel = await socket.join(f"project:{bench.world.project.id}", timeout=TIMEOUT)
    for number in range(3):
        await revoke(bench, "token", f"nobody-{number}")
    assert closed(socket) is None
    pushed = await channel.push("nonsense", {})
    await channel.assert_reply(pushed, "error", {"reason": "unknown event"})


async def test_a_list_that_cannot_be_read_leaves_the_last_one_in_force(bench: Bench) -> None:
    token, user, _ = await user_of(bench, "ana")
    assert user.token_id is not None
    await revoke(bench, "token", user.token_id)

    class Away:
        async def fetch(self, *_arguments: Any) -> Refused:
            return Refused(kind="unavailable", retryable=True, code="unavailable")

    gateway = bench.app.gateway
    away: Any = Away()
    watch = RevocationWatch(away, gateway.revocations, bench.app.pubsub, 15.0)
    with capture_logs() as logged:
        assert not await watch.read()
    assert [line["event"] for line in logged] == ["revocations_unreadable"]
    assert await refused(bench, USER_MOUNT, token)


async def test_entries_of_tokens_that_have_expired_are_forgotten(bench: Bench) -> None:
    repo = bench.app.repo
    await revocations.revoke(repo, "token", "old", by="ana", expires_at=at(0))
    assert await revocations.listed(repo) == []
    await revocations.revoke(repo, "token", "new", by="ana")
    assert await bench.world.value("SELECT count(*) FROM revocations") == 1


async def test_a_value_that_is_empty_or_of_no_kind_is_refused(bench: Bench) -> None:
    empty = await revocations.revoke(bench.app.repo, "token", "", by="ana")
    assert isinstance(empty, Refused)
    assert (empty.errors, empty.constraint) == (
        {"value": ["is invalid"]},
        "revocations_value_check",
    )
    odd: Any = "planet"
    strange = await revocations.revoke(bench.app.repo, odd, "x", by="ana")
    assert isinstance(strange, Refused)
    assert strange.constraint == "revocations_kind_check"


@pytest.fixture
async def two(database_url: str) -> AsyncIterator[list[Application]]:
    """Two server processes, as far as the database can tell, on one database."""
    # Half a minute between two readings, which no test waits for: they hear of the notice.
    made = settings(database_url, revocation_recheck=30.0)
    apps = [await Application(made).start() for _ in range(2)]
    yield apps
    for app in apps:
        await app.stop(drain=False)


async def test_every_server_of_a_database_hears_of_a_revocation_at_once(
    two: list[Application],
) -> None:
    token = two[0].gateway.user_tokens.issue("ana", [uuid4()], "viewer", 3600)
    user = two[0].gateway.user_tokens.verify(token)
    assert user is not None
    assert user.token_id is not None
    sockets = [
        await connect(app.sockets[USER_MOUNT], {"token": token}, pubsub=app.pubsub) for app in two
    ]
    for app in two:
        app.gateway.revocation_watch.signals.clear()
    await revocations.revoke(two[0].repo, "token", user.token_id, by="ana")
    for app, socket in zip(two, sockets, strict=True):
        await app.gateway.revocation_watch.signals.wait("read")
        assert closed(socket) == SENT_AWAY
        with pytest.raises(ConnectRefused):
            await connect(app.sockets[USER_MOUNT], {"token": token}, pubsub=app.pubsub)


async def test_a_lost_notice_costs_no_more_than_the_time_between_two_readings(
    bench: Bench,
) -> None:
    _, user, socket = await user_of(bench, "ana")
    assert user.token_id is not None
    # Nothing listens in this application, so no notice arrives.
    await revocations.revoke(bench.app.repo, "token", user.token_id, by="ana")
    gateway = bench.app.gateway
    watch = RevocationWatch(bench.app.repo, gateway.revocations, bench.app.pubsub, 0.01)
    await watch.start()
    try:
        async with asyncio.timeout(TIMEOUT):
            while closed(socket) is None:
                await watch.signals.wait("read")
    finally:
        await watch.stop()
    assert closed(socket) == SENT_AWAY


async def test_an_event_stream_ends_with_the_token_of_its_client(bench: Bench) -> None:
    gateway = bench.app.gateway
    _, user, _ = await user_of(bench, "ana")
    woken: list[Any] = []

    def subscribe(told: Any) -> Any:
        woken.append(told)
        return lambda: None

    number = iter(range(100))

    async def look() -> dict[str, Any]:
        return {"number": next(number)}

    watched = Watched("seen", look, lambda _wire: False, lambda wire: wire, subscribe)
    events = stream(
        watched,
        gateway.feed,
        gateway.settings,
        may_stay=lambda: gateway.user_tokens.good(user),
    )
    assert b"number" in await anext(events)
    assert user.token_id is not None
    await revoke(bench, "token", user.token_id)
    woken[0](None)
    with pytest.raises(StopAsyncIteration):
        await anext(events)


def test_a_worker_without_a_name_is_revoked_by_none() -> None:
    known = Revocations()
    known.replace([revocations.Revocation("worker", "None", None, "ana", at(0), None)])
    assert not known.worker(WorkerIdentity(None))
    assert len(known) == 1


def at(seconds: float) -> Any:
    """A moment, in Unix seconds."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC)
