"""One run, from the join of its channel to ``run:complete``: the worker's side of the protocol.

Order of events, as OpenFn workers send them::

    join run:<id> → fetch:plan → fetch:dataclip → fetch:credential* → run:start
    → per job: step:start, run:log*, step:complete → run:complete → leave

Each event is sent after the reply to the one before. One whose reply was lost with its connection
is sent again as it was, which the server knows and answers without a second effect. What is refused
is written to stderr and the run goes on, because the server decides what it keeps; only a fetch
that fails ends the run, as ``exception``. When the server pushes ``run:cancel``, the step that is
under way is the last one, and the run ends as ``cancel``.
"""

import asyncio
import contextlib
import copy
import json
import sys
import time
from collections import deque
from typing import Any, NamedTuple, cast
from uuid import uuid4

from job_language import CompileError, JobError, is_true, run_job

from channel_server.client import (
    Client,
    ClientChannel,
    ClientError,
    Disconnected,
    JoinRefused,
    PushTimeout,
    ReplyValue,
)

State = dict[str, Any]
DISCARDED_KEYS = ("configuration", "response")
MOST_TRIES = 5


class Failure(NamedTuple):
    """How a step or a run went wrong, in the words of ``run:complete``."""

    reason: str
    error_type: str
    error_message: str


class Done(NamedTuple):
    """A finished step that nothing followed."""

    job_id: str
    dataclip_id: str
    state: State
    failure: Failure | None


