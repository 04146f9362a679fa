"""``/api/runs/{id}/events`` and ``/api/projects/{id}/events``: the feeds as server-sent events.

What the channels ``run:<id>`` and ``project:<id>`` push, with the same names and payloads; ``id:``
is the version or the cursor. A browser that lost its connection sends it as ``Last-Event-ID`` and
gets what it missed, once; so does ``?since=``. The first event is ``joined``, or ``snapshot`` with
``complete: false`` if what was missed cannot be told any more.

A stream ends when the client is gone or reads too slowly, when the server drains, with its token,
and after its longest life at the latest; browsers then come back by themselves.
"""

from uuid import UUID

from litestar import get
from litestar.params import FromPath
from litestar.response import Stream

from handlers.gateway import Gateway
from handlers.http.api.access import Asked, gateway_of
from handlers.http.auth import user_of
from handlers.http.errors import ProblemError, field_problem, refusal_problem
from handlers.http.event_stream import HEADERS, MEDIA_TYPE
from handlers.http.feed_sink import Followed, follow
from handlers.run_tokens import User
from handlers.run_viewer import parse_version
from schema.casts import INVALID
from schema.refused import Refused


@get("/api/runs/{run_id:uuid}/events")
async def stream_run(request: Asked, run_id: FromPath[UUID]) -> Stream:
    """Stream one run: what its channel pushes; ``Last-Event-ID`` or ``?since=`` is a version."""
    gateway, user = _admitted(request)
    try:
        since = _version(_since(request))
    except ValueError:
        raise field_problem("since", INVALID) from None
    found = await gateway.feeds.runs.read_from(run_id)
    if isinstance(found, Refused):
        raise refusal_problem(found)
    reader, head = found
    if head.project_id not in user.projects:
        reader.close()
        raise ProblemError("not_found", "There is no such run.")
    start = await reader.start(since, head)
    if isinstance(start, Refused):
        reader.close()
        raise refusal_problem(start)
    return _answer(gateway, user, Followed(f"run:{run_id}", "version", reader, start))


@get("/api/projects/{project_id:uuid}/events")
async def stream_project(request: Asked, project_id: FromPath[UUID]) -> Stream:
    """Stream the runs of a project; ``Last-Event-ID`` or ``?since=`` is a cursor."""
    gateway, user = _admitted(request)
    if project_id not in user.projects:
        raise ProblemError("not_found", "There is no such project.")
    reader = await gateway.feeds.projects.read_from(project_id)
    if isinstance(reader, Refused):
        raise refusal_problem(reader)
    start = await reader.start(_since(request))
    if isinstance(start, Refused):
        reader.close()
        raise refusal_problem(start)
    return _answer(gateway, user, Followed(f"project:{project_id}", "cursor", reader, start))


def _admitted(request: Asked) -> tuple[Gateway, User]:
    gateway, user = gateway_of(request), user_of(request, in_query=True)
    if not user.projects:
        raise ProblemError("forbidden", "This token is for no project.")
    if gateway.feeds.streams[user.subject] >= gateway.settings.streams_per_user:
        raise ProblemError("too_many_requests", "You have too many event streams open.")
    return gateway, user


def _since(request: Asked) -> str | None:
    return request.headers.get("last-event-id") or request.query_params.get("since") or None


def _version(text: str | None) -> int | None:
    if text is not None and not (text.isascii() and text.isdigit()):
        raise ValueError("a version is written in digits")
    return parse_version(None if text is None else int(text[:20]))


def _answer(gateway: Gateway, user: User, followed: Followed) -> Stream:
    return Stream(follow(gateway, user, followed), media_type=MEDIA_TYPE, headers=HEADERS)
