"""``/api/runs/<id>/logs``: log lines by page, and all of them as one download."""

from collections.abc import AsyncGenerator
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream

from handlers.http.api.access import (
    Asked,
    accept,
    answer,
    asker,
    comma_list,
    found,
    gateway_of,
    scope,
)
from handlers.http.api.shapes import LogPage
from handlers.http.errors import field_problem
from schema.reading import run_detail, run_logs
from schema.reading.run_logs import LogFilter
from schema.refused import Refused
from schema.repo import Repo
from schema.tables import LOG_LEVELS

NDJSON = "application/x-ndjson"
PER_READ = 2000
"""Lines that a download reads at a time; nothing is held between two reads."""

Version = Annotated[int | None, QueryParameter(ge=0, le=2**63 - 1)]
Text = Annotated[str | None, QueryParameter(name="q", max_length=200)]


class DownloadBrokenError(Exception):
    """The database went away under a download: the connection is cut, so that it is noticed."""


@get("/runs/{run_id:uuid}/logs")
async def list_logs(
    request: Asked,
    run_id: FromPath[UUID],
    after: Version = None,
    before: Version = None,
    level: FromQuery[str | None] = None,
    step: FromQuery[UUID | None] = None,
    text: Text = None,
    limit: Annotated[int, QueryParameter(ge=1, le=run_logs.LARGEST_PAGE)] = 1000,
) -> Response[LogPage]:
    """List log lines of a run in the order in which they arrived.

    With ``Accept: application/x-ndjson`` all of them are sent, one JSON object per line.

    Args:
        request: The request.
        run_id: The run.
        after: Later than this version.
        before: Earlier than this version: the latest of them, in order.
        level: Of this level; several with commas between.
        step: Of this step only.
        text: With this text in the message, in any case of letters.
        limit: How many at most.
    """
    wanted = await _wanted(request, run_id, after, before, level, step, text)
    repo = gateway_of(request).repo
    if NDJSON in request.headers.get("accept", ""):
        return _download(repo, run_id, wanted)  # type: ignore[return-value]
    page = accept(await run_logs.page(repo, run_id, wanted, limit=limit))
    body = {
        "lines": [msgspec.Raw(line.encode()) for line in page.lines_json],
        "next": page.next,
        "total": page.total,
    }
    return answer(LogPage, msgspec.json.encode(body))


@get("/runs/{run_id:uuid}/logs.ndjson")
async def download_logs(
    request: Asked,
    run_id: FromPath[UUID],
    level: FromQuery[str | None] = None,
    step: FromQuery[UUID | None] = None,
    text: Text = None,
) -> Stream:
    """Send all log lines of a run, or those of the filter: one JSON object per line.

    If the database goes away meanwhile, the connection is cut.
    """
    wanted = await _wanted(request, run_id, None, None, level, step, text)
    return _download(gateway_of(request).repo, run_id, wanted)


async def _wanted(
    request: Asked,
    run_id: UUID,
    after: int | None,
    before: int | None,
    level: str | None,
    step: UUID | None,
    text: str | None,
) -> LogFilter:
    projects = scope(asker(request))
    if after is not None and before is not None:
        raise field_problem("before", "cannot be given together with after")
    levels = comma_list("level", level, LOG_LEVELS)
    found(await run_detail.visible(gateway_of(request).repo, run_id, projects), "run")
    return LogFilter(after=after, before=before, levels=levels, step_id=step, text=text or None)


def _download(repo: Repo, run_id: UUID, wanted: LogFilter) -> Stream:
    headers = {"Content-Disposition": f'attachment; filename="run-{run_id}.ndjson"'}
    return Stream(json_lines(repo, run_id, wanted), media_type=NDJSON, headers=headers)


async def json_lines(repo: Repo, run_id: UUID, wanted: LogFilter) -> AsyncGenerator[bytes]:
    """Yield all lines of a filter as JSON lines.

    Raises:
        DownloadBrokenError: The database went away.
    """
    wanted = msgspec.structs.replace(wanted, before=None)
    while True:
        page = await run_logs.page(repo, run_id, wanted, limit=PER_READ, total=False)
        if isinstance(page, Refused):
            raise DownloadBrokenError
        yield "".join(f"{line}\n" for line in page.lines_json).encode()
        if page.next is None:
            return
        wanted = msgspec.structs.replace(wanted, after=page.next)
