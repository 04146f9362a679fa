"""Liveness before age: who counts as present, and who loses runs by absence (12.4).

Time is made to pass by moving the moments that the database holds, never by waiting.
"""

from uuid import UUID, uuid4

import pytest

from channel_server.testing.client import SocketClient
from channel_server.testing.inprocess import InProcessPeer
from handlers.janitor import Janitor
from handlers.leases import LeaseWatch
from handlers.presence import KEPT_FOR, PRUNE_INTERVAL, Presence
from schema import worker_sessions
from tests.handlers.bench import TIMEOUT, Bench, Run, stamp
from tests.handlers.conftest import MakeBench


async def sweep(bench: Bench) -> int:
    return await Janitor(bench.app.gateway).sweep()


async def settled(bench: Bench) -> None:
    await bench.app.gateway.presence.settled(TIMEOUT)


async def vanish(bench: Bench, worker: SocketClient, seconds: float = 61) -> None:
    """The worker's connection breaks, so many seconds ago."""
    await worker.peer.abort()
    await settled(bench)
    await bench.world.rows(
        "UPDATE worker_sessions SET disconnected_at = disconnected_at - make_interval(secs => $1)"
        " WHERE disconnected_at IS NOT NULL",
        seconds,
    )


async def unseen(bench: Bench, server: UUID, seconds: float) -> None:
    """The server gave its last heartbeat so many seconds ago."""
    await bench.world.rows(
        "UPDATE servers SET seen_at = now() - make_interval(secs => $2) WHERE id = $1",
        *(server, seconds),
    )


async def error_type(bench: Bench, run: Run) -> str | None:
    row = await bench.world.run(run.id)
    return None if row["state"] != "lost" else row["error_type"]


async def test_a_worker_that_is_gone_too_long_loses_its_runs(bench: Bench) -> None:
    worker = await bench.worker()
    run = await bench.run(worker)
    await run.call("run:start", {"timestamp": stamp()})
    step_id = str(uuid4())
    await run.call("step:start", {"step_id": step_id, "job_id": str(bench.world.job)})
    watcher = await bench.watch(run)
    await vanish(bench, worker)
    assert await sweep(bench) == 1
    assert await error_type(bench, run) == "LostAfterDisconnect"
    assert bench.app.gateway.metrics.runs_lost == {"LostAfterDisconnect": 1}
    await watcher.assert_broadcast("step:completed", {"step": {"exit_reason": "lost"}})
    await watcher.assert_broadcast("run:updated", {"run": {"error_type": "LostAfterDisconnect"}})


async def test_a_claimed_run_that_was_joined_is_lost_by_absence_too(bench: Bench) -> None:
    worker = await bench.worker()
    run = await bench.run(worker)
    await vanish(bench, worker)
    assert await sweep(bench) == 1
    assert await error_type(bench, run) == "LostAfterDisconnect"


async def test_a_worker_may_be_away_for_less_than_the_setting(make_bench: MakeBench) -> None:
    bench = await make_bench(worker_gone_after=300.0)
    worker = await bench.worker()
    run = await bench.run(worker)
    await vanish(bench, worker, 290)
    assert await sweep(bench) == 0
    assert await bench.state(run) == "claimed"


async def test_a_connected_worker_keeps_its_runs_however_silent_it_is(bench: Bench) -> None:
    await bench.started()
    await bench.world.rows("UPDATE worker_sessions SET connected_at = now() - interval '1 day'")
    assert await sweep(bench) == 0


async def test_the_run_timeout_is_a_second_limit_for_workers_that_are_there(bench: Bench) -> None:
    run = await bench.started()
    await bench.world.rows("UPDATE runs SET claimed_at = claimed_at - interval '1 hour'")
    assert await sweep(bench) == 1
    assert await error_type(bench, run) == "LostAfterStart"


async def test_a_worker_that_came_back_on_another_socket_is_present(bench: Bench) -> None:
    first = await bench.worker("w")
    run = await bench.run(first)
    await vanish(bench, first)
    await bench.worker("w")
    assert await sweep(bench) == 0
    assert await bench.state(run) == "claimed"


