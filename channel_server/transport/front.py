"""The ASGI application in front of the user's: answers plain HTTP requests to socket paths.

They go through the whole handshake, as websocket requests do, and fail at its last step, so that a
curl of a socket's URL says what is wrong with it.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias, cast

from websockets.datastructures import Headers
from websockets.http11 import Request

from channel_server.log import get_logger
from channel_server.transport.handshake import Handshake, Refusal, too_often
from channel_server.transport.hub import Hub
from channel_server.transport.mounts import Place
from channel_server.transport.request import HandshakeRequest, make_request
from channel_server.transport.upgrade import Upgrade

log = get_logger(__name__)

Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
"""Any ASGI 3 application."""

_NOT_UPGRADED = Refusal(400, "not a websocket upgrade", "upgrade")
_NOTHING_HERE = Refusal(404, "not found", "http")


class Front:
    """Routes a request to a socket path or to the application."""

    def __init__(self, hub: Hub, app: ASGIApp | None) -> None:
        self._hub = hub
        self._app = app

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "http":
            target = _target(scope)
            found = self._hub.places.find(target.partition("?")[0])
            if found is not None:
                refusal = await self._refusal(scope, target, *found)
                self._hub.metrics.refused(refusal.kind)
                log.info("socket_refused", status=refusal.status, reason=refusal.kind)
                await _respond(send, refusal)
                return
        if self._app is not None:
            await self._app(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        else:
            await _respond(send, _NOTHING_HERE)

    async def _refusal(
        self, scope: Event, target: str, place: Place, variables: dict[str, str]
    ) -> Refusal:
        closed = self._hub.closed_for_now()
        if closed is not None:
            return closed
        request = self._request(scope, target)
        peer = request.peer
        wait = place.upgrade_wait(None if peer is None else peer[0], self._hub.loop.time())
        if wait:
            return too_often(wait)
        handshake = Handshake(request, place)
        refusal = handshake.check(variables)
        if refusal is None:
            answer = handshake.connect()
            refusal = await answer if isinstance(answer, Awaitable) else answer
        if refusal is not None:
            return refusal
        raw = Request(target, request.headers, request.method)
        response = Upgrade().validate(raw, place.limits, handshake.subprotocol)
        return response if isinstance(response, Refusal) else _NOT_UPGRADED

    def _request(self, scope: Event, target: str) -> HandshakeRequest:
        headers = Headers()
        for name, value in cast("list[tuple[bytes, bytes]]", scope["headers"]):
            headers[name.decode("latin-1")] = value.decode("latin-1")
        client = cast("tuple[str, int] | None", scope.get("client"))
        return make_request(
            cast("str", scope["method"]),
            target,
            headers,
            peer=None if client is None else (client[0], client[1]),
            secure=scope["scheme"] == "https",
            proxies=self._hub.proxies,
        )


def _target(scope: Event) -> str:
    path = cast("bytes", scope["raw_path"]).decode("latin-1")
    query = cast("bytes", scope["query_string"]).decode("latin-1")
    return f"{path}?{query}" if query else path


async def _respond(send: Send, refusal: Refusal) -> None:
    body = refusal.body()
    headers = {
        "content-type": "text/plain; charset=utf-8",
        "content-length": str(len(body)),
        **refusal.headers,
    }
    await send(
        {
            "type": "http.response.start",
            "status": refusal.status,
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return
