"""Recordings of a real worker: reading them, and giving names to the ids in them."""

import base64
import json
import re
from pathlib import Path
from typing import Any, cast

UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


class Recording:
    """The frames of a recording, decoded, and what the mock answered.

    Attributes:
        lines: One entry per line: a connection event, or a frame with its direction.
        answers: The mock's payload by (conn, ref).
        answered: The line on which it came.
    """

    def __init__(self, path: Path) -> None:
        self.lines = [_decode(json.loads(line)) for line in path.read_text().splitlines()]
        self.answers: dict[tuple[int, str], Any] = {}
        self.answered: dict[tuple[int, str], int] = {}
        for index, line in enumerate(self.lines):
            frame = line.get("frame")
            if line.get("dir") == "out" and frame and "reply" in frame[3]:
                key = (line["conn"], frame[1])
                self.answers[key] = frame[4]
                self.answered[key] = index

    def runs_of(self, conn: int, ref: str) -> list[dict[str, str]]:
        """The runs that a claim was given."""
        answer: dict[str, Any] = self.answers.get((conn, ref), {})
        response: Any = answer.get("response")
        return cast("list[dict[str, str]]", response.get("runs", [])) if response else []


def _decode(line: dict[str, Any]) -> dict[str, Any]:
    if "frame" not in line:
        return line
    if line.get("bin"):
        return line | {"frame": _decode_reply(base64.b64decode(line["frame"]))}
    return line | {"frame": json.loads(line["frame"])}


def _decode_reply(data: bytes) -> list[Any]:
    ends = 5
    fields: list[str] = []
    for length in data[1:5]:
        fields.append(data[ends : ends + length].decode())
        ends += length
    join_ref, ref, topic, status = fields
    return [join_ref, ref, topic, "phx_reply", {"status": status, "response": list(data[ends:])}]


class Names:
    """Gives every id and token of a recording its placeholder."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def add(self, value: str, placeholder: str) -> None:
        """Replace `value` by `placeholder` wherever it stands inside a string."""
        self.known.setdefault(value, placeholder)

    def number(self, value: str, kind: str) -> None:
        """Replace a UUID by `{{uuid:kind.n}}`."""
        if value not in self.known:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            self.known[value] = f"{{{{uuid:{kind}.{self._counts[kind]}}}}}"

    def replace(self, value: Any) -> Any:
        """The same JSON value with placeholders."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self.replace(item) for item in cast("list[Any]", value)]
        if isinstance(value, dict):
            items = cast("dict[str, Any]", value)
            return {key: self.replace(item) for key, item in items.items()}
        return value

    def _text(self, text: str) -> str:
        for value, placeholder in self.known.items():
            text = text.replace(value, placeholder)
        return text
