"""The feeds as server-sent events: the same cursor, with a real HTTP client."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from handlers.application import Application
from handlers.feeds.following import Sink, Start
from handlers.http import feed_sink
from tests.handlers.bench import TIMEOUT, Bench, settings
from tests.handlers.conftest import MakeBench
from tests.handlers.follower import log
from tests.plain_http import PLAIN
from tests.schema.world import World
from tests.waiting import until

Told = tuple[str, str | None, Any]
"""Name, id and data of an event."""


@pytest.fixture
async def served(database_url: str) -> AsyncIterator[Bench]:
    """A process that serves HTTP."""
    quiet = {"pipelines": "off", "streams_per_user": 2, "stream_interval": 0.05}
    app = await Application(settings(database_url, **quiet)).start()
    bench = Bench(app, await World.create(app.repo))
    yield bench
    await bench.close()
    await app.stop(drain=False)


def token(bench: Bench, seconds: float = 3600, *projects: Any) -> str:
    seen = projects or (bench.world.project.id,)
    return bench.app.gateway.user_tokens.issue("ana", seen, "viewer", seconds)


@asynccontextmanager
async def client(bench: Bench, given: str | None = None) -> AsyncGenerator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {given or token(bench)}"}
    async with httpx.AsyncClient(
        base_url=bench.app.endpoint.http_url,
        trust_env=False,
        verify=PLAIN,
        timeout=TIMEOUT,
        headers=headers,
    ) as opened:
        yield opened


class Browser:
    """Reads one stream as an EventSource does; ``last`` is what it would come back with."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.last: str | None = None
        self._lines = response.aiter_lines()

    async def read(self, count: int) -> list[Told]:
        """So many events that are no pings; fewer if the stream ends."""
        found: list[Told] = []
        fields: dict[str, str] = {}
        async with asyncio.timeout(TIMEOUT):
            while len(found) < count:
                line = await anext(self._lines, None)
                if line is None:
                    break
                name, _, value = line.partition(": ")
                if name:
                    fields[name] = value
                    continue
                self.last = fields.get("id", self.last)
                if fields.get("event") != "ping":
                    data = msgspec.json.decode(fields["data"])
                    found.append((fields["event"], fields.get("id"), data))
                fields = {}
        return found


@asynccontextmanager
async def stream(
    bench: Bench, path: str, last: str | None = None, **params: str
) -> AsyncGenerator[Browser]:
    headers = {} if last is None else {"Last-Event-ID": last}
    async with (
        client(bench) as opened,
        opened.stream("GET", path, params=params, headers=headers) as response,
    ):
        assert response.status_code == 200, await response.aread()
        yield Browser(response)


async def test_a_run_is_streamed_with_its_versions_as_ids(served: Bench) -> None:
    run = await served.run()
    async with stream(served, f"/api/runs/{run.id}/events") as browser:
        assert browser.response.headers["content-type"].startswith("text/event-stream")
        assert await browser.read(1) == [("joined", "2", {"complete": True, "version": 2})]
        await run.call("run:log", {"message": "hello"})
        await run.call("run:start", {})
        first, second = await browser.read(2)
    assert (first[0], first[1], first[2]["logs"][0]["message"]) == ("logs", "3", "hello")
    assert (second[0], second[1], second[2]["run"]["state"]) == ("run:updated", "4", "started")


async def test_a_browser_that_comes_back_is_told_what_it_missed_once(served: Bench) -> None:
    owner = await served.world.started()
    path = f"/api/runs/{owner.run_id}/events"
    seen: list[str | None] = []
    last: str | None = "1"
    for _ in range(4):
        async with stream(served, path, last) as browser:
            assert (await browser.read(1))[0][2] == {"complete": True, "version": int(last or 0)}
            for told in await log(served, owner, 2):
                served.app.gateway.publish_event(told)
            seen += [mark for _, mark, _ in await browser.read(2)]
            last = browser.last
        await log(served, owner, 2)
    async with stream(served, path, since=str(last)) as browser:
        await browser.read(1)
        seen += [mark for _, mark, _ in await browser.read(10)]
    assert seen == [str(version) for version in range(2, 20)]


async def test_a_project_is_streamed_and_resumed_by_cursor(served: Bench) -> None:
    path = f"/api/projects/{served.world.project.id}/events"
    async with stream(served, path) as browser:
        await browser.read(1)
        await served.enqueue()
        ((name, mark, data),) = await browser.read(1)
        assert (name, mark) == ("run:created", data["cursor"])
    await served.enqueue()
    (claimed,) = await served.world.claim()
    async with stream(served, path, browser.last) as again:
        (joined, *told) = await again.read(3)
    assert joined[2]["complete"] is True
    assert [name for name, _, _ in told] == ["run:created", "run:updated"]
    assert told[1][2]["run"]["id"] == str(claimed.id)


