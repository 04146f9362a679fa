"""A small project to run things in, and shorthand for what a worker would do."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

import msgspec

from schema import plans, projects, queue, runs, steps, work_orders
from schema.changeset import Changeset
from schema.crypto import Cipher
from schema.outcomes import Applied, LatePolicy, Owner, Resent, TooLate
from schema.project_spec import ProjectLike
from schema.refused import Refused
from schema.repo import Repo, Statement
from schema.work_orders import Created, NewWorkOrder

CIPHER = Cipher(b"k" * 32)

Result = Applied | Resent | TooLate | Refused


def workflow(key: str = "orders", **more: Any) -> SimpleNamespace:
    """A workflow: webhook -> first -> second."""
    job = {"adaptor": "@openfn/language-common@latest", "body": "fn(s => s)", "credential": None}
    trigger = {"webhook_reply": None, "webhook_response_config": None, "cron_expression": None}
    edge = {"source_trigger": None, "source_job": None, "condition_expression": None}
    spec = SimpleNamespace(
        key=key,
        name=f"Workflow {key}",
        concurrency=None,
        jobs=[
            SimpleNamespace(key="first", name="First", **job),
            SimpleNamespace(key="second", name="Second", **job),
        ],
        triggers=[SimpleNamespace(key="webhook", type="webhook", enabled=True, **trigger)],
        edges=[
            SimpleNamespace(
                key="start",
                **{**edge, "source_trigger": "webhook"},
                target_job="first",
                condition_type="always",
                enabled=True,
            ),
            SimpleNamespace(
                key="then",
                **{**edge, "source_job": "first"},
                target_job="second",
                condition_type="on_job_success",
                enabled=True,
            ),
        ],
    )
    spec.__dict__.update(more)
    return spec


def project(name: str = "shop", **more: Any) -> Any:
    """A project with one workflow and no credentials."""
    spec = SimpleNamespace(
        name=name, retention_policy="retain_all", concurrency=None, credentials=[], workflows=[]
    )
    spec.__dict__.update(more)
    spec.workflows = spec.workflows or [workflow()]
    return spec


@dataclass
class World:
    """A provisioned project, and what its workers do.

    Steps and runs are reported without a timestamp unless one is given; each call has a
    fingerprint of its own unless one is given.
    """

    repo: Repo
    project: projects.Provisioned
    calls: int = field(default=0)

    @classmethod
    async def create(cls, repo: Repo, spec: Any = None, **options: Any) -> "World":
        spec = cast("ProjectLike", spec or project())
        made = await projects.provision(repo, spec, CIPHER, options=options or None)
        assert not isinstance(made, Refused), made
        return cls(repo, made)

    def workflow(self, at: int = 0) -> projects.ProvisionedWorkflow:
        return self.project.workflows[at]

    @property
    def job(self) -> UUID:
        return self.workflow().jobs["first"]

    async def enqueue(self, at: int = 0, **more: Any) -> Created:
        """A run of the workflow, ready to be claimed."""
        fields: dict[str, Any] = {
            "trigger_id": self.workflow(at).triggers["webhook"],
            "dataclip_type": "http_request",
            "body": '{"order": 1}',
            "request": '{"method": "POST"}',
        }
        created = await work_orders.create(self.repo, NewWorkOrder(**{**fields, **more}))
        assert isinstance(created, Created), created
        return created

    async def claim(self, demand: int = 1, **more: Any) -> list[queue.ClaimedRun]:
        claims = await queue.claim(self.repo, demand, **more)
        assert isinstance(claims, queue.Claims), claims
        return claims.runs

    async def claimed(self, **more: Any) -> Owner:
        """A run that a worker has claimed."""
        created = await self.enqueue(**more)
        (run,) = await self.claim()
        assert run.id == created.run_id
        return run.owner

    async def started(self, **more: Any) -> Owner:
        """A run that a worker has claimed, joined and started."""
        owner = await self.claimed(**more)
        assert isinstance(await plans.join(self.repo, owner), plans.Joined)
        assert isinstance(await self.start(owner), Applied)
        return owner

    async def start(self, owner: Owner, mark: bytes | None = None, **values: Any) -> Result:
        return await runs.start(self.repo, owner, Changeset(values), mark or self.mark())

    async def complete(
        self,
        owner: Owner,
        state: str = "success",
        mark: bytes | None = None,
        *,
        late: LatePolicy = "accept",
        **values: Any,
    ) -> Result:
        changes = Changeset({"state": state, **values})
        return await runs.complete(self.repo, owner, changes, mark or self.mark(), late=late)

    async def step(
        self,
        owner: Owner,
        step_id: UUID | None = None,
        mark: bytes | None = None,
        *,
        late: LatePolicy = "accept",
        **values: Any,
    ) -> Result:
        changes = Changeset({"step_id": step_id or uuid4(), "job_id": self.job, **values})
        return await steps.start(self.repo, owner, changes, mark or self.mark(), late=late)

    async def stepped(self, owner: Owner) -> UUID:
        """A step that is open."""
        step_id = uuid4()
        assert isinstance(await self.step(owner, step_id), Applied)
        return step_id

    async def finish(
        self,
        owner: Owner,
        step_id: UUID,
        mark: bytes | None = None,
        *,
        late: LatePolicy = "accept",
        **values: Any,
    ) -> Result:
        changes = Changeset({"step_id": step_id, "exit_reason": "success", **values})
        return await steps.complete(self.repo, owner, changes, mark or self.mark(), late=late)

    def mark(self) -> bytes:
        """A fingerprint that no other event has."""
        self.calls += 1
        return self.calls.to_bytes(16, "big")

    async def rows(self, sql: str, *args: Any) -> list[Any]:
        rows = await self.repo.fetch(Statement("test", sql), *args)
        assert not isinstance(rows, Refused), rows
        return rows

    async def value(self, sql: str, *args: Any) -> Any:
        return (await self.rows(sql, *args))[0][0]

    async def run(self, owner_or_id: Owner | UUID) -> Any:
        """The row of a run."""
        run_id = owner_or_id.run_id if isinstance(owner_or_id, Owner) else owner_or_id
        return (await self.rows("SELECT * FROM runs WHERE id = $1", run_id))[0]

    async def wipe(self) -> None:
        """Wipe all dataclips."""
        await self.rows(
            "UPDATE dataclips SET body = NULL, request = NULL, wiped_at = now() RETURNING id"
        )

    async def contents(self) -> list[Any]:
        """Everything that a worker's event could change, to compare before and after."""
        tables = ("runs", "steps", "run_steps", "log_lines", "dataclips", "run_events")
        return [
            await self.rows(f"SELECT to_jsonb(t) FROM {table} t ORDER BY to_jsonb(t)::text")
            for table in (*tables, "work_orders")
        ]


def payload(result: Any) -> Any:
    """The payload of an event, decoded."""
    assert not isinstance(result, Refused | Resent | TooLate), result
    return msgspec.json.decode(result.payload_json)
