"""Runs in the terminal: redrawn in place on a terminal, one line per event elsewhere."""

from rich.console import Group
from rich.live import Live
from rich.text import Text

from handlers.cli.output import STATE_STYLES, Output
from handlers.cli.picture import RunPicture

SHOWN_LINES = 8
"""Log lines shown of each run while it is drawn in place."""

_MARKS = {"started": "…", "success": "✓", "fail": "✗", "crash": "✗", "exception": "✗", "kill": "✗"}


class DemoView:
    """Several runs, as they happen.

    Args:
        out: Where to write.

    Attributes:
        live: Whether the first runs are being shown, which are drawn together.
    """

    def __init__(self, out: Output) -> None:
        self.live = False
        self._out = out
        self._runs: dict[str, tuple[str, RunPicture]] = {}
        self._endings: dict[str, str] = {}
        self._screen: Live | None = None

    def begin(self) -> None:
        """Draw in place from now on, if this is a terminal."""
        self.live = True
        if self._out.console.is_terminal and not self._out.as_json:
            self._screen = Live(
                console=self._out.console, get_renderable=self._draw, refresh_per_second=12
            )
            self._screen.start()

    def end(self) -> None:
        """Leave what is drawn as it is, and write lines from now on. Twice is fine."""
        self.live = False
        screen, self._screen = self._screen, None
        if screen is not None:
            screen.stop()

    def add(self, picture: RunPicture, title: str) -> None:
        """Show one more run."""
        self._runs[picture.run_id] = (title, picture)
        self._line(picture, Text(title, style="bold"))

    def tell(self, picture: RunPicture, news: list[Text]) -> None:
        """Something happened to a run."""
        for line in news:
            self._line(picture, line)

    def ended(self, picture: RunPicture, text: str) -> None:
        """A run is over."""
        self._endings[picture.run_id] = text
        self._line(picture, Text(text, style=STATE_STYLES.get(picture.state, "")))

    def _line(self, picture: RunPicture, text: Text) -> None:
        if self._out.as_json:
            self._out.data({"run_id": picture.run_id, "text": text.plain})
        elif self._screen is None:
            self._out.say(Text.assemble((f"{picture.run_id[:8]}  ", "dim"), text))

    def _draw(self) -> Group:
        return Group(*(part for run in self._runs.values() for part in self._block(*run)))

    def _block(self, title: str, picture: RunPicture) -> list[Text]:
        ending = self._endings.get(picture.run_id, picture.state)
        style = STATE_STYLES.get(picture.state, "")
        head = Text.assemble((f"{picture.run_id[:8]}  {title}  ", "bold"), (ending, style))
        steps = Text("          ")
        for step in picture.steps.values():
            mark = _MARKS.get(step.state, step.state)
            name = picture.job_name(step.job_id)
            steps.append(f"{name} {mark}   ", style=STATE_STYLES.get(step.state, ""))
        lines = [Text.assemble("          ", line) for line in picture.lines[-SHOWN_LINES:]]
        return [Text(), head, steps, *lines]
