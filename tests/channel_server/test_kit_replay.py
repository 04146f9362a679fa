"""Replay: which orders are allowed, and what a failure says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from channel_server.testing.fixture import parse
from channel_server.testing.inprocess import InProcess
from channel_server.testing.replay import Player, Report, replay
from channel_server.testing.rooms import RoomSocket

ROOM = "room:{{uuid:room}}"
JOIN: list[Any] = ["1", "1", ROOM, "phx_join", {}]
JOINED: list[Any] = [
    "1",
    "1",
    ROOM,
    "phx_reply",
    {"status": "ok", "response": {"room": ROOM, "got": {}}},
]


def send(*frame: Any, conn: int = 1) -> str:
    return json.dumps({"dir": "client", "conn": conn, "frame": list(frame)})


def expect(*frame: Any, conn: int = 1) -> str:
    return json.dumps({"dir": "server", "conn": conn, "frame": list(frame)})


def reply(ref: str, response: Any, status: str = "ok") -> str:
    return expect("1", ref, ROOM, "phx_reply", {"status": status, "response": response})


@pytest.fixture
def server(in_process: Callable[..., InProcess]) -> InProcess:
    return in_process({"/socket": RoomSocket})


async def play(server: InProcess, *lines: str, **header: Any) -> Report:
    first = json.dumps({"name": "test"} | header)
    fixture = parse([first, send(*JOIN), expect(*JOINED), *lines])
    return await replay(fixture, server.dial)


async def test_a_conversation_that_goes_as_written_is_ok(server: InProcess) -> None:
    report = await play(
        server,
        send("1", "2", ROOM, "echo", {"id": "{{uuid:made}}", "at": "{{ts}}"}),
        reply("2", {"id": "{{uuid:made}}", "at": "{{ts}}"}),
        send("1", "3", ROOM, "echo", {"{{binary}}": "AAE="}),
        reply("3", {"{{binary}}": "AAE="}),
        send("1", "4", ROOM, "shout", {"n": 1}),
        expect(None, None, ROOM, "shouted", {"n": 1}),
        reply("4", {}),
        send("1", "5", ROOM, "phx_leave", {}),
        reply("5", {}),
        expect("1", "1", ROOM, "phx_close", {}),
    )
    report.check()
    assert (report.ok, report.steps) == (True, 12)


async def test_replies_and_pushes_may_interleave(server: InProcess) -> None:
    report = await play(
        server,
        send("1", "2", ROOM, "whisper", {"n": 1}),
        send("1", "3", ROOM, "echo", {}),
        send("1", "4", ROOM, "whisper", {"n": 2}),
        reply("3", {}),
        expect("1", None, ROOM, "whispered", {"n": 1}),
        expect("1", None, ROOM, "whispered", {"n": 2}),
    )
    report.check()


async def test_pushes_of_one_topic_come_in_order(server: InProcess) -> None:
    report = await play(
        server,
        send("1", "2", ROOM, "whisper", {"n": 1}),
        send("1", "3", ROOM, "whisper", {"n": 2}),
        expect("1", None, ROOM, "whispered", {"n": 2}),
        expect("1", None, ROOM, "whispered", {"n": 1}),
    )
    assert "$[4].n: expected 2, got 1" in str(report.failure)


async def test_a_different_reply_is_shown_with_its_place_and_line(server: InProcess) -> None:
    report = await play(server, send("1", "2", ROOM, "echo", {"a": [1]}), reply("2", {"a": [2]}))
    assert not report.ok
    assert "line 5" in str(report.failure)
    assert "$[4].response.a[0]: expected 2, got 1" in str(report.failure)
    with pytest.raises(AssertionError, match="test: line 5"):
        report.check()


async def test_a_frame_that_does_not_come_is_a_failure_with_what_came(server: InProcess) -> None:
    report = await play(
        server,
        send("1", "2", ROOM, "whisper", {"n": 1}),
        send("1", "3", ROOM, "silent", {}),
        reply("3", {}),
    )
    assert "did not come; what came instead" in str(report.failure)
    assert '"whispered"' in str(report.failure)


async def test_a_surplus_frame_is_a_failure(server: InProcess) -> None:
    report = await play(server, send("1", "2", ROOM, "whisper", {"n": 1}))
    assert "nobody expected" in str(report.failure)


async def test_ignored_frames_may_come_at_any_time(server: InProcess) -> None:
    report = await play(
        server,
        send("1", "2", ROOM, "whisper", {"n": 1}),
        send("1", "3", ROOM, "echo", {}),
        reply("3", {}),
        ignore=[[ROOM, "whispered"]],
    )
    report.check()


async def test_a_refused_connection_can_be_expected(server: InProcess) -> None:
    lines = ['{"name": "x"}', '{"do": "connect", "params": {"refuse": "1"}, "expect": 403}']
    (await replay(parse(lines), server.dial)).check()


@pytest.mark.parametrize(
    ("line", "failure"),
    [
        ('{"do": "connect", "params": {"refuse": "1"}}', "expected a connection"),
        ('{"do": "connect", "params": {"refuse": "1"}, "expect": 503}', "expected 503"),
        ('{"do": "connect", "expect": 403}', "was accepted"),
        ('{"dir": "client", "frame": [null, "1", "t", "{{token:t}}", {}]}', "nothing is bound"),
        ('{"dir": "server", "close": 1012}', "was not closed"),
        ('{"do": "dance"}', "no action 'dance' here (known: none)"),
    ],
)
async def test_a_step_that_fails_ends_the_replay(
    server: InProcess, line: str, failure: str
) -> None:
    report = await replay(parse(['{"name": "x"}', line]), server.dial)
    assert (report.steps, report.ok) == (0, False)
    assert failure in str(report.failure)


async def test_a_close_by_the_server_is_compared(server: InProcess) -> None:
    async def kick(player: Player, arguments: dict[str, Any]) -> None:
        assert arguments == {"user": "ada"}
        server.pubsub.broadcast("user:ada", "disconnect", {})

    def lines(code: int) -> list[str]:
        return [
            '{"name": "x", "params": {"name": "ada"}}',
            '{"do": "connect"}',
            '{"do": "kick", "user": "ada"}',
            f'{{"dir": "server", "close": {code}}}',
        ]

    (await replay(parse(lines(1001)), server.dial, actions={"kick": kick})).check()
    report = await replay(parse(lines(1012)), server.dial, actions={"kick": kick})
    assert "closed with 1001" in str(report.failure)


async def test_after_a_close_nothing_can_be_sent(server: InProcess) -> None:
    for close in ('{"do": "close", "code": 1000}', '{"do": "close"}'):
        report = await play(server, close, send("1", "2", ROOM, "echo", {}))
        assert "disconnected" in str(report.failure)


async def test_two_connections_are_told_apart(server: InProcess) -> None:
    report = await play(
        server,
        send(*JOIN, conn=2),
        expect(*JOINED, conn=2),
        send("1", "2", ROOM, "shout", {}),
        expect(None, None, ROOM, "shouted", {}, conn=2),
        expect(None, None, ROOM, "shouted", {}),
        reply("2", {}),
    )
    report.check()


async def test_bindings_are_given_and_files_are_read(server: InProcess, tmp_path: Path) -> None:
    path = tmp_path / "given.jsonl"
    path.write_text("\n".join(['{"name": "given"}', send(*JOIN), expect(*JOINED)]))
    room = "6e11745f-d7c3-4548-b926-a788b5aff521"
    (await replay(path, server.dial, bindings={"uuid:room": room})).check()
    assert server.peers[0].connection.topics() == []


async def test_the_plugin_raises_the_difference(
    server: InProcess, replay_fixture: Callable[..., Any]
) -> None:
    with pytest.raises(AssertionError, match="no action"):
        await replay_fixture(parse(['{"name": "x"}', '{"do": "dance"}']), server.dial)
