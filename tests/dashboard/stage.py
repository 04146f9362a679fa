"""The server that the page is looked at on: an application, the demo's project, hands that work."""

import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec

from channel_server.client import Client, ClientChannel
from handlers.application import Application
from handlers.config import Settings
from handlers.provision import provision_file
from schema import work_orders
from schema.projects import Provisioned, ProvisionedWorkflow
from schema.work_orders import Created, NewWorkOrder
from tests.plain_http import PLAIN

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "examples" / "demo-project.yaml"
SAMPLE = ROOT / "examples" / "emissions"
YEAR = 2025
PATIENCE = 20.0

QUIET: dict[str, Any] = {
    "run_statistics_cron": "",
    "retention_cron": "",
    "pipelines_poll_interval": 30.0,
}
"""Settings in which nothing happens by the clock."""


class Stage:
    """A started application with the demo's project.

    Args:
        settings: Of the application; with port 0 it gets a free one, and keeps it.

    Attributes:
        app: The application; another one after :meth:`restart`.
        project: What was provisioned.
    """

    app: Application
    project: Provisioned

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._workers = AsyncExitStack()

    async def start(self) -> None:
        """Start, and provision the project."""
        self.app = await Application(self._settings).start()
        made = await provision_file(self.app.repo, self._settings, PROJECT)
        assert isinstance(made, Provisioned), made
        self.project = made
        self._settings = msgspec.structs.replace(self._settings, port=self.app.endpoint.port)

    async def restart(self) -> None:
        """Stop as on a deploy, and start again on the same port."""
        await self.halt()
        await self.resume()

    async def halt(self) -> None:
        """Stop as on a deploy."""
        await self.app.stop()

    async def resume(self) -> None:
        """Start again on the same port."""
        self.app = await Application(self._settings).start()

    async def stop(self) -> None:
        """End everything."""
        await self._workers.aclose()
        await self.app.stop(drain=False)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{self._settings.host}:{self._settings.port}"

    @property
    def workflow(self) -> ProvisionedWorkflow:
        """The workflow of the project."""
        return self.project.workflows[0]

    def token(
        self, role: Any = "viewer", tenants: Any = ("*",), lifetime: float | None = 3600.0
    ) -> str:
        """A user token for the project; ``tenants=None`` is one without the claim."""
        tokens = self.app.gateway.user_tokens
        return tokens.issue("ana", [self.project.id], role, lifetime, tenants=tenants)

    async def http(self, role: Any = "operator", tenants: Any = ("*",)) -> httpx.AsyncClient:
        """Somebody who asks; closed with the stage."""
        client = httpx.AsyncClient(
            base_url=self.url,
            trust_env=False,
            verify=PLAIN,
            timeout=PATIENCE,
            headers={"Authorization": f"Bearer {self.token(role, tenants)}"},
        )
        return await self._workers.enter_async_context(client)

    async def enqueue(self, body: str = '{"id": 1, "quantity": 3}') -> str:
        """A run that can be claimed; returns its id."""
        new = NewWorkOrder(
            trigger_id=self.workflow.triggers["webhook"], dataclip_type="http_request", body=body
        )
        created = await work_orders.create(self.app.repo, new)
        assert isinstance(created, Created), created
        self.app.gateway.queue_changed()
        return str(created.run_id)

    async def worker(self, name: str = "hand-1", version: str = "1.2.3") -> "Worker":
        """A worker that does what it is told, on a socket of its own; gone with the stage."""
        token = self.app.gateway.worker_tokens.issue(name)
        params = {"token": token, "api_version": "1.2", "worker_version": version}
        client = Client(f"{self.app.endpoint.url}/worker", params=params)
        await self._workers.enter_async_context(client)
        queue = client.channel("worker:queue", {"capacity": 5, "queues": {"manual>*": 5}})
        await queue.join()
        return Worker(self, client, queue, name)

    async def upload(self, name: str, content: bytes | None = None, **fields: Any) -> str:
        """Dispatch a file of the sample, or another content; returns the id of the pipeline."""
        file = (name, (SAMPLE / name).read_bytes() if content is None else content)
        client = await self.http()
        answer = await client.post(
            "/api/pipelines/dispatch", data={"year": YEAR, **fields}, files={"file": file}
        )
        assert answer.status_code == 202, answer.text
        return answer.json()["pipeline_id"]

    async def recalculate(self, module: Any) -> str:
        """Have the emissions of a module computed anew; returns the id of the pipeline."""
        client = await self.http()
        body = {"module": module, "year": YEAR, "recalculate": True}
        answer = await client.post("/api/pipelines/dispatch", json=body)
        assert answer.status_code == 202, answer.text
        return answer.json()["pipeline_id"]

    async def clear(self) -> None:
        """End what other tests have left in the queue and in the hands of workers."""
        await self.sql(
            "UPDATE runs SET state = 'cancelled', finished_at = now()"
            " WHERE state IN ('available', 'claimed', 'started')"
        )

    async def sql(self, sql: str, *args: Any) -> list[Any]:
        """Run a statement of the test."""
        async with self.app.gateway.engine.pool.acquire() as connection:
            return await connection.fetch(sql, *args)


