"""``/api/dataclips/<id>``: what went into or came out of a run."""

from uuid import UUID

from litestar import Response, get
from litestar.params import FromPath

from handlers.http.api.access import Asked, answer, asker, found, gateway_of, scope
from handlers.http.api.shapes import Dataclip
from schema.reading import dataclip


@get("/dataclips/{dataclip_id:uuid}")
async def show_dataclip(request: Asked, dataclip_id: FromPath[UUID]) -> Response[Dataclip]:
    """Show a dataclip; one that was wiped says so, and has neither body nor request."""
    projects = scope(asker(request))
    text = await dataclip.dataclip(gateway_of(request).repo, dataclip_id, projects)
    return answer(Dataclip, found(text, "dataclip"))
