"""The fixture format: a recorded conversation as JSON lines.

```
{"name": "echo", "serializer": "2.0.0", "mount": "/socket", "description": "…", "seed": {…}}
{"dir": "client", "conn": 1, "frame": ["1", "1", "room:{{uuid:room}}", "phx_join", {}]}
{"dir": "server", "conn": 1, "frame": ["1", "1", "room:{{uuid:room}}", "phx_reply", {…}]}
```

The first line is the header:

* `name`, `description`: for people;
* `serializer`: `"2.0.0"` (default) or `"1.0.0"`; frames are written as arrays of five for both;
* `mount`: the path of the socket, e.g. `/worker`; `params`: its connect params;
* `seed`: what must exist before the first frame; only the application knows what it means;
* `ignore`: `[topic, event]` templates of server frames that may come at any time.

Every other line is one step, in order:

* `{"dir": "client", "conn": n, "frame": […]}`: the client sends it. The first use of a connection
  opens it;
* `{"dir": "server", "conn": n, "frame": […]}`: the server must send it;
* `{"dir": "server", "conn": n, "close": 1012}`: the server must close, with this code;
* `{"do": "connect", "conn": n, "expect": 503}`: open a connection; `expect` is the HTTP status
  of a refusal, `params` replaces the header's;
* `{"do": "close", "conn": n, "code": 1000}`: the client closes; without `code` it just drops;
* `{"do": name, …}`: anything else is an action of the application, with the rest as arguments.

`channel_server.testing.matcher` says what placeholders mean, `channel_server.testing.replay` in
which order frames may come.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec

from channel_server.client_frames import V1, V2, dump


class FixtureError(ValueError):
    """A file is no fixture.

    Attributes:
        path: The file.
        line: The line, from 1.
        reason: What is wrong with it.
    """

    def __init__(self, path: str, line: int, reason: str) -> None:
        super().__init__(path, line, reason)
        self.path = path
        self.line = line
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The first line of a fixture; the module says what the fields mean."""

    name: str
    description: str = ""
    serializer: Literal["1.0.0", "2.0.0"] = V2
    mount: str = "/socket"
    params: dict[str, Any] = {}
    seed: dict[str, Any] = {}
    ignore: list[tuple[str, str]] = []


class Send(msgspec.Struct, frozen=True):
    """The client sends a frame: `[join_ref, ref, topic, event, payload]`."""

    line: int
    conn: int
    frame: list[Any]


class Expect(msgspec.Struct, frozen=True):
    """The server must send a frame."""

    line: int
    conn: int
    frame: list[Any]


class ExpectClose(msgspec.Struct, frozen=True):
    """The server must close the connection with this code."""

    line: int
    conn: int
    code: int


class Connect(msgspec.Struct, frozen=True):
    """The client opens a connection; `expect` is the status of a refusal, None for success."""

    line: int
    conn: int
    params: dict[str, Any] | None = None
    expect: int | None = None


class Close(msgspec.Struct, frozen=True):
    """The client closes; a None code drops the connection without a word."""

    line: int
    conn: int
    code: int | None = None


class Action(msgspec.Struct, frozen=True):
    """The application is asked to do something."""

    line: int
    name: str
    arguments: dict[str, Any]


Step = Send | Expect | ExpectClose | Connect | Close | Action


class Fixture(msgspec.Struct, frozen=True):
    """A header and its steps."""

    header: Header
    steps: list[Step]


def load(path: Path | str) -> Fixture:
    """Read a fixture.

    Raises:
        FixtureError: A line is not what the format says.
        OSError: The file cannot be read.
    """
    file = Path(path)
    return parse(file.read_text().splitlines(), str(file))


def parse(lines: Iterable[str], path: str = "<fixture>") -> Fixture:
    """Make a fixture from its lines; blank lines are skipped.

    Raises:
        FixtureError: A line is not what the format says.
    """
    header: Header | None = None
    steps: list[Step] = []
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            # The standard library accepts lone surrogates, which recorded logs contain.
            value = json.loads(text)
            if header is None:
                header = msgspec.convert(value, Header)
            else:
                steps.append(_step(value, number))
        except (ValueError, KeyError, TypeError) as error:
            raise FixtureError(path, number, str(error)) from error
    if header is None:
        raise FixtureError(path, 1, "no header")
    return Fixture(header, steps)


def render(fixture: Fixture) -> str:
    """The text of a fixture; `parse` gives the same fixture back, but for its line numbers."""
    lines = [dump(msgspec.to_builtins(fixture.header))]
    lines += [dump(_plain(step)) for step in fixture.steps]
    return "\n".join(lines) + "\n"


def _step(value: dict[str, Any], line: int) -> Step:
    if "do" in value:
        return _action(value, line)
    direction = value["dir"]
    conn = value.get("conn", 1)
    if "close" in value:
        if direction != "server":
            raise ValueError('a client closes with {"do": "close"}')
        return ExpectClose(line, conn, value["close"])
    frame = msgspec.convert(value["frame"], list[Any])
    if len(frame) != 5:
        raise ValueError("a frame is an array of five")
    if direction == "client":
        return Send(line, conn, frame)
    if direction == "server":
        return Expect(line, conn, frame)
    raise ValueError(f"dir is client or server, not {direction!r}")


def _action(value: dict[str, Any], line: int) -> Step:
    arguments = {key: item for key, item in value.items() if key != "do"}
    if value["do"] == "connect":
        return msgspec.convert({"line": line, "conn": 1} | arguments, Connect)
    if value["do"] == "close":
        return msgspec.convert({"line": line, "conn": 1} | arguments, Close)
    return Action(line, value["do"], arguments)


def _plain(step: Step) -> dict[str, Any]:
    match step:
        case Send(conn=conn, frame=frame):
            return {"dir": "client", "conn": conn, "frame": frame}
        case Expect(conn=conn, frame=frame):
            return {"dir": "server", "conn": conn, "frame": frame}
        case ExpectClose(conn=conn, code=code):
            return {"dir": "server", "conn": conn, "close": code}
        case Action(name=name, arguments=arguments):
            return {"do": name} | arguments
        case Connect(conn=conn, params=params, expect=expect):
            return _present({"do": "connect", "conn": conn, "params": params, "expect": expect})
        case Close(conn=conn, code=code):
            return _present({"do": "close", "conn": conn, "code": code})


def _present(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


__all__ = [
    "V1",
    "V2",
    "Action",
    "Close",
    "Connect",
    "Expect",
    "ExpectClose",
    "Fixture",
    "FixtureError",
    "Header",
    "Send",
    "Step",
    "load",
    "parse",
    "render",
]