class UnavailableError(Exception):
    """Something that the run needs could not be fetched."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type


class Run:
    """Executes one claimed run.

    Args:
        client: The connection to the worker socket.
        run_id: The run.
        token: Its run token, as claimed.
        pace: Seconds that each step takes at least, to make it visible.
    """

    def __init__(self, client: Client, run_id: str, token: str, *, pace: float = 0.0) -> None:
        self.run_id = run_id
        self._channel: ClientChannel = client.channel(f"run:{run_id}", {"token": token})
        self._pace = pace
        self._cancelled = asyncio.Event()
        self._channel.on("run:cancel", lambda _payload: self._cancelled.set())
        self._plan: dict[str, Any] = {}
        self._credentials: dict[str, Any] = {}

    async def execute(self) -> None:
        """Run it to its end; never raises for what happens inside the run."""
        try:
            await self._channel.join()
        except JoinRefused as error:
            self._note(f"given up: {error}")
            return
        try:
            await self._execute()
        finally:
            await self._channel.leave()

    async def _execute(self) -> None:
        try:
            self._plan = await self._fetch("fetch:plan", {}, "PlanError")
            state = await self._initial_state()
            await self._fetch_credentials()
        except UnavailableError as error:
            await self._complete(Failure("exception", error.error_type, str(error)), {})
            return
        await self._send("run:start", {"versions": {"worker": "example"}})
        await self._log("info", ["run started by the example worker"], source="R/T")
        await self._finish(await self._walk(state))

    async def _push(self, event: str, payload: State) -> ReplyValue:
        """Push an event until it is answered: what was sent before is known by its content."""
        for _ in range(MOST_TRIES - 1):
            try:
                return await self._channel.push(event, payload)
            except (Disconnected, PushTimeout) as error:
                self._note(f"{event} is sent again: {error}")
        return await self._channel.push(event, payload)

    async def _fetch(self, event: str, payload: State, error_type: str) -> Any:
        try:
            reply = await self._push(event, payload)
        except ClientError as error:
            raise UnavailableError(error_type, f"[{event}] {error}") from None
        if not reply.ok:
            raise UnavailableError(error_type, f"[{event}] {json.dumps(reply.response)}")
        return reply.response

    async def _initial_state(self) -> State:
        dataclip_id = self._plan.get("dataclip_id")
        if dataclip_id is None:
            return {"data": {}}
        body = await self._fetch("fetch:dataclip", {"id": dataclip_id}, "DataClipError")
        value: Any = json.loads(body)
        return cast("State", value) if isinstance(value, dict) else {"data": value}

    async def _fetch_credentials(self) -> None:
        wanted = {job["credential_id"] for job in self._plan["jobs"] if job.get("credential_id")}
        fetches = [
            self._fetch("fetch:credential", {"id": each}, "CredentialLoadError") for each in wanted
        ]
        self._credentials = dict(zip(wanted, await asyncio.gather(*fetches), strict=True))

    async def _walk(self, state: State) -> list[Done]:
        """Run every job that is reached, one after the other; return the ends of the ways."""
        ends: list[Done] = []
        ways = deque([(job, state, self._plan.get("dataclip_id")) for job in self._first(state)])
        while ways:
            done = await self._step(*ways.popleft())
            following = [] if _is_fatal(done.failure) else self._next(done)
            ways.extend((job, copy.deepcopy(done.state), done.dataclip_id) for job in following)
            if not following:
                ends.append(done)
            if _is_fatal(done.failure):
                return [done]
        return ends

    def _first(self, state: State) -> list[State]:
        start = self._plan.get("starting_node_id")
        jobs = [job for job in self._plan["jobs"] if job["id"] == start]
        return jobs or self._targets("source_trigger_id", start, state, failed=False)

    def _next(self, done: Done) -> list[State]:
        failed = done.failure is not None
        return self._targets("source_job_id", done.job_id, done.state, failed=failed)

    def _targets(self, key: str, source: Any, state: State, *, failed: bool) -> list[State]:
        edges = [edge for edge in self._plan["edges"] if edge.get(key) == source]
        taken = [edge["target_job_id"] for edge in edges if _holds(edge, state, failed=failed)]
        return [job for job in self._plan["jobs"] if job["id"] in taken]

    async def _step(self, job: State, state: State, input_id: Any) -> Done:
        step_id, output_id = str(uuid4()), str(uuid4())
        start = {"step_id": step_id, "job_id": job["id"], "credential_id": job.get("credential_id")}
        await self._send("step:start", {**start, "input_dataclip_id": input_id})
        lines: list[tuple[str, list[Any]]] = []
        failure = self._run_job(job, state, lines)
        for level, values in lines:
            await self._log(level, values, source="JOB", step_id=step_id)
        if await self._interrupted():
            failure = Failure("cancel", "CancelError", "an operator cancelled the run")
        await self._send("step:complete", self._report(step_id, output_id, state, failure))
        return Done(job["id"], output_id, state, failure)

    async def _interrupted(self) -> bool:
        """Take the time that a step takes at least, or less once the run is cancelled."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._cancelled.wait(), self._pace)
        return self._cancelled.is_set()

    def _run_job(
        self, job: State, state: State, lines: list[tuple[str, list[Any]]]
    ) -> Failure | None:
        state["configuration"] = self._credentials.get(job.get("credential_id") or "", {})
        try:
            run_job(job["body"], state, lambda level, values: lines.append((level, values)))
        except JobError as error:
            errors = state.setdefault("errors", {})
            errors[job["id"]] = {"message": str(error), "name": "JobError"}
            lines.append(("error", [f"JobError: {error}"]))
            return Failure("fail", "JobError", str(error))
        except CompileError as error:
            lines.append(("error", [f"CompileError: {error}"]))
            return Failure("crash", "CompileError", str(error))
        finally:
            for key in DISCARDED_KEYS:
                state.pop(key, None)
        return None

    def _report(self, step_id: str, output_id: str, state: State, failure: Failure | None) -> State:
        report: State = {"step_id": step_id, "output_dataclip_id": output_id, **_outcome(failure)}
        if self._option("output_dataclips", default=True):
            report["output_dataclip"] = json.dumps(state)
        return report

    async def _finish(self, ends: list[Done]) -> None:
        failed = [done.failure for done in ends if done.failure is not None]
        failure = failed[0] if failed else None
        word = failure.reason if failure else "success"
        await self._log("info", [f"Run complete with status: {word}"], source="R/T")
        if len(ends) == 1:
            final = {"final_dataclip_id": ends[0].dataclip_id, "final_state": ends[0].state}
        else:
            final = {"final_state": {done.job_id: done.state for done in ends}}
        await self._complete(failure, final)

    async def _complete(self, failure: Failure | None, final: State) -> None:
        await self._send("run:complete", {**_outcome(failure), **final})
        self._note(f"finished: {failure.reason if failure else 'success'}")

    async def _log(
        self, level: str, values: list[Any], *, source: str, step_id: str | None = None
    ) -> None:
        if source == "JOB" and self._option("job_log_level", default="info") == "none":
            return
        line: State = {"level": level, "message": values, "source": source}
        await self._send("run:log", line | ({"step_id": step_id} if step_id else {}))

    async def _send(self, event: str, payload: State) -> None:
        try:
            reply = await self._push(event, {**payload, "timestamp": _now()})
        except ClientError as error:
            self._note(f"{event}: {error}")
        else:
            if not reply.ok:
                self._note(f"{event} was refused: {json.dumps(reply.response)}")

    def _option(self, name: str, *, default: Any) -> Any:
        options: State = self._plan.get("options") or {}
        return options.get(name, default)

    def _note(self, text: str) -> None:
        print(f"run {self.run_id} {text}", file=sys.stderr, flush=True)


def _holds(edge: State, state: State, *, failed: bool) -> bool:
    if edge.get("enabled") is False:
        return False
    condition = edge.get("condition") or "always"
    simple = {"always": True, "on_job_success": not failed, "on_job_failure": failed}
    if condition in simple:
        return simple[condition]
    try:
        return is_true(condition, state)
    except (CompileError, JobError):
        return False


def _is_fatal(failure: Failure | None) -> bool:
    return failure is not None and failure.reason != "fail"


def _outcome(failure: Failure | None) -> State:
    if failure is None:
        return {"reason": "success", "error_type": None, "error_message": None}
    return failure._asdict()


def _now() -> str:
    return str(time.time_ns() // 1000)
