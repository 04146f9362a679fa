"""What a watcher knows of one run, built from the events of its dashboard channel. Pure.

Each event is applied once: what was seen before is ignored, so that fetching everything again after
a reconnect changes nothing. What each call returns is what there is to tell, one line each.
"""

from typing import Any, Final, cast

import msgspec
from rich.text import Text

from handlers.cli.output import STATE_STYLES
from schema.lifecycle import FINAL_STATES

MOST_LINES: Final = 500
"""Log lines that are kept; older ones are forgotten."""

LEVEL_STYLES: Final = {"error": "red", "warn": "yellow", "debug": "dim", "success": "green"}


class StepPicture(msgspec.Struct):
    """One step: its job, and ``started`` or the reason it ended with."""

    job_id: str
    state: str
    error: str | None = None


class RunPicture:
    """One run.

    Attributes:
        run_id: The run.
        state: Its state, as far as is known.
        error: Error type and message of a run that went wrong.
        steps: By id, in the order they started.
        lines: Log lines, in the order they arrived.
        jobs: Names by job id; the watcher fills it.
        version: Version of the last event that was applied.
    """

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.state = "available"
        self.error: str | None = None
        self.steps: dict[str, StepPicture] = {}
        self.lines: list[Text] = []
        self.jobs: dict[str, str] = {}
        self.version = 0
        self._told: set[str] = set()

    @property
    def finished(self) -> bool:
        """Whether the run is over."""
        return self.state in FINAL_STATES

    @property
    def succeeded(self) -> bool:
        """Whether the run ended well."""
        return self.state == "success"

    def job_name(self, job_id: str) -> str:
        """Return the name of a job, or the beginning of its id."""
        return self.jobs.get(job_id, job_id[:8])

    def learn_jobs(self, run: dict[str, Any]) -> None:
        """Take the names of the jobs out of a run as ``fetch:run`` gives it."""
        for step in cast("list[dict[str, Any]]", run.get("steps") or []):
            job: dict[str, Any] = step.get("job") or {}
            self.jobs[step["job_id"]] = str(job.get("name") or step["job_id"][:8])

    def load(self, run: dict[str, Any]) -> list[Text]:
        """Take a whole run as ``fetch:run`` gives it, unless more is known already."""
        self.learn_jobs(run)
        version = int(run.get("version") or 0)
        if version <= self.version:
            return []
        self.version = version
        news: list[Text] = []
        for step in cast("list[dict[str, Any]]", run.get("steps") or []):
            news += self._step(step)
        return news + self._run(run)

    def load_lines(self, lines: list[dict[str, Any]]) -> list[Text]:
        """Take log lines as ``fetch:logs`` gives them; those that are known are left out."""
        new = [line for line in lines if line["id"] not in self._told]
        return [self._line(line) for line in new]

    def apply(self, event: str, payload: Any) -> list[Text]:
        """Take one event; return what it tells, nothing if it was known."""
        body = cast("dict[str, Any]", payload) if isinstance(payload, dict) else {}
        version = int(body.get("version") or 0)
        if version <= self.version:
            return []
        self.version = version
        if event in {"run:updated", "run:created"}:
            return self._run(body["run"])
        if event in {"step:started", "step:completed"}:
            return self._step(body["step"])
        if event == "logs":
            return self.load_lines(body["logs"])
        return []

    def _run(self, run: dict[str, Any]) -> list[Text]:
        before, self.state = self.state, str(run["state"])
        if run.get("error_type"):
            self.error = ": ".join(
                str(part) for part in (run["error_type"], run.get("error_message")) if part
            )
        if before == self.state:
            return []
        line = Text.assemble("run ", _styled(self.state))
        if self.finished and self.error:
            line.append(f" ({self.error})")
        return [line]

    def _step(self, step: dict[str, Any]) -> list[Text]:
        reason = step.get("exit_reason")
        state = str(reason or "started")
        known = self.steps.get(step["id"])
        self.steps[step["id"]] = StepPicture(step["job_id"], state, step.get("error_message"))
        if known is not None and known.state == state:
            return []
        return [Text.assemble(f"step {self.job_name(step['job_id'])} ", _styled(state))]

    def _line(self, line: dict[str, Any]) -> Text:
        self._told.add(line["id"])
        level = str(line.get("level") or "info")
        source = str(line.get("source") or "-")
        text = Text.assemble(
            (f"{source:<3} ", "dim"),
            (str(line.get("message") or ""), LEVEL_STYLES.get(level, "")),
        )
        self.lines.append(text)
        del self.lines[:-MOST_LINES]
        return text


def _styled(state: str) -> tuple[str, str]:
    return (state, STATE_STYLES.get(state, ""))
