"""Where commands write: tables and colour for people, JSON for programs.

Results go to stdout, everything else to stderr, so that ``--json`` output can be piped while
progress and errors stay visible.
"""

import sys
from collections.abc import Sequence
from typing import Any, Final, TextIO

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from handlers.cli.errors import CommandError

STATE_STYLES: Final = {
    "available": "cyan",
    "claimed": "blue",
    "started": "yellow",
    "pending": "cyan",
    "running": "yellow",
    "success": "green",
    "ok": "green",
    "failed": "red",
    "fail": "red",
    "crashed": "red",
    "crash": "red",
    "killed": "red",
    "kill": "red",
    "exception": "red",
    "lost": "magenta",
    "cancelled": "dim",
}
"""Colour of each run state and exit reason."""


FILE_WIDTH: Final = 200
"""Width of tables that go to a file or a pipe, in characters."""


class Output:
    """The two streams of a command.

    Args:
        as_json: Print results as JSON, one value per line.
        stdout: Where results go.
        stderr: Where notes and errors go.
    """

    def __init__(
        self, *, as_json: bool, stdout: TextIO | None = None, stderr: TextIO | None = None
    ) -> None:
        self.as_json = as_json
        self.console = _console(stdout or sys.stdout)
        self.notes = _console(stderr or sys.stderr)

    def data(self, value: Any) -> None:
        """Print a value as one line of JSON."""
        text = msgspec.json.encode(value).decode()
        self.console.file.write(text + "\n")
        self.console.file.flush()

    def result(self, value: Any, text: str | Text) -> None:
        """Print ``value`` for programs, or ``text`` for people."""
        if self.as_json:
            self.data(value)
        else:
            self.say(text)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]], data: Any) -> None:
        """Print ``data`` for programs, or a table for people."""
        if self.as_json:
            self.data(data)
            return
        table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
        for column in columns:
            # What comes first names the row, and must be fit for copying.
            table.add_column(column, overflow="fold", no_wrap=column == columns[0])
        for row in rows:
            table.add_row(*(cell(value) for value in row))
        self.console.print(table, soft_wrap=False)

    def say(self, text: str | Text) -> None:
        """Print text to stdout; it is never read as markup."""
        self.console.print(text if isinstance(text, Text) else Text(text))

    def note(self, text: str | Text) -> None:
        """Print a note to stderr."""
        self.notes.print(text if isinstance(text, Text) else Text(text))

    def error(self, error: CommandError) -> None:
        """Print what happened, why, and what to do, to stderr."""
        if self.as_json:
            body = {"what": error.what, "why": error.why, "hint": error.hint, "code": error.code}
            self.notes.file.write(msgspec.json.encode({"error": body}).decode() + "\n")
            self.notes.file.flush()
            return
        self.note(Text.assemble(("error: ", "bold red"), error.what))
        if error.why:
            self.note(Text(error.why))
        if error.hint:
            self.note(Text.assemble(("hint: ", "bold"), error.hint))


def _console(file: TextIO) -> Console:
    width = None if file.isatty() else FILE_WIDTH
    return Console(file=file, width=width, highlight=False, soft_wrap=True)


def cell(value: Any) -> Text:
    """Return a value as a cell; states have their colour."""
    if value is None:
        return Text("-", style="dim")
    text = str(value)
    return Text(text, style=STATE_STYLES.get(text, ""))
