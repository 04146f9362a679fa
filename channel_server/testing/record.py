"""Record a conversation as a fixture.

```python
recorder = Recorder("echo", mount="/socket")
async with Client(url, observer=recorder.observe()) as client:   # or: recorder.attach(peer)
    ...
Path("echo.jsonl").write_text(recorder.text())
```

What will be different next time becomes a placeholder: every UUID `{{uuid:<key>.<n>}}`, named
after the key under which it was first seen; every token (three base64url parts, as a JWT has)
`{{token:<n>}}`; in frames of the server every timestamp `{{ts}}`. What must exist before the first
frame is the application's to say: give it as `seed`.
"""

import re
from typing import Any, Literal, cast

from channel_server.client_frames import V2, Frame
from channel_server.testing.fixture import (
    Close,
    Connect,
    Expect,
    ExpectClose,
    Fixture,
    Header,
    Send,
    Step,
    render,
)
from channel_server.testing.peer import Peer

ABORTED = 1006
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
_TIMESTAMP = re.compile(r"\d{16}|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")


class Recorder:
    """Collects what its observers see, in one order over all connections.

    Args:
        name: The fixture's name.
        mount: The path of the socket.
        serializer: The serializer of all connections.
        options: Further fields of the header, e.g. `description`, `params`, `seed`, `ignore`.
    """

    def __init__(
        self,
        name: str,
        *,
        mount: str = "/socket",
        serializer: Literal["1.0.0", "2.0.0"] = V2,
        **options: Any,
    ) -> None:
        self._header = Header(name=name, mount=mount, serializer=serializer, **options)
        self._steps: list[Step] = []
        self._connections = 0
        self._placeholders: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def observe(self) -> "ConnectionObserver":
        """An observer for one client; each of its connections gets a number of its own."""
        return ConnectionObserver(self)

    def attach(self, peer: Peer) -> None:
        """Record a peer that has just connected."""
        observer = self.observe()
        observer.opened()
        peer.observer = observer

    def fixture(self) -> Fixture:
        """What was recorded so far."""
        return Fixture(self._header, list(self._steps))

    def text(self) -> str:
        """What was recorded so far, as the text of a file."""
        return render(self.fixture())

    def open(self) -> int:
        """A connection was opened; returns its number."""
        self._connections += 1
        self.add(Connect(0, self._connections))
        return self._connections

    def add(self, step: Step) -> None:
        """Add a step."""
        self._steps.append(step)

    def template(self, frame: Frame, *, server: bool) -> list[Any]:
        """A frame with placeholders."""
        return [self._replace(value, "id", server=server) for value in frame]

    def _replace(self, value: Any, key: str, *, server: bool) -> Any:
        if isinstance(value, str):
            return self._text(value, key, server=server)
        if isinstance(value, list):
            items = cast("list[Any]", value)
            return [self._replace(item, key, server=server) for item in items]
        if isinstance(value, dict):
            fields = cast("dict[str, Any]", value)
            return {name: self._replace(item, name, server=server) for name, item in fields.items()}
        return value

    def _text(self, text: str, key: str, *, server: bool) -> str:
        if server and _TIMESTAMP.fullmatch(text):
            return "{{ts}}"
        text = _TOKEN.sub(lambda found: self._name(found[0], "token", "token"), text)
        return _UUID.sub(lambda found: self._name(found[0], "uuid", key), text)

    def _name(self, value: str, kind: str, key: str) -> str:
        if value not in self._placeholders:
            self._counts[key] = self._counts.get(key, 0) + 1
            self._placeholders[value] = f"{{{{{kind}:{key}.{self._counts[key]}}}}}"
        return self._placeholders[value]


class ConnectionObserver:
    """Tells a recorder what one client sees."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._conn = 0
        self._closing = False

    def opened(self) -> None:
        """The client has a new connection."""
        self._conn = self._recorder.open()
        self._closing = False

    def sent(self, frame: Frame) -> None:
        """The client sent a frame."""
        template = self._recorder.template(frame, server=False)
        self._recorder.add(Send(0, self._conn, template))

    def received(self, frame: Frame) -> None:
        """The server sent a frame."""
        template = self._recorder.template(frame, server=True)
        self._recorder.add(Expect(0, self._conn, template))

    def closing(self, code: int) -> None:
        """The client closes."""
        self._closing = True
        self._recorder.add(Close(0, self._conn, None if code == ABORTED else code))

    def closed(self, code: int) -> None:
        """The connection is closed, by the server unless the client was closing."""
        if not self._closing:
            self._recorder.add(ExpectClose(0, self._conn, code))