async def test_another_worker_does_not_keep_the_runs_of_one_that_is_gone(bench: Bench) -> None:
    first = await bench.worker("w")
    await bench.run(first)
    await bench.worker("v")
    await vanish(bench, first)
    assert await sweep(bench) == 1


async def test_a_join_by_the_lease_holder_moves_the_run_to_its_new_socket(bench: Bench) -> None:
    first = await bench.worker()
    run_id, token = await bench.claimed(first)
    claimed_on = (await bench.world.run(run_id))["session_id"]
    await bench.join(run_id, token, first)
    assert (await bench.world.run(run_id))["session_id"] == claimed_on
    second = await bench.worker()
    await bench.join(run_id, token, second)
    joined_on = (await bench.world.run(run_id))["session_id"]
    assert joined_on != claimed_on
    assert {claimed_on, joined_on} == {
        row[0] for row in await bench.world.rows("SELECT id FROM worker_sessions")
    }


async def test_a_join_with_an_old_lease_does_not_move_the_run(make_bench: MakeBench) -> None:
    bench = await make_bench(unheard_claim_after=0.001)
    run_id, token = await bench.claimed()
    assert await LeaseWatch(bench.app.gateway).check() == 1
    assert (await bench.world.run(run_id))["session_id"] is None
    queue = await (await bench.worker("owner")).join("worker:queue")
    await bench.claim(queue)
    owned = (await bench.world.run(run_id))["session_id"]
    await bench.join(run_id, token)
    assert (await bench.world.run(run_id))["session_id"] == owned


async def test_workers_of_a_server_that_is_not_seen_are_gone(
    bench: Bench, make_bench: MakeBench
) -> None:
    run = await bench.started()
    other = await make_bench()
    await unseen(bench, bench.app.gateway.presence.server.id, 59)
    assert await sweep(other) == 0
    await unseen(bench, bench.app.gateway.presence.server.id, 61)
    assert await sweep(other) == 1
    assert await error_type(bench, run) == "LostAfterDisconnect"


async def test_a_worker_that_moved_to_another_server_is_present(
    bench: Bench, make_bench: MakeBench
) -> None:
    run = await bench.started()
    other = await make_bench()
    await other.worker("worker-1")
    await unseen(bench, bench.app.gateway.presence.server.id, 3600)
    assert await sweep(other) == 0
    assert await bench.state(run) == "started"


async def fresh_judge(bench: Bench) -> None:
    """The server of the bench has just started."""
    await bench.world.rows("UPDATE servers SET watching_since = now() RETURNING 1")


async def test_a_server_that_has_just_started_condemns_nobody(bench: Bench) -> None:
    worker = await bench.worker()
    run = await bench.run(worker)
    await bench.run(await bench.worker("other"))
    await vanish(bench, worker, 7200)
    await bench.world.rows("UPDATE runs SET claimed_at = claimed_at - interval '1 hour'")
    await fresh_judge(bench)
    assert await sweep(bench) == 0
    await bench.world.rows("UPDATE servers SET watching_since = now() - interval '61 seconds'")
    assert await sweep(bench) == 2
    assert await error_type(bench, run) == "LostAfterDisconnect"


