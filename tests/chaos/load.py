"""The load: callers of a webhook, and workers who report runs until they were answered."""

import asyncio
import json
import time
from contextlib import suppress
from random import Random
from typing import Any, Final
from uuid import uuid4

import httpx

from channel_server.client import Client, ClientChannel, ClientError, JoinRefused, full_jitter
from tests.chaos.history import History, Offer, Operation
from tests.plain_http import PLAIN

ANSWER: Final = 3.0
"""Seconds that a client waits for an answer before it sends the same again."""

PATIENCE: Final = 30.0
"""Seconds that the runs of a worker may go on once all trouble is over."""

REASONS: Final = ("success", "success", "success", "fail", "crash", "exception")


def backoff(attempt: int) -> float:
    """Seconds before a client connects or joins again."""
    return full_jitter(attempt, base=0.1, cap=1.0)


def now() -> str:
    """A timestamp as workers send it."""
    return str(time.time_ns() // 1000)


async def call_webhook(url: str, history: History, body: dict[str, Any]) -> None:
    """Call a webhook once; what was answered is in the history."""
    try:
        async with httpx.AsyncClient(trust_env=False, verify=PLAIN, timeout=ANSWER) as client:
            response = await client.post(url, json=body)
    except httpx.HTTPError:
        history.doubtful += 1
        return
    if response.status_code == 200:
        history.accepted.append(response.json()["run_id"])
    elif response.status_code not in (429, 503):
        history.surprises.append(f"webhook: {response.status_code} {response.text}")


def _where(task: asyncio.Task[None]) -> str:
    """What a task is about, and the lines in which it waits."""
    stack = [f"{frame.f_code.co_name}:{frame.f_lineno}" for frame in task.get_stack()]
    return f"{task.get_name()}, in {stack}"


class Worker:
    """A worker: claims, reports, sends again what was not answered.

    Args:
        name: Its name.
        url: The worker socket.
        token: Its worker token.
        job: The job that its steps execute.
        random: Decides what its runs look like.
        history: Where all of it is noted.

    Attributes:
        abandoned: Runs that it stopped reporting, as a process that hangs does.
    """

    def __init__(
        self, name: str, url: str, token: str, job: str, random: Random, history: History
    ) -> None:
        self.name = name
        self.abandoned: list[str] = []
        self._job = job
        self._random = random
        self._history = history
        self._stopping = False
        self._client = Client(
            url,
            params={"token": token, "api_version": "1.2"},
            timeout=ANSWER,
            heartbeat_interval=1.0,
            backoff=backoff,
            rejoin_limit=10_000,
        )
        self._queue: ClientChannel | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def work(self) -> None:
        """Claim and report until `stop`, and until every run has come to its end."""
        await self._client.connect(retry=True)
        try:
            while not self._stopping:
                if len(self._tasks) < 3 and await self._claim():
                    continue
                await asyncio.sleep(0.1)
            if self._tasks:
                _, busy = await asyncio.wait(self._tasks, timeout=PATIENCE)
                self._history.surprises += [f"{self.name} never ended {_where(t)}" for t in busy]
        finally:
            for task in self._tasks:
                task.cancel()
            await self._client.close()

    def stop(self) -> None:
        """Claim nothing more."""
        self._stopping = True

    async def _claim(self) -> bool:
        try:
            if self._queue is None or self._queue.state == "closed":
                queue = self._client.channel("worker:queue")
                await queue.join()
                self._queue = queue
            reply = await self._queue.push("claim", {"demand": 2, "worker_name": self.name})
        except (ClientError, RuntimeError):
            return False
        if not reply.ok:
            self._history.surprises.append(f"a claim was refused: {reply}")
            return False
        for run in reply.response["runs"]:
            self._history.offers.append(Offer(run["id"], run["token"], self.name))
            work = self._execute(run["id"], run["token"])
            task = asyncio.create_task(work, name=f"run {run['id']}")
            self._tasks.add(task)
            task.add_done_callback(self._ended)
        return bool(reply.response["runs"])

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._history.surprises.append(f"{self.name}: {error!r}")

    async def _execute(self, run: str, token: str) -> None:
        channel = await self._join(run, token)
        if channel is None:
            return
        try:
            for event, payload in self._script():
                if event == "abandon":
                    self.abandoned.append(run)
                    return
                operation = self._history.invoke(token, run, event, payload)
                if not await self._insist(channel, operation):
                    return
                await asyncio.sleep(self._random.random() * 0.1)
        finally:
            with suppress(ClientError):
                await channel.leave()

    async def _join(self, run: str, token: str) -> ClientChannel | None:
        """Join a run; one whose join is not answered is tried again, as a worker does."""
        while True:
            try:
                # Its own earlier claim of the run, which went back unheard, may not be over.
                channel = self._client.channel(f"run:{run}", {"token": token})
                await channel.join()
            except JoinRefused as error:
                self._history.surprises.append(f"a join was refused: {error}")
                await asyncio.sleep(0.2)
            except (ClientError, RuntimeError):
                await asyncio.sleep(0.2)
            else:
                return channel

    def _script(self) -> list[tuple[str, dict[str, Any]]]:
        random = self._random
        script: list[tuple[str, dict[str, Any]]] = []
        if random.random() < 0.95:
            script.append(("run:start", {"timestamp": now()}))
        for _ in range(random.randint(1, 3)):
            script += self._step(random)
        if random.random() < 0.04:
            script.insert(random.randrange(1, len(script)), ("abandon", {}))
        final = {"reason": random.choice(REASONS), "final_state": {"data": {"n": 1}}}
        script.append(("run:complete", {**final, "timestamp": now()}))
        return script

    def _step(self, random: Random) -> list[tuple[str, dict[str, Any]]]:
        step_id = str(uuid4())
        script: list[tuple[str, dict[str, Any]]] = [
            ("step:start", {"step_id": step_id, "job_id": self._job, "timestamp": now()})
        ]
        for number in range(random.randrange(4)):
            line = {"message": [f"line {number}"], "step_id": step_id, "timestamp": now()}
            if random.random() < 0.3:
                lines = [{**line, "id": str(uuid4())} for _ in range(random.randint(2, 5))]
                script.append(("run:batch_logs", {"logs": lines}))
            else:
                script.append(("run:log", {**line, "id": str(uuid4())}))
        output = {"output_dataclip_id": str(uuid4()), "output_dataclip": json.dumps({"data": {}})}
        done = {"step_id": step_id, "reason": "success", **output, "timestamp": now()}
        script.append(("step:complete", done))
        return script

    async def _insist(self, channel: ClientChannel, operation: Operation) -> bool:
        """Send until answered; whether the run is still this worker's."""
        while True:
            operation.sent += 1
            try:
                reply = await channel.push(operation.event, operation.payload)
            except ClientError:
                operation.outcome = "info"
                await asyncio.sleep(0.1)
                continue
            operation.answer = reply.response
            if reply.ok:
                operation.outcome = "ok"
                return True
            if reply.response.get("retryable"):
                operation.outcome = "info"
                await asyncio.sleep(0.2)
                continue
            operation.outcome = "fail"
            return reply.response != {"reason": "lease_lost"}
