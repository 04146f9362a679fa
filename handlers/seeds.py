"""What a fixture needs to exist before its first frame, put into a database.

The `seed` of a worker fixture's header::

    {"workflows": {"1": {"triggers": [{"id", "type"}], "jobs": [{"id", "name", "adaptor", "body",
       "credential_id"?}], "edges": [{"id", "source_trigger_id" | "source_job_id",
       "target_job_id", "condition"?}]}},
     "credentials": {"cred-1": {…body…}},
     "dataclips": {"clip-1": {"type": "saved_input", "body": …}},   # body null: wiped
     "runs": {"1": {"workflow": "1", "start": "t", "dataclip": "clip-1", "queue"?, "options"?}}}

Ids in it are words; the real ones are bound as `uuid:project`, `uuid:workflow`,
`uuid:trigger.<id>`, `uuid:job.<id>`, `uuid:credential.<id>`, `uuid:dataclip.<id>`,
`uuid:run.<n>` and `uuid:work_order.<n>`; those of a second workflow as `uuid:job.2.<id>` and so on.
A run exists once the step `{"do": "enqueue", "run": "1"}` was played, its dataclip with it.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

import msgspec

from handlers.run_tokens import WorkerTokens
from handlers.spec import (
    CONDITIONS,
    CredentialSpec,
    EdgeSpec,
    JobSpec,
    ProjectSpec,
    TriggerSpec,
    WorkflowSpec,
)
from schema import projects, work_orders
from schema.crypto import Cipher
from schema.projects import ProvisionedWorkflow
from schema.refused import Refused
from schema.repo import Repo, Statement
from schema.work_orders import NewWorkOrder

T = TypeVar("T")

WIPE: Final = Statement(
    "seeds.wipe",
    "UPDATE dataclips SET body = NULL, request = NULL, wiped_at = now() WHERE id = $1",
)


class SeedError(Exception):
    """The database refused a seed.

    Attributes:
        refused: What it said.
    """

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused)
        self.refused = refused

    def __str__(self) -> str:
        return f"the seed was refused: {self.refused.errors or self.refused.kind}"


class Seeder:
    """Plants the seed of one fixture.

    Args:
        repo: Where to.
        cipher: Encrypts the bodies of credentials.
        worker_tokens: Makes the worker's token.
        changed: Called when a run was enqueued, for a server that cannot hear of it otherwise.
    """

    def __init__(
        self,
        repo: Repo,
        cipher: Cipher,
        worker_tokens: WorkerTokens,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._repo = repo
        self._cipher = cipher
        self._tokens = worker_tokens
        self._changed = changed
        self._seed: Mapping[str, Any] = {}
        self._workflows: dict[str, ProvisionedWorkflow] = {}
        self._dataclips: dict[str, UUID] = {}

    async def plant(self, name: str, seed: Mapping[str, Any]) -> dict[str, Any]:
        """Provision the project, and nothing of its runs.

        Args:
            name: Of the fixture; the project's name begins with it.
            seed: The header's `seed`; may be empty.

        Returns:
            The bindings to start a replay with.

        Raises:
            SeedError: The database refused it.
        """
        bindings: dict[str, Any] = {"token:worker": self._tokens.issue(f"replay of {name}")}
        self._seed = seed
        if not seed:
            return bindings
        spec = _project(f"{name} {uuid4()}", seed)
        made = _made(await projects.provision(self._repo, spec, self._cipher, options=spec.options))
        self._workflows = {workflow.key: workflow for workflow in made.workflows}
        bindings["uuid:project"] = str(made.id)
        for key, credential in made.credentials.items():
            bindings[f"uuid:credential.{key}"] = str(credential)
        for workflow in made.workflows:
            bindings |= _workflow_bindings(workflow)
        return bindings

    async def enqueue(self, number: str) -> dict[str, Any]:
        """Create a run of the seed, claimable now.

        Returns:
            The bindings that come with it.

        Raises:
            SeedError: The database refused it.
        """
        run = self._seed["runs"][number]
        new = self._new(run)
        created = _made(await work_orders.create(self._repo, new))
        bindings: dict[str, Any] = {
            f"uuid:run.{number}": str(created.run_id),
            f"uuid:work_order.{number}": str(created.work_order_id),
        }
        key = run.get("dataclip")
        if key is not None and created.dataclip_id is not None:
            self._dataclips[key] = created.dataclip_id
            bindings[f"uuid:dataclip.{key}"] = str(created.dataclip_id)
            if self._seed["dataclips"][key]["body"] is None:
                _made(await self._repo.execute(WIPE, created.dataclip_id))
        self._changed()
        return bindings

    def _new(self, run: Mapping[str, Any]) -> NewWorkOrder:
        workflow = self._workflows[run["workflow"]]
        start, key = run["start"], run.get("dataclip")
        known = self._dataclips.get(key) if key is not None else None
        clip = None if key is None or known else self._seed["dataclips"][key]
        return NewWorkOrder(
            trigger_id=workflow.triggers.get(start),
            job_id=None if start in workflow.triggers else workflow.jobs[start],
            dataclip_id=known,
            dataclip_type=None if clip is None else clip["type"],
            body=None if clip is None else msgspec.json.encode(clip["body"]).decode(),
            queue=run.get("queue", "default"),
        )


def _made(result: T | Refused) -> T:
    if isinstance(result, Refused):
        raise SeedError(result)
    return result


def _workflow_bindings(workflow: ProvisionedWorkflow) -> dict[str, str]:
    inner = "" if workflow.key == "1" else f"{workflow.key}."
    outer = "" if workflow.key == "1" else f".{workflow.key}"
    bindings = {f"uuid:workflow{outer}": str(workflow.id)}
    for kind, ids in (("trigger", workflow.triggers), ("job", workflow.jobs)):
        bindings |= {f"uuid:{kind}.{inner}{key}": str(id_) for key, id_ in ids.items()}
    return bindings


def _project(name: str, seed: Mapping[str, Any]) -> ProjectSpec:
    options: dict[str, Any] = {}
    for run in seed["runs"].values():
        options |= run.get("options") or {}
    retention = "retain_all" if options.get("output_dataclips", True) else "erase_all"
    timeout = options.get("run_timeout_ms")
    return ProjectSpec(
        name=name,
        retention_policy=retention,
        concurrency=None,
        options={} if timeout is None else {"run_timeout_ms": timeout},
        credentials=tuple(
            CredentialSpec(key=key, name=key, body=body)
            for key, body in seed["credentials"].items()
        ),
        workflows=tuple(_workflow(key, graph) for key, graph in seed["workflows"].items()),
    )


def _workflow(key: str, graph: Mapping[str, Any]) -> WorkflowSpec:
    return WorkflowSpec(
        key=key,
        name=f"workflow {key}",
        concurrency=None,
        jobs=tuple(
            JobSpec(
                key=job["id"],
                name=job["name"],
                adaptor=job["adaptor"],
                body=job["body"],
                credential=job.get("credential_id"),
            )
            for job in graph["jobs"]
        ),
        triggers=tuple(
            TriggerSpec(
                key=trigger["id"],
                type=trigger["type"],
                enabled=True,
                webhook_reply="before_start",
                webhook_response_config=None,
                cron_expression=None,
            )
            for trigger in graph["triggers"]
        ),
        edges=tuple(_edge(edge) for edge in graph["edges"]),
    )


def _edge(edge: Mapping[str, Any]) -> EdgeSpec:
    condition = edge.get("condition", "always")
    named = condition in CONDITIONS
    return EdgeSpec(
        key=edge["id"],
        source_trigger=edge.get("source_trigger_id"),
        source_job=edge.get("source_job_id"),
        target_job=edge["target_job_id"],
        condition_type=condition if named else "js_expression",
        condition_expression=None if named else condition,
        enabled=edge.get("enabled", True),
    )
