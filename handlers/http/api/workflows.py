"""``/api/workflows``: what can be run, and what it looks like."""

from uuid import UUID

from litestar import Response, get
from litestar.params import FromPath, FromQuery

from handlers.http.api.access import Asked, accept, answer, asker, found, gateway_of, scope
from handlers.http.api.shapes import WorkflowDetail, WorkflowList
from schema.reading import catalog


@get("/workflows")
async def list_workflows(
    request: Asked, project: FromQuery[UUID | None] = None
) -> Response[WorkflowList]:
    """List workflows by name, with how many runs they have by state."""
    projects = scope(asker(request), project)
    text = accept(await catalog.workflows(gateway_of(request).repo, projects))
    return answer(WorkflowList, f'{{"workflows":{text}}}', keep=True)


@get("/workflows/{workflow_id:uuid}")
async def show_workflow(request: Asked, workflow_id: FromPath[UUID]) -> Response[WorkflowDetail]:
    """Show a workflow with its graph as it is now and its latest 100 snapshots."""
    projects = scope(asker(request))
    text = await catalog.workflow(gateway_of(request).repo, workflow_id, projects)
    return answer(WorkflowDetail, found(text, "workflow"), keep=True)
