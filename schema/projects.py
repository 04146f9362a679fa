"""Projects: make the database match a specification, in one transaction.

Provisioning the same specification again changes nothing. A workflow whose graph changed gets the
next lock version and a new snapshot; runs that exist keep theirs. Not promised: that what is no
longer named is removed. Jobs, triggers and edges of a named workflow are; workflows and credentials
that are not named stay as they are.
"""

from collections.abc import Mapping
from typing import Any, Final, cast
from uuid import UUID, uuid5

import msgspec

from schema.credentials import context
from schema.crypto import Cipher
from schema.graph_writer import Graph, run, write_graph
from schema.project_spec import CredentialLike, ProjectLike, WorkflowLike
from schema.refused import Refused, invalid
from schema.repo import Repo, Rollback, Runner, Statement
from schema.tables import BLANK, declared

NAMESPACE: Final = UUID("5c6f8f0e-6a5b-5f57-9f0a-2f1f4f2a7c11")
"""Ids of provisioned rows are derived from names, so that they are the same everywhere."""

UPSERT: Final = Statement(
    "projects.upsert",
    """
INSERT INTO projects (id, name, retention_policy, concurrency, options)
VALUES ($1, $2, $3, $4, coalesce($5::jsonb, '{}'))
ON CONFLICT (name) DO UPDATE SET retention_policy = excluded.retention_policy,
  concurrency = excluded.concurrency, options = coalesce($5::jsonb, projects.options),
  updated_at = clock_timestamp()
RETURNING id""",
    declared("projects"),
)

UPSERT_CREDENTIAL: Final = Statement(
    "projects.upsert_credential",
    """
INSERT INTO credentials (id, project_id, name, body, key_id) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (project_id, name) DO UPDATE SET body = excluded.body, key_id = excluded.key_id,
  updated_at = clock_timestamp()
RETURNING id""",
    declared("credentials"),
)

FIND_CREDENTIAL: Final = Statement(
    "projects.find_credential", "SELECT id FROM credentials WHERE project_id = $1 AND name = $2"
)

UPSERT_WORKFLOW: Final = Statement(
    "projects.upsert_workflow",
    """
INSERT INTO workflows (id, project_id, key, name, concurrency) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (project_id, key) DO UPDATE SET name = excluded.name,
  concurrency = excluded.concurrency, updated_at = clock_timestamp()
RETURNING id""",
    declared("workflows"),
)


class ProvisionedWorkflow(msgspec.Struct, frozen=True):
    """A workflow as it is stored now.

    Attributes:
        lock_version: Version of its graph.
        changed: Whether the graph changed, so that there is a new snapshot.
        triggers: Ids of its triggers by key.
        jobs: Ids of its jobs by key.
    """

    id: UUID
    key: str
    name: str
    lock_version: int
    changed: bool
    triggers: dict[str, UUID]
    jobs: dict[str, UUID]


class Provisioned(msgspec.Struct, frozen=True):
    """A project as it is stored now."""

    id: UUID
    name: str
    credentials: dict[str, UUID]
    workflows: list[ProvisionedWorkflow]


async def provision(
    repo: Repo,
    spec: ProjectLike,
    cipher: Cipher,
    *,
    options: Mapping[str, Any] | None = None,
) -> Provisioned | Refused:
    """Create a project or change it into what the specification says; all of it or nothing.

    Args:
        repo: Where to.
        spec: The specification, whose references must have been checked.
        cipher: Encrypts the bodies of credentials.
        options: ``run_timeout_ms``, ``run_memory_limit_mb``, ``job_logs``; None leaves those of
            an existing project as they are.

    Returns:
        What is stored now; else the first refusal, whose fields start with the path of the part
        that was refused, and nothing is stored.
    """
    try:
        async with repo.transaction() as transaction:
            return await _project(transaction, spec, cipher, options)
    except Rollback as rollback:
        return rollback.refused


async def _project(
    runner: Runner, spec: ProjectLike, cipher: Cipher, options: Mapping[str, Any] | None
) -> Provisioned:
    rows = await run(
        runner,
        UPSERT,
        uuid5(NAMESPACE, spec.name),
        spec.name,
        spec.retention_policy,
        spec.concurrency,
        None if options is None else msgspec.json.encode(options).decode(),
    )
    project: UUID = rows[0]["id"]
    credentials = {
        credential.key: await _credential(runner, project, credential, cipher)
        for credential in spec.credentials
    }
    workflows = [
        await _workflow(runner, project, workflow, credentials) for workflow in spec.workflows
    ]
    return Provisioned(project, spec.name, credentials, workflows)


async def _credential(runner: Runner, project: UUID, spec: CredentialLike, cipher: Cipher) -> UUID:
    path = f"credentials.{spec.key}"
    found = await run(runner, FIND_CREDENTIAL, project, spec.name)
    stored: UUID | None = found[0]["id"] if found else None
    if spec.body is None and stored is None:
        raise Rollback(invalid(f"{path}.body", BLANK))
    if spec.body is None:
        return cast("UUID", stored)
    credential = stored or uuid5(project, f"credential/{spec.name}")
    sealed = cipher.encrypt(msgspec.json.encode(spec.body), context=context(credential))
    values = (credential, project, spec.name, sealed.body, sealed.key_id)
    await run(runner, UPSERT_CREDENTIAL, *values, path=path)
    return credential


async def _workflow(
    runner: Runner, project: UUID, spec: WorkflowLike, credentials: Mapping[str, UUID]
) -> ProvisionedWorkflow:
    path = f"workflows.{spec.key}"
    rows = await run(
        runner,
        UPSERT_WORKFLOW,
        uuid5(project, f"workflow/{spec.key}"),
        project,
        spec.key,
        spec.name,
        spec.concurrency,
        path=path,
    )
    workflow: UUID = rows[0]["id"]
    graph = Graph(project, workflow, spec, credentials, path)
    written = await write_graph(runner, graph)
    return ProvisionedWorkflow(
        id=workflow,
        key=spec.key,
        name=spec.name,
        lock_version=written.lock_version,
        changed=written.changed,
        triggers=written.triggers,
        jobs=written.jobs,
    )
