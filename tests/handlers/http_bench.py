"""The HTTP application without a port, and people of every role who ask it."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec

from handlers.http.app import build_http_app
from handlers.http.errors import Problem
from tests.handlers.bench import Bench, Run

PATIENCE = 20.0


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal, which must be a whole problem."""
    assert answer.headers["content-type"] == "application/problem+json"
    found = msgspec.json.decode(answer.content, type=Problem)
    assert found.status == answer.status_code
    assert found.type == f"urn:channel-server:problem:{found.code}"
    assert found.detail
    return answer.status_code, found.code


async def get(reader: httpx.AsyncClient, path: str, kind: Any, **query: Any) -> Any:
    """What is answered, which must be exactly what is declared."""
    answer = await reader.get(path, params=query)
    assert answer.status_code == 200, (path, answer.text)
    msgspec.json.decode(answer.content, type=kind)
    return answer.json()


class Web:
    """The HTTP side of an application that is open.

    Attributes:
        bench: The application, its project and its workers.
    """

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._app: Any = build_http_app(bench.app)

    def token(
        self, role: Any = "operator", projects: Sequence[UUID] | None = None, **more: Any
    ) -> str:
        """A user token, of the world's project unless some are named."""
        seen = [self.bench.world.project.id] if projects is None else projects
        return self.bench.app.gateway.user_tokens.issue("ana", seen, role, 3600, **more)

    @asynccontextmanager
    async def nobody(self, **headers: str) -> AsyncGenerator[httpx.AsyncClient]:
        """Somebody without a token."""
        transport = httpx.ASGITransport(app=self._app, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://server", timeout=PATIENCE, headers=headers
        ) as client:
            yield client

    @asynccontextmanager
    async def client(
        self, role: Any = "operator", projects: Sequence[UUID] | None = None, **more: Any
    ) -> AsyncGenerator[httpx.AsyncClient]:
        """Somebody with a token."""
        bearer = f"Bearer {self.token(role, projects, **more)}"
        async with self.nobody(Authorization=bearer) as client:
            yield client

    async def raw(self, path: bytes, method: str = "GET", **headers: str) -> tuple[int, bytes]:
        """Status and body of the answer to a path as it comes over the wire."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path.decode("latin-1"),
            "raw_path": path,
            "query_string": b"",
            "root_path": "",
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        status, body = 0, b""

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status, body
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                body += message.get("body", b"")

        await self._app(scope, receive, send)
        return status, body


async def worked(web: Web) -> tuple[Run, str]:
    """A run with a step, and the step."""
    run = await web.bench.started()
    step = str(uuid4())
    await run.call("step:start", {"step_id": step, "job_id": str(web.bench.world.job)})
    return run, step
