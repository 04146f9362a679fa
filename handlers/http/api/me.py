"""``/api/me`` and ``/api/projects``: what a token allows to see."""

from datetime import UTC, datetime

import msgspec
from litestar import Response, get

from handlers.http.api.access import Asked, accept, answer, asker, gateway_of, scope
from handlers.http.api.shapes import Me, ProjectList
from schema.reading import catalog


@get("/me")
async def me(request: Asked) -> Response[Me]:
    """Say whose token this is and what it allows."""
    user = asker(request)
    names = accept(await catalog.project_names(gateway_of(request).repo, scope(user)))
    expires = None
    if user.expires_at is not None:
        expires = datetime.fromtimestamp(user.expires_at, UTC).isoformat()
    body = {
        "subject": user.subject,
        "role": user.role,
        "expires_at": expires,
        "projects": msgspec.Raw(names.encode()),
        "tenants": None if user.tenants is None else sorted(user.tenants),
    }
    return answer(Me, msgspec.json.encode(body))


@get("/projects")
async def list_projects(request: Asked) -> Response[ProjectList]:
    """List the projects of the token, by name, with how many of their runs are not over."""
    user = asker(request)
    text = accept(await catalog.projects(gateway_of(request).repo, scope(user)))
    return answer(ProjectList, f'{{"projects":{text}}}', keep=True)
