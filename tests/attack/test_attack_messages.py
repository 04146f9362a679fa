"""Messages that are no messages, or odd ones: refused by name, and nobody else notices."""

import json
from typing import Any

import pytest

from channel_server.testing.raw import BINARY, TEXT
from tests.attack.target import Target, alive

KIB = 1024
DEEP = b'["1","1","t","e",' + b"[" * 64 + b"]" * 64 + b"]"

MALFORMED = [
    ("binary garbage in a text frame", TEXT, bytes(range(128)), 1007),
    ("an html page", TEXT, b"<html>", 1007),
    ("a V1 frame to a V2 socket", TEXT, b'{"topic":"t","event":"e","payload":{},"ref":"1"}', 1008),
    ("an empty array", TEXT, b"[]", 1008),
    ("one element", TEXT, b'["1"]', 1008),
    ("four elements", TEXT, b'["1","1","t","e"]', 1008),
    ("a string", TEXT, b'"phx_join"', 1008),
    ("true", TEXT, b"true", 1008),
    ("two messages in one frame", TEXT, b"[1,1,1,1,1][1,1,1,1,1]", 1007),
    ("a trailing comma", TEXT, b'["1","1","t","e",{},]', 1007),
    ("a comment", TEXT, b'["1","1","t","e",{}] //', 1007),
    ("NaN", TEXT, b'["1","1","t","e",NaN]', 1007),
    ("Infinity", TEXT, b'["1","1","t","e",Infinity]', 1007),
    ("one level too deep", TEXT, DEEP, 1008),
    ("100 000 brackets of a 64 KiB frame", TEXT, b"[" * 60_000, 1008),
    ("deep objects", TEXT, b'{"a":' * 10_000, 1008),
    ("a byte order mark", TEXT, b'\xef\xbb\xbf["1","1","t","e",{}]', 1007),
    ("a newline inside a string", TEXT, b'["1","1","t\n","e",{}]', 1007),
    ("overlong utf-8", TEXT, b'["1","1","t","\xc0\x80",{}]', 1007),
    ("a surrogate in utf-8", TEXT, b'["1","1","t","\xed\xa0\x80",{}]', 1007),
    ("a binary frame of an unknown kind", BINARY, b"\xff" * 40, 1003),
    ("a binary frame whose lengths lie", BINARY, b"\x00\xff\xff\xff\xff" + b"a" * 40, 1008),
    ("a binary frame whose topic is no text", BINARY, b"\x00\x00\x00\x02\x01\xff\xfee", 1007),
    ("a binary frame with json", BINARY, b'["1","1","t","e",{}]', 1003),
]


@pytest.mark.parametrize("mount", ["socket", "worker"])
@pytest.mark.parametrize(
    ("opcode", "data", "code"),
    [case[1:] for case in MALFORMED],
    ids=[case[0] for case in MALFORMED],
)
async def test_what_is_no_message_closes_its_sender_with_a_code_that_says_why(
    target: Target, mount: str, opcode: int, data: bytes, code: int
) -> None:
    if mount == "worker" and data is DEEP:
        data = b'["1","1","t","e",' + b"[" * 256 + b"]" * 256 + b"]"
    client, other = await target.websocket(mount), await target.websocket(mount)
    client.send(opcode, data)
    assert (await client.closed()).close_code == code
    await alive(other)


@pytest.mark.parametrize(
    "data",
    [b"[]", b'["1","1","t","e",{}]', b"{}", b'{"topic":"t"}', b"\x00\x01", b"1", b"null", b""],
    ids=repr,
)
async def test_what_is_no_v1_message_closes_its_sender(target: Target, data: bytes) -> None:
    client = await target.websocket("worker", vsn="1.0.0")
    client.send(TEXT, data)
    assert (await client.closed()).close_code in (1007, 1008)


HUGE = 10**400