async def test_what_cannot_be_told_any_more_is_a_snapshot(served: Bench) -> None:
    owner = await served.world.started()
    await served.world.rows("DELETE FROM run_events RETURNING 1")
    async with stream(served, f"/api/runs/{owner.run_id}/events", "1") as browser:
        ((name, mark, data),) = await browser.read(1)
        assert (name, mark, data["complete"]) == ("snapshot", "3", False)
        assert data["snapshot"]["run"]["state"] == "started"
        (told,) = await log(served, owner)
        served.app.gateway.publish_event(told)
        assert [mark for _, mark, _ in await browser.read(1)] == ["4"]


async def test_who_may_not_is_told_before_the_stream_opens(served: Bench) -> None:
    owner = await served.world.started()
    run, project = f"/api/runs/{owner.run_id}", f"/api/projects/{served.world.project.id}"
    async with client(served, "nonsense") as nobody, client(served) as ana:
        for path in (run, project):
            assert (await nobody.get(f"{path}/events")).status_code == 401
        for path in (f"/api/runs/{uuid4()}", f"/api/projects/{uuid4()}"):
            assert (await ana.get(f"{path}/events")).status_code == 404
        for path, since in ((run, "x"), (run, "-1"), (run, "9" * 30), (project, "x")):
            answer = await ana.get(f"{path}/events", headers={"Last-Event-ID": since})
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "since")
    async with client(served, token(served, 3600, uuid4())) as stranger:
        for path in (run, project):
            assert (await stranger.get(f"{path}/events")).status_code == 404
    nothing = served.app.gateway.user_tokens.issue("ana", [], "viewer", 3600, tenants=["*"])
    async with client(served, nothing) as other:
        for path in (run, project):
            assert (await other.get(f"{path}/events")).status_code == 403
    await served.app.gateway.feeds.sweep()
    assert served.app.gateway.feeds.watched == 0


async def test_a_user_has_so_many_streams_and_no_more(served: Bench) -> None:
    path = f"/api/projects/{served.world.project.id}/events"
    async with stream(served, path) as one, stream(served, path) as two:
        await one.read(1)
        await two.read(1)
        async with client(served) as ana:
            answer = await ana.get(path)
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_requests")
    await until(lambda: not served.app.gateway.feeds.streams)
    async with stream(served, path) as again:
        await again.read(1)


async def test_a_stream_ends_with_its_token(served: Bench) -> None:
    path = f"/api/projects/{served.world.project.id}/events"
    async with client(served, token(served, 1)) as ana:
        answer = await ana.get(path)
    assert answer.text.startswith("retry: 1000\nid: 1-")


async def test_a_server_that_stops_ends_its_streams(served: Bench) -> None:
    owner = await served.world.started()
    async with stream(served, f"/api/runs/{owner.run_id}/events") as browser:
        await browser.read(1)
        async with asyncio.timeout(TIMEOUT):
            await served.app.stop(drain=False)
            assert await browser.read(1) == []


async def test_a_reader_that_is_too_slow_is_cut_off_and_resumes(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_sink, "MOST_BYTES", 2_000)
    bench = await make_bench()
    owner = await bench.world.started()
    gateway = bench.app.gateway
    user = gateway.user_tokens.verify(token(bench))
    assert user is not None

    async def followed(since: int | None) -> Any:
        found = await gateway.feeds.runs.read_from(owner.run_id)
        assert isinstance(found, tuple)
        reader, head = found
        start: Any = await reader.start(since, head)
        what = feed_sink.Followed(f"run:{owner.run_id}", "version", reader, start)
        return feed_sink.follow(gateway, user, what)

    slow = await followed(None)
    text = await anext(slow)
    await until(lambda: gateway.pubsub.subscribers(f"run:{owner.run_id}"))
    for told in await log(bench, owner, 100):
        gateway.publish_event(told)
    text += b"".join([data async for data in slow])  # it does not read until now
    ids = [int(line[4:]) for line in text.decode().splitlines() if line.startswith("id: ")]
    assert ids == list(range(3, 3 + len(ids)))
    assert len(ids) < 50
    again = await followed(ids[-1])
    text = b""
    while text.count(b"id: ") < 104 - ids[-1]:
        text += await anext(again)
    await again.aclose()
    more = [int(line[4:]) for line in text.decode().splitlines() if line.startswith("id: ")]
    assert more[1:] == list(range(ids[-1] + 1, 104))


class _FailingReader:
    caught_up = False

    async def follow(self, sink: Sink) -> bool:
        raise RuntimeError("a bug of ours")

    def close(self) -> None: ...


async def test_a_replay_that_meets_a_bug_ends_the_stream_so_that_its_client_comes_back(
    make_bench: MakeBench,
) -> None:
    bench = await make_bench()
    gateway = bench.app.gateway
    user = gateway.user_tokens.verify(token(bench))
    assert user is not None
    start = Start(complete=True, position=3)
    what = feed_sink.Followed("run:x", "version", _FailingReader(), start)
    async with asyncio.timeout(TIMEOUT):
        told = [data async for data in feed_sink.follow(gateway, user, what)]
    assert len(told) == 1
    assert b"event: joined" in told[0]