class Worker:
    """A worker whose hands the test moves.

    Attributes:
        name: As the page shows it.
        client: Its connection.
    """

    def __init__(self, stage: Stage, client: Client, queue: ClientChannel, name: str) -> None:
        self.name = name
        self.client = client
        self._stage = stage
        self._queue = queue

    async def claim(self) -> "Work":
        """Claim the next run and join it."""
        demand = {"demand": 1, "worker_name": self.name, "queues": ["manual", "*"]}
        reply = await self._queue.push("claim", demand)
        assert reply.ok, reply
        (offer,) = reply.response["runs"]
        channel = self.client.channel(f"run:{offer['id']}", {"token": offer["token"]})
        await channel.join()
        return Work(offer["id"], channel, self._stage.workflow.jobs)

    async def take(self, body: str = '{"id": 1, "quantity": 3}') -> "Work":
        """A fresh run, claimed and joined."""
        await self._stage.enqueue(body)
        return await self.claim()


class Work:
    """A run in the hands of a worker.

    Attributes:
        id: Of the run.
    """

    def __init__(self, run_id: str, channel: ClientChannel, jobs: Any) -> None:
        self.id = run_id
        self._channel = channel
        self._jobs = jobs

    async def send(self, event: str, **payload: Any) -> Any:
        """Push an event; the response of its reply, which must be ok."""
        reply = await self._channel.push(event, {"timestamp": now(), **payload})
        assert reply.ok, reply
        return reply.response

    async def start(self) -> None:
        """``run:start``."""
        await self.send("run:start", versions={"worker": "1.2.3"})

    async def step(self, job: str, **more: Any) -> str:
        """``step:start`` of a job by its key; returns the id of the step."""
        step_id = str(uuid4())
        await self.send("step:start", step_id=step_id, job_id=str(self._jobs[job]), **more)
        return step_id

    async def log(
        self, *message: Any, level: str = "info", step: str | None = None, source: str = "JOB"
    ) -> None:
        """``run:log``."""
        more = {} if step is None else {"step_id": step}
        await self.send("run:log", level=level, message=list(message), source=source, **more)

    async def done(self, step: str, output: str = '{"data": {"n": 1}}', **failure: Any) -> str:
        """``step:complete``; returns the id of the output dataclip."""
        clip = str(uuid4())
        values = {"reason": "success", **failure}
        await self.send(
            "step:complete", step_id=step, output_dataclip=output, output_dataclip_id=clip, **values
        )
        return clip

    async def complete(self, **failure: Any) -> None:
        """``run:complete``, and leave."""
        await self.send("run:complete", **{"reason": "success", **failure})
        await self._channel.leave()

    async def walk(self, *jobs: str) -> None:
        """The whole run, with one log line per step."""
        await self.start()
        for job in jobs:
            step = await self.step(job)
            await self.log(f"{job} is at work", step=step)
            await self.done(step)
        await self.complete()


def now() -> str:
    """A timestamp as workers send it."""
    return str(time.time_ns() // 1000)
