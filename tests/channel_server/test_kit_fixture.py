"""The fixture format: reading, writing, and what it refuses."""

from pathlib import Path

import pytest

from channel_server.testing.fixture import (
    Action,
    Close,
    Connect,
    Expect,
    ExpectClose,
    FixtureError,
    Header,
    Send,
    load,
    parse,
    render,
)

HEADER = '{"name": "echo", "mount": "/socket", "seed": {"a": 1}, "ignore": [["t", "e"]]}'
LINES = [
    HEADER,
    "",
    '{"do": "connect", "conn": 2, "expect": 503, "params": {"a": "b"}}',
    '{"dir": "client", "frame": ["1", "1", "room:1", "phx_join", {}]}',
    '{"dir": "server", "conn": 1, "frame": ["1", "1", "room:1", "phx_reply", {}]}',
    '{"dir": "server", "conn": 1, "close": 1012}',
    '{"do": "close", "conn": 1, "code": 1000}',
    '{"do": "close"}',
    '{"do": "enqueue", "run": "1"}',
]


def test_each_kind_of_line_is_read() -> None:
    fixture = parse(LINES)
    assert fixture.header == Header("echo", mount="/socket", seed={"a": 1}, ignore=[("t", "e")])
    assert fixture.steps == [
        Connect(3, 2, {"a": "b"}, 503),
        Send(4, 1, ["1", "1", "room:1", "phx_join", {}]),
        Expect(5, 1, ["1", "1", "room:1", "phx_reply", {}]),
        ExpectClose(6, 1, 1012),
        Close(7, 1, 1000),
        Close(8, 1, None),
        Action(9, "enqueue", {"run": "1"}),
    ]


def test_what_is_rendered_is_read_again(tmp_path: Path) -> None:
    text = render(parse(LINES))
    path = tmp_path / "echo.jsonl"
    path.write_text(text)
    assert render(load(path)) == text


def test_lone_surrogates_survive() -> None:
    lines = [HEADER, r'{"dir": "client", "frame": [null, "1", "t", "e", {"m": "a\ud800"}]}']
    (step,) = parse(lines).steps
    assert isinstance(step, Send)
    assert step.frame[4] == {"m": "a\ud800"}
    assert parse(render(parse(lines)).splitlines()) == parse(lines)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense", "Expecting value"),
        ('{"dir": "client", "frame": ["1"]}', "array of five"),
        ('{"dir": "client", "frame": "x"}', "array"),
        ('{"dir": "client"}', "frame"),
        ('{"dir": "client", "close": 1000}', '"do": "close"'),
        ('{"dir": "up", "frame": [1, 2, 3, 4, 5]}', "client or server"),
        ('{"frame": [1, 2, 3, 4, 5]}', "dir"),
        ('{"do": "connect", "expect": "x"}', "expect"),
    ],
)
def test_a_bad_line_is_named_with_its_number(line: str, reason: str) -> None:
    with pytest.raises(FixtureError, match=reason) as caught:
        parse([HEADER, line], "some.jsonl")
    assert str(caught.value).startswith("some.jsonl:2: ")


@pytest.mark.parametrize("header", ['{"name": "x", "odd": 1}', '{"mount": "/socket"}', "[]"])
def test_a_bad_header_is_refused(header: str) -> None:
    with pytest.raises(FixtureError):
        parse([header])


def test_an_empty_file_has_no_header() -> None:
    with pytest.raises(FixtureError, match="no header"):
        parse([])