ODD: list[tuple[str, Any]] = [
    ("a number as topic", ["1", "9", 7, "e", {}]),
    ("null as topic", ["1", "9", None, "phx_join", {}]),
    ("an object as topic", ["1", "9", {"__proto__": 1}, "phx_join", {}]),
    ("a list as topic", ["1", "9", ["run:*"], "phx_join", {}]),
    ("a number as event", ["1", "9", "t", 7, {}]),
    ("null as event", ["1", "9", "t", None, {}]),
    ("an object as event", ["1", "9", "t", {"a": 1}, {}]),
    ("a list as event", ["1", "9", "t", ["phx_join"], {}]),
    ("an empty topic", ["1", "9", "", "phx_join", {}]),
    ("an empty event", ["1", "9", "t", "", {}]),
    ("NUL in topic and event", ["1", "9", "run:\0", "\0", {}]),
    ("a lone surrogate in the topic", ["1", "9", "run:\ud800", "phx_join", {}]),
    ("a lone surrogate in the event", ["1", "9", "t", "\udc00", {}]),
    ("a lone surrogate in a key", ["1", "9", "t", "e", {"\ud800": 1}]),
    ("a very long topic", ["1", "9", "run:" + "x" * 60_000, "phx_join", {}]),
    ("a very long event", ["1", "9", "t", "x" * 60_000, {}]),
    ("a topic of control characters", ["1", "9", "\x1b[2J\x1b[31m\r\n", "phx_join", {}]),
    ("prototype words everywhere", ["1", "9", "__proto__", "constructor", {"toString": 1}]),
    ("a join of a prototype word", ["1", "9", "__proto__", "phx_join", {"__proto__": {}}]),
    ("a join of run:constructor", ["1", "9", "run:constructor", "phx_join", {}]),
    ("a join of a path", ["1", "9", "run:../../etc/passwd", "phx_join", {}]),
    ("a join of sql", ["1", "9", "run:' OR 1=1 --", "phx_join", {"token": "' OR 1=1 --"}]),
    ("a join of the wildcard", ["1", "9", "*", "phx_join", {}]),
    ("a join of run:*", ["1", "9", "run:*", "phx_join", {}]),
    ("a join of run: alone", ["1", "9", "run:", "phx_join", {}]),
    ("a join of phoenix", ["1", "9", "phoenix", "phx_join", {}]),
    ("a join with a number", ["1", "9", "run:1", "phx_join", 7]),
    ("a join with null", ["1", "9", "run:1", "phx_join", None]),
    ("a join with a list", ["1", "9", "run:1", "phx_join", [1]]),
    ("an event of the server", ["1", "9", "t", "phx_reply", {"status": "ok"}]),
    ("a crash by the client", ["1", "9", "t", "phx_error", {}]),
    ("a close by the client", ["1", "9", "t", "phx_close", {}]),
    ("the forced disconnect", ["1", "9", "user_socket:mallory", "disconnect", {}]),
    ("a heartbeat on another topic", ["1", "9", "t", "heartbeat", {}]),
    ("something else on phoenix", [None, "9", "phoenix", "claim", {}]),
    ("seven elements", ["1", "9", "t", "e", {}, 6, 7]),
    ("a hash collision of a payload", ["1", "9", "t", "e", {str(2**61 * n): n for n in range(99)}]),
]


@pytest.mark.parametrize("mount", ["socket", "worker"])
@pytest.mark.parametrize("message", [case[1] for case in ODD], ids=[case[0] for case in ODD])
async def test_an_odd_message_is_answered_with_an_error_and_the_connection_lives(
    target: Target, mount: str, message: list[Any]
) -> None:
    client = await target.websocket(mount)
    client.send_json(message)
    answer = await client.json()
    assert (answer[1], answer[3], answer[4]["status"]) == ("9", "phx_reply", "error")
    await alive(client)


@pytest.mark.parametrize(
    "ref",
    [
        0,
        -1,
        1.5,
        2**53 + 1,
        2**63,
        2**64 - 1,
        -(2**63),
        True,
        None,
        "",
        [1, [2]],
        {"a": {"__proto__": 1}},
        "\0",
        "x" * 30_000,
    ],
    ids=lambda ref: repr(ref)[:30],
)
async def test_any_ref_is_echoed_as_it_came(target: Target, ref: Any) -> None:
    client = await target.websocket()
    client.send_json([ref, ref, "phoenix", "heartbeat", {}])
    assert (await client.json())[1] == ref
    await alive(client)


@pytest.mark.parametrize(
    "number", ["1" + "0" * 30, "-1" + "0" * 30, "1" + "0" * 5000, "1e999", "-1e999", "1e-999"]
)
@pytest.mark.parametrize("place", ["ref", "join_ref", "topic", "payload"])
async def test_a_number_of_any_size_is_answered_or_refused_as_the_senders_fault(
    target: Target, number: str, place: str
) -> None:
    client = await target.websocket()
    names = {"join_ref": '"1"', "ref": '"9"', "topic": '"phoenix"', "payload": "{}"}
    names[place] = number
    parts = (names["join_ref"], names["ref"], names["topic"], '"heartbeat"', names["payload"])
    client.send(TEXT, f"[{','.join(parts)}]".encode())
    frame = await client.frame()
    if frame.opcode == TEXT:
        await alive(client)
    else:
        assert frame.close_code in (1007, 1008)


async def test_of_duplicate_keys_the_last_wins(target: Target) -> None:
    worker = await target.worker()
    run, peer = await target.run(worker), worker.peer
    ref = peer.next_ref()
    body = '{"message":"first","message":["last"],"timestamp":"1795216548000000"}'
    await peer.send_raw(f'["{run.join_ref}","{ref}","{run.topic}","run:log",{body}]')
    await peer.take(lambda frame: frame.ref == ref)
    rows = await target.world.rows(
        "SELECT message FROM log_lines WHERE run_id = $1::text::uuid", run.topic[4:]
    )
    assert [row["message"] for row in rows] == ["last"]


@pytest.mark.parametrize("key", ["__proto__", "constructor", "toString", "hasOwnProperty", ""])
async def test_prototype_words_round_trip_as_keys(target: Target, key: str) -> None:
    run = await target.run()
    state = {key: {key: [key]}, "data": {}}
    await run.call("run:complete", {"reason": "success", "final_state": state})
    body = await target.world.value(
        "SELECT d.body::text FROM runs r JOIN dataclips d ON d.id = r.final_dataclip_id"
        " WHERE r.id = $1::text::uuid",
        run.topic[4:],
    )
    assert json.loads(body) == state


async def test_ten_thousand_messages_for_unknown_topics_write_one_log_line(target: Target) -> None:
    client = await target.websocket()
    for ref in range(10_000):
        client.send_json(["1", str(ref), f"nowhere:{ref}", "e", {}])
    for ref in range(10_000):
        assert (await client.json())[1] == str(ref)
    assert len(target.lines.getvalue()) < 64 * KIB