async def test_a_server_that_missed_heartbeats_has_not_watched(bench: Bench) -> None:
    """So an outage of the database condemns nobody: nobody could be seen during it."""
    worker = await bench.worker()
    await bench.run(worker)
    await vanish(bench, worker, 7200)
    presence = Presence(bench.app.settings, bench.app.repo, lambda _events: None)
    gap = bench.app.settings.heartbeat_gap
    bench.app.gateway.presence = presence
    assert await presence.beat()
    for silent, judges in ((gap - 1, True), (gap + 1, False)):
        await bench.world.rows("UPDATE servers SET watching_since = now() - interval '1 hour'")
        await unseen(bench, presence.server.id, silent)
        assert await presence.beat()
        watching = await bench.world.value(
            "SELECT watching_since < now() - interval '1 minute' FROM servers WHERE id = $1",
            presence.server.id,
        )
        assert watching is judges
    assert await sweep(bench) == 0


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_step_of_the_clock_of_the_database_condemns_nobody(
    bench: Bench, hours: int
) -> None:
    """A clock that jumps by an hour is the same as all moments moved by an hour."""
    worker = await bench.worker()
    await bench.run(worker)
    await vanish(bench, worker, 10)
    presence = bench.app.gateway.presence
    presence.watch = type(presence.watch)(presence.server.id, bench.app.settings.heartbeat_gap)
    step = f"interval '{hours} hours'"
    await bench.world.rows(
        f"UPDATE servers SET seen_at = seen_at - {step}, watching_since = watching_since - {step}"
    )
    await bench.world.rows(f"UPDATE worker_sessions SET disconnected_at = disconnected_at - {step}")
    assert await sweep(bench) == 0
    assert await presence.beat()
    assert await sweep(bench) == 0


async def test_an_unheard_claim_outlasts_a_time_when_nobody_could_join(bench: Bench) -> None:
    run_id, _ = await bench.claimed()
    await bench.world.rows("UPDATE runs SET claimed_at = claimed_at - interval '1 hour'")
    await fresh_judge(bench)
    assert await LeaseWatch(bench.app.gateway).check() == 0
    assert await bench.state(run_id) == "claimed"
    await bench.world.rows("UPDATE servers SET watching_since = now() - interval '11 seconds'")
    assert await LeaseWatch(bench.app.gateway).check() == 1


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "bye"), (1005, "")])
async def test_a_worker_that_says_goodbye_releases_what_it_has_not_started(
    bench: Bench, code: int, reason: str
) -> None:
    worker = await bench.worker()
    unheard, _ = await bench.claimed(worker)
    joined = await bench.run(worker)
    started = await bench.run(worker)
    await started.call("run:start", {})
    watcher = await bench.watch(joined)
    queue = await (await bench.worker("other")).join("worker:queue")
    await worker.peer.close(code, reason)
    await settled(bench)
    states = [await bench.state(run) for run in (unheard, joined, started)]
    assert states == ["available", "available", "started"]
    assert bench.app.gateway.metrics.runs_released == {"clean_shutdown": 2}
    await watcher.assert_broadcast("run:updated", {"run": {"state": "available"}})
    await queue.assert_broadcast("work-available", timeout=TIMEOUT)
    assert {offer["id"] for offer in await bench.claim(queue, 5)} == {
        str(unheard),
        str(joined.id),
    }


async def test_a_connection_that_breaks_releases_nothing(bench: Bench) -> None:
    worker = await bench.worker()
    run_id, token = await bench.claimed(worker)
    await worker.peer.abort()
    await settled(bench)
    assert await bench.state(run_id) == "claimed"
    again = await bench.join(run_id, token)
    assert await again.call("run:start", {}) is None


async def test_a_heartbeat_that_was_not_answered_is_no_goodbye(bench: Bench) -> None:
    worker = await bench.worker()
    run_id, _ = await bench.claimed(worker)
    await worker.peer.close(1000, "heartbeat timeout")
    await settled(bench)
    assert await bench.state(run_id) == "claimed"


async def test_a_drain_of_the_server_is_no_goodbye_of_the_worker(bench: Bench) -> None:
    worker = await bench.worker()
    run_id, _ = await bench.claimed(worker)
    assert isinstance(worker.peer, InProcessPeer)
    worker.peer.connection.drain()
    assert await worker.peer.wait_closed(TIMEOUT) == 1012
    await settled(bench)
    assert await bench.state(run_id) == "claimed"
    assert await bench.world.value("SELECT clean FROM worker_sessions") is False


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_only_the_last_socket_of_a_worker_releases_its_claims(
    bench: Bench, make_bench: MakeBench, *, elsewhere: bool
) -> None:
    old = await bench.worker("w")
    run_id, _ = await bench.claimed(old)
    new = await (await make_bench() if elsewhere else bench).worker("w")
    await old.peer.close(1000)
    await settled(bench)
    assert await bench.state(run_id) == "claimed"
    await new.peer.close(1000)
    await settled(bench)
    if not elsewhere:
        assert await bench.state(run_id) == "available"


