"""``POST /api/runs/bulk``: retry or cancel many runs, and tell how far it is while it goes on.

Which runs is decided before the first is touched: what is retried does not come up again. Each run
is a statement of its own, with the same rules as for a single one; what is refused is counted by
its code and told, and the others go on. When the client goes away, the rest is left alone.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Annotated, Final, Literal
from uuid import UUID

import msgspec
from litestar import post
from litestar.response import Stream

from handlers.gateway import Gateway
from handlers.http.api.access import Asked, accept, asker, body_of, gateway_of
from handlers.http.api.run_actions import RetryWish, cancel, retry
from handlers.http.api.run_query import RunQuery
from handlers.http.errors import field_problem
from handlers.run_tokens import User
from schema.codes import Code
from schema.lifecycle import FINAL_STATES, RUN_STATES
from schema.reading import run_list
from schema.reading.run_list import RunFilter
from schema.refused import Refused

MOST: Final = 10_000
"""Runs of one request; more are left for the next one, which is told."""

MOST_PAGES: Final = 20
"""Pages of the list that are read for one request: a search that finds little looks at no more."""

AT_ONCE: Final = 4
"""Statements of one request that are under way at one time."""

TOLD_EACH: Final = 50
"""Runs between two lines of progress."""

SHOWN: Final = 100
"""Refusals that are told one by one."""

NDJSON: Final = "application/x-ndjson"
EVENTS: Final = "text/event-stream"

Ids = Annotated[list[UUID], msgspec.Meta(min_length=1, max_length=MOST)]


class BulkWish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be done with which runs.

    Attributes:
        action: What is to be done.
        filter: With all runs that the list shows for it, and that the action can be meant for.
        cursor: With the filter: go on where a request before stopped, at its `next`.
        ids: Or with these runs.
        dry_run: Only tell how many it would be.
    """

    action: Literal["retry", "cancel"]
    filter: RunQuery | None = None
    cursor: str | None = None
    ids: Ids | None = None
    dry_run: bool = False


class BulkRefusal(msgspec.Struct, frozen=True):
    """A run with which it could not be done, and why."""

    run_id: UUID
    code: Code


class BulkProgress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far it is: one line, or one event, each time.

    Attributes:
        done: Runs that were dealt with, the refused ones included.
        total: Runs that were found.
        failed: Runs that were refused.
        refusals: Those of them that were not told before, at most 100 in all.
        finished: Whether this is the last line.
        truncated: There may be more runs than one request takes: ask again with the cursor.
        next: That cursor.
        codes: On the last line, how many were refused for which reason.
    """

    done: int
    total: int
    failed: int
    refusals: list[BulkRefusal] | None = None
    finished: bool = False
    truncated: bool = False
    next: str | None = None
    codes: dict[str, int] | None = None


@post("/runs/bulk", status_code=200)
async def bulk(request: Asked) -> Stream:
    """Retry or cancel many runs, with a stream of how far it is.

    Body: ``{"action": "retry"|"cancel", "filter": {...}}`` with the parameters of the list, or
    ``"ids": [...]``; ``"dry_run": true`` only counts. Answers JSON lines, or events with
    ``Accept: text/event-stream``: ``{"done", "total", "failed"}`` while it goes on, and
    ``"finished": true`` with the last. For operators.
    """
    user, gateway = asker(request, "operator"), gateway_of(request)
    wish = await body_of(request, BulkWish)
    if (wish.filter is None) == (wish.ids is None):
        raise field_problem("filter", "give exactly one of filter and ids")
    if wish.cursor is not None and wish.filter is None:
        raise field_problem("cursor", "belongs to a filter")
    ids, following = await _chosen(gateway, user, wish)
    as_events = EVENTS in request.headers.get("accept", "")
    lines = _progress(gateway, user, wish, ids, following, as_events)
    return Stream(lines, media_type=EVENTS if as_events else NDJSON)


async def _chosen(gateway: Gateway, user: User, wish: BulkWish) -> tuple[list[UUID], str | None]:
    """Return the runs that are meant, and the cursor to go on at if there may be more."""
    if wish.ids is not None:
        return list(dict.fromkeys(wish.ids)), None
    wanted = _meant((wish.filter or RunQuery()).filter(user), wish.action)
    ids: list[UUID] = []
    cursor = wish.cursor
    if not wanted.states:
        return ids, None
    for _ in range(MOST_PAGES):
        limit = min(run_list.LARGEST_PAGE, MOST - len(ids))
        page = accept(await run_list.page(gateway.repo, wanted, cursor=cursor, limit=limit))
        ids += page.ids
        cursor = page.next
        if cursor is None or len(ids) >= MOST:
            break
    return ids, cursor


def _meant(wanted: RunFilter, action: str) -> RunFilter:
    """Return the filter without the states that the action cannot be meant for."""
    over = action == "retry"
    states = [state for state in wanted.states or RUN_STATES if (state in FINAL_STATES) is over]
    return msgspec.structs.replace(wanted, states=states)


async def _progress(
    gateway: Gateway,
    user: User,
    wish: BulkWish,
    ids: list[UUID],
    following: str | None,
    as_events: bool,
) -> AsyncGenerator[bytes]:
    total, done = len(ids), 0
    refusals: list[BulkRefusal] = []
    codes: Counter[str] = Counter()

    def line(**more: object) -> bytes:
        progress = BulkProgress(done=done, total=total, failed=codes.total(), **more)  # type: ignore[arg-type]
        text = msgspec.json.encode(progress)
        return b"data: " + text + b"\n\n" if as_events else text + b"\n"

    if not wish.dry_run:
        yield line()
        for start in range(0, total, TOLD_EACH):
            part = ids[start : start + TOLD_EACH]
            told = len(refusals)
            for refusal in await _act(gateway, user, wish.action, part):
                codes[refusal.code] += 1
                refusals.append(refusal)
            done += len(part)
            fresh = refusals[told:SHOWN]
            yield line(refusals=fresh or None)
    yield line(
        finished=True, truncated=following is not None, next=following, codes=dict(codes) or None
    )


async def _act(gateway: Gateway, user: User, action: str, ids: list[UUID]) -> list[BulkRefusal]:
    """Do it with some runs, a few at a time; return those that were refused."""
    waiting = list(reversed(ids))
    refusals: list[BulkRefusal] = []

    async def work() -> None:
        while waiting:
            run_id = waiting.pop()
            if action == "retry":
                answer = await retry(gateway, user, run_id, RetryWish())
            else:
                answer = await cancel(gateway, user, run_id)
            if isinstance(answer, Refused):
                refusals.append(BulkRefusal(run_id, _code(answer)))

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return refusals


def _code(refused: Refused) -> Code:
    known: dict[str, Code] = {
        "not_found": "not_found",
        "busy": "busy",
        "unavailable": "unavailable",
    }
    return known.get(refused.kind, refused.code)
