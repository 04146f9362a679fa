"""``/api/work-orders``: what was asked for, with the attempts at it."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.params import FromQuery, QueryParameter

from handlers.http.api.access import (
    Asked,
    accept,
    answer,
    asker,
    comma_list,
    gateway_of,
    moment,
    scope,
)
from handlers.http.api.shapes import WorkOrderList
from schema.lifecycle import WORK_ORDER_STATES
from schema.reading import work_order_list
from schema.reading.work_order_list import WorkOrderFilter

_TIME = {"format": "date-time"}


@get("/work-orders")
async def list_work_orders(
    request: Asked,
    project: FromQuery[UUID | None] = None,
    workflow: FromQuery[UUID | None] = None,
    states: Annotated[str | None, QueryParameter(name="state")] = None,
    since: Annotated[str | None, QueryParameter(name="from", schema_extra=_TIME)] = None,
    until: Annotated[str | None, QueryParameter(name="to", schema_extra=_TIME)] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=work_order_list.LARGEST_PAGE)] = 50,
    cursor: FromQuery[str | None] = None,
) -> Response[WorkOrderList]:
    """List work orders, newest first, each with its latest attempts.

    Args:
        request: The request.
        project: Of this project only.
        workflow: Of this workflow only.
        states: In this state; several with commas between. Each page looks at no more than 5000
            work orders.
        since: Created at this time or later.
        until: Created before this time.
        limit: How many at most.
        cursor: The `next` of the page before.
    """
    wanted = WorkOrderFilter(
        projects=scope(asker(request), project),
        workflow=workflow,
        states=comma_list("state", states, WORK_ORDER_STATES),
        since=moment("from", since),
        until=moment("to", until),
    )
    page = accept(
        await work_order_list.page(gateway_of(request).repo, wanted, cursor=cursor, limit=limit)
    )
    body = {
        "work_orders": [msgspec.Raw(each.encode()) for each in page.orders_json],
        "next": page.next,
    }
    return answer(WorkOrderList, msgspec.json.encode(body), keep=True)
