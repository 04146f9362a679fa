"""The OpenFn project spec: what a project consists of, read from YAML.

::

    name: orders
    credentials:
      shop: {name: Shop, body: {token: "..."}}
    workflows:
      new-order:
        name: New order
        jobs:
          check: {name: Check, adaptor: "@openfn/language-common@latest", body: "fn(s => s)"}
        triggers:
          webhook: {type: webhook, enabled: true}
        edges:
          webhook->check: {source_trigger: webhook, target_job: check, condition_type: always}

:func:`parse_spec` is pure. It finds all problems of a file at once; what the fields mean together
(references, cycles, start triggers) is decided in :mod:`handlers.spec_rules`.
"""

from pathlib import Path
from typing import Any, Final

import msgspec

from handlers.spec_nodes import Fields, Notebook, SpecError, SpecProblem, compose

RETENTION: Final = ("retain_all", "retain_with_errors", "erase_all")
TRIGGER_TYPES: Final = ("webhook", "cron", "kafka")
WEBHOOK_REPLIES: Final = ("before_start", "after_completion")
CONDITIONS: Final = ("always", "on_job_success", "on_job_failure", "js_expression")
LARGEST_FILE: Final = 4 * 1024 * 1024


class CredentialSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A credential; ``body`` None leaves the stored one as it is."""

    key: str
    name: str
    body: dict[str, Any] | None


class JobSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One node of a workflow; ``credential`` is the key of a credential of the project."""

    key: str
    name: str
    adaptor: str
    body: str
    credential: str | None


class TriggerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What starts a workflow."""

    key: str
    type: str
    enabled: bool
    webhook_reply: str
    webhook_response_config: dict[str, Any] | None
    cron_expression: str | None


class EdgeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A way from a trigger or a job to a job."""

    key: str
    source_trigger: str | None
    source_job: str | None
    target_job: str
    condition_type: str
    condition_expression: str | None
    enabled: bool


class WorkflowSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A graph of jobs; ``concurrency`` None means no limit of its own."""

    key: str
    name: str
    concurrency: int | None
    jobs: tuple[JobSpec, ...]
    triggers: tuple[TriggerSpec, ...]
    edges: tuple[EdgeSpec, ...]


class ProjectSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A whole project, as one file describes it.

    ``options`` may hold ``run_timeout_ms``, ``run_memory_limit_mb`` and ``job_logs``; None leaves
    those that are stored as they are.
    """

    name: str
    retention_policy: str
    concurrency: int | None
    options: dict[str, Any] | None
    credentials: tuple[CredentialSpec, ...]
    workflows: tuple[WorkflowSpec, ...]


def read_spec(path: Path) -> ProjectSpec:
    """Read and check a project spec.

    Raises:
        SpecError: The file is no valid project spec.
        OSError: The file cannot be read.
    """
    data = path.read_bytes()
    if len(data) > LARGEST_FILE:
        raise SpecError([SpecProblem(str(path), 1, "", f"is larger than {LARGEST_FILE} bytes")])
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SpecError([SpecProblem(str(path), line, "", "is not UTF-8 text")]) from None
    return parse_spec(text, file=str(path))


def parse_spec(text: str, *, file: str = "project.yaml") -> ProjectSpec:
    """Parse and check a project spec; ``file`` is only named in problems.

    Raises:
        SpecError: With all problems found, in the order of the lines.
    """
    from handlers.spec_rules import broken_rules

    notebook = Notebook(file)
    project = _project(compose(text, notebook))
    notebook.raise_problems()
    for field, message in broken_rules(project):
        notebook.complain(field, message)
    notebook.raise_problems()
    return project


def _project(fields: Fields) -> ProjectSpec:
    project = ProjectSpec(
        name=fields.required("name"),
        retention_policy=fields.choice("retention_policy", RETENTION, RETENTION[0]),
        concurrency=fields.positive("concurrency"),
        options=_options(fields),
        credentials=tuple(_credential(*entry) for entry in fields.children("credentials")),
        workflows=tuple(_workflow(*entry) for entry in fields.children("workflows")),
    )
    fields.finish(("description",))
    return project


def _options(project: Fields) -> dict[str, Any] | None:
    fields = project.child("options")
    if fields is None:
        return None
    options: dict[str, Any] = {
        "run_timeout_ms": fields.positive("run_timeout_ms"),
        "run_memory_limit_mb": fields.positive("run_memory_limit_mb"),
        "job_logs": fields.flag("job_logs", default=True),
    }
    fields.finish()
    return {name: value for name, value in options.items() if value is not None}


def _credential(key: str, fields: Fields) -> CredentialSpec:
    credential = CredentialSpec(key=key, name=fields.text("name") or key, body=fields.free("body"))
    fields.finish(("owner", "schema"))
    return credential


def _workflow(key: str, fields: Fields) -> WorkflowSpec:
    workflow = WorkflowSpec(
        key=key,
        name=fields.text("name") or key,
        concurrency=fields.positive("concurrency"),
        jobs=tuple(_job(*entry) for entry in fields.children("jobs")),
        triggers=tuple(_trigger(*entry) for entry in fields.children("triggers")),
        edges=tuple(_edge(*entry) for entry in fields.children("edges")),
    )
    fields.finish(("description",))
    return workflow


def _job(key: str, fields: Fields) -> JobSpec:
    job = JobSpec(
        key=key,
        name=fields.text("name") or key,
        adaptor=fields.required("adaptor"),
        body=fields.required("body"),
        credential=fields.text("credential"),
    )
    fields.finish(("description",))
    return job


def _trigger(key: str, fields: Fields) -> TriggerSpec:
    trigger = TriggerSpec(
        key=key,
        type=fields.choice("type", TRIGGER_TYPES),
        enabled=fields.flag("enabled", default=True),
        webhook_reply=fields.choice("webhook_reply", WEBHOOK_REPLIES, WEBHOOK_REPLIES[0]),
        webhook_response_config=fields.free("webhook_response_config"),
        cron_expression=fields.text("cron_expression"),
    )
    fields.finish(("description",))
    return trigger


def _edge(key: str, fields: Fields) -> EdgeSpec:
    edge = EdgeSpec(
        key=key,
        source_trigger=fields.text("source_trigger"),
        source_job=fields.text("source_job"),
        target_job=fields.required("target_job"),
        condition_type=fields.choice("condition_type", CONDITIONS, CONDITIONS[0]),
        condition_expression=fields.text("condition_expression"),
        enabled=fields.flag("enabled", default=True),
    )
    fields.finish(("condition_label", "description"))
    return edge
