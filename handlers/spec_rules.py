"""What the fields of a project spec must mean together. Pure.

Each rule yields ``(field, message)``, where ``field`` is the dotted path of the field to change.
A spec that breaks none of them can be stored, and every run of it has a plan that a worker
survives: no start trigger without an enabled edge, no reference into nothing, no cycle.
"""

from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias

from handlers.spec import EdgeSpec, ProjectSpec, TriggerSpec, WorkflowSpec
from pipelines.schedules import InvalidScheduleError, check_cron

Broken: TypeAlias = Iterator[tuple[str, str]]


def broken_rules(project: ProjectSpec) -> Broken:
    """Yield what is wrong with a spec whose single fields are right."""
    if not project.workflows:
        yield "workflows", "is required: a project needs at least one workflow"
    yield from _unique("workflows", [(item.key, item.name) for item in project.workflows])
    yield from _unique("credentials", [(item.key, item.name) for item in project.credentials])
    credentials = [credential.key for credential in project.credentials]
    for workflow in project.workflows:
        yield from _workflow(f"workflows.{workflow.key}", workflow, credentials)


def _workflow(path: str, workflow: WorkflowSpec, credentials: list[str]) -> Broken:
    if not workflow.jobs:
        yield f"{path}.jobs", "is required: a workflow needs at least one job"
    yield from _unique(f"{path}.jobs", [(job.key, job.name) for job in workflow.jobs])
    for job in workflow.jobs:
        if job.credential is not None and job.credential not in credentials:
            message = _no_such("credential", job.credential, credentials, "this project")
            yield f"{path}.jobs.{job.key}.credential", message
    for edge in workflow.edges:
        yield from _edge(f"{path}.edges.{edge.key}", edge, workflow)
    for trigger in workflow.triggers:
        yield from _trigger(f"{path}.triggers.{trigger.key}", trigger, workflow)
    yield from _cycle(path, workflow)


def _unique(path: str, names: list[tuple[str, str]]) -> Broken:
    times = Counter(name for _, name in names)
    seen: set[str] = set()
    for key, name in names:
        if times[name] > 1 and name in seen:
            yield f"{path}.{key}.name", f'"{name}" is the name of another entry already'
        seen.add(name)


def _no_such(what: str, key: str, known: list[str], where: str) -> str:
    listed = ", ".join(known) or "none"
    return f'there is no {what} "{key}" in {where} (there is: {listed})'


def _edge(path: str, edge: EdgeSpec, workflow: WorkflowSpec) -> Broken:
    jobs = [job.key for job in workflow.jobs]
    triggers = [trigger.key for trigger in workflow.triggers]
    if (edge.source_trigger is None) == (edge.source_job is None):
        yield path, "needs either source_trigger or source_job, and not both"
    if edge.source_trigger is not None and edge.source_trigger not in triggers:
        message = _no_such("trigger", edge.source_trigger, triggers, "this workflow")
        yield f"{path}.source_trigger", message
    if edge.source_job is not None and edge.source_job not in jobs:
        yield f"{path}.source_job", _no_such("job", edge.source_job, jobs, "this workflow")
    if edge.target_job not in jobs:
        yield f"{path}.target_job", _no_such("job", edge.target_job, jobs, "this workflow")
    yield from _condition(path, edge)


def _condition(path: str, edge: EdgeSpec) -> Broken:
    expression = (edge.condition_expression or "").strip()
    if edge.condition_type == "js_expression" and not expression:
        yield f"{path}.condition_expression", "is required with condition_type js_expression"
    if edge.condition_type != "js_expression" and expression:
        message = "is only used with condition_type js_expression"
        yield f"{path}.condition_expression", message
    if edge.source_trigger is not None and edge.condition_type.startswith("on_job_"):
        message = "must be always or js_expression on an edge from a trigger: no job has run yet"
        yield f"{path}.condition_type", message


def _trigger(path: str, trigger: TriggerSpec, workflow: WorkflowSpec) -> Broken:
    leaving = [edge for edge in workflow.edges if edge.source_trigger == trigger.key]
    if trigger.enabled and not any(edge.enabled for edge in leaving):
        message = "is enabled, but no enabled edge leaves it: its runs would have nothing to do"
        yield path, message
    if trigger.type == "cron":
        yield from _cron(f"{path}.cron_expression", trigger.cron_expression)
    elif trigger.cron_expression is not None:
        yield f"{path}.cron_expression", "is only used with type cron"
    yield from _response_config(f"{path}.webhook_response_config", trigger)


def _cron(path: str, expression: str | None) -> Broken:
    if expression is None:
        yield path, "is required with type cron"
    elif len(expression.split()) != 5:
        yield path, f'must have five parts, as in "0 6 * * *", not "{expression}"'
    else:
        try:
            check_cron(expression)
        except InvalidScheduleError as error:
            yield path, f'is no time: "{expression}" ({error.reason})'


def _response_config(path: str, trigger: TriggerSpec) -> Broken:
    config = trigger.webhook_response_config
    if config is None:
        return
    if trigger.type != "webhook":
        yield path, "is only used with type webhook"
    for key, value in config.items():
        if key not in {"success_code", "error_code"}:
            yield path, f'has an unknown field "{key}" (known: success_code, error_code)'
        elif value is not None and (
            not isinstance(value, int) or isinstance(value, bool) or not 200 <= value <= 599
        ):
            yield path, f"{key} must be an HTTP status from 200 to 599"


def _cycle(path: str, workflow: WorkflowSpec) -> Broken:
    """Yield the first edge that closes a circle of jobs, disabled edges included."""
    leaving: dict[str, list[EdgeSpec]] = {}
    for edge in workflow.edges:
        if edge.source_job is not None:
            leaving.setdefault(edge.source_job, []).append(edge)
    done: set[str] = set()
    for job in workflow.jobs:
        closing = _closing_edge(job.key, leaving, done)
        if closing is not None:
            message = "closes a circle: a job must not be reached from itself"
            yield f"{path}.edges.{closing.key}", message
            return


def _closing_edge(
    start: str, leaving: dict[str, list[EdgeSpec]], done: set[str]
) -> EdgeSpec | None:
    # Depth first with a list instead of recursion: a chain of jobs may be long.
    trail = {start}
    stack = [(start, iter(leaving.get(start, ())))]
    while stack:
        job, edges = stack[-1]
        edge = next(edges, None)
        if edge is None:
            stack.pop()
            trail.discard(job)
            done.add(job)
        elif edge.target_job in trail:
            return edge
        elif edge.target_job not in done:
            trail.add(edge.target_job)
            stack.append((edge.target_job, iter(leaving.get(edge.target_job, ()))))
    return None