async def test_a_reconnect_with_join_leave_join_loses_no_claim(bench: Bench) -> None:
    worker = await bench.worker("w")
    run_id, token = await bench.claimed(worker)
    await worker.peer.abort()
    again = await bench.worker("w")
    await again.join("worker:queue", {"capacity": 1})
    leave = await again.join("worker:queue", {"capacity": 1})
    await leave.leave()
    await again.join("worker:queue", {"capacity": 1})
    run = await bench.join(run_id, token, again)
    assert await run.call("run:start", {}) is None
    assert await sweep(bench) == 0


async def test_an_event_that_came_before_the_goodbye_comes_first(bench: Bench) -> None:
    worker = await bench.worker()
    run = await bench.run(worker)
    await run.channel.push("run:start", {})
    await worker.peer.close(1000)
    await settled(bench)
    assert await bench.state(run) == "started"


async def test_a_claim_waits_for_the_row_of_its_socket(bench: Bench) -> None:
    """No run ever names a socket that is not there, so no absence goes unnoticed."""
    created = [await bench.enqueue() for _ in range(8)]
    token = bench.app.gateway.worker_tokens.issue("w")
    for _ in created:
        socket = await bench.connect_worker(token)
        queue = await socket.join("worker:queue")
        assert len(await bench.claim(queue)) == 1
    orphans = await bench.world.value(
        "SELECT count(*) FROM runs r WHERE state = 'claimed'"
        " AND NOT EXISTS (SELECT 1 FROM worker_sessions s WHERE s.id = r.session_id)"
    )
    assert orphans == 0


async def test_a_server_that_was_forgotten_writes_its_sockets_again(bench: Bench) -> None:
    await bench.worker("w")
    await bench.world.rows("DELETE FROM servers")
    assert await bench.world.value("SELECT count(*) FROM worker_sessions") == 0
    assert await bench.app.gateway.presence.beat()
    await settled(bench)
    assert await bench.world.value("SELECT worker_id FROM worker_sessions") == "w"


async def test_sockets_that_are_gone_are_forgotten_unless_they_hold_a_run(bench: Bench) -> None:
    holder, idle, _online = [await bench.worker(name) for name in ("holder", "idle", "online")]
    await bench.run(holder)
    for worker in (holder, idle):
        await vanish(bench, worker, KEPT_FOR + 1)
    assert await worker_sessions.prune(bench.app.repo, KEPT_FOR) == 1
    rows = await bench.world.rows("SELECT worker_id FROM worker_sessions ORDER BY 1")
    assert [row[0] for row in rows] == ["holder", "online"]


async def test_servers_that_are_not_seen_are_forgotten_with_their_sockets(bench: Bench) -> None:
    await bench.worker()
    await unseen(bench, bench.app.gateway.presence.server.id, KEPT_FOR + 1)
    assert await worker_sessions.prune(bench.app.repo, KEPT_FOR) == 1
    assert await worker_sessions.prune(bench.app.repo, KEPT_FOR) == 0
    assert await bench.world.value("SELECT count(*) FROM servers") == 0
    assert PRUNE_INTERVAL < KEPT_FOR


async def test_workers_whose_token_names_none_are_told_apart(bench: Bench) -> None:
    token = bench.app.gateway.worker_tokens._key.sign({"iss": "urn:openfn:worker"})  # pyright: ignore[reportPrivateUsage]
    first, _second = [await bench.connect_worker(token) for _ in range(2)]
    await settled(bench)
    await bench.run(first)
    await vanish(bench, first)
    assert await sweep(bench) == 1
