"""Tags, packing, other origins and the headers of every answer."""

import gzip
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from handlers.http.api import shapes
from handlers.http.cors import Cors
from tests.handlers.bench import stamp
from tests.handlers.conftest import MakeBench
from tests.handlers.http_bench import Web, problem

ORIGIN = "https://ours.example"
LISTS = ("projects", "workflows", "work-orders", "runs", "stats", "workers")


@pytest.fixture
async def web(make_bench: MakeBench) -> Web:
    return Web(await make_bench(cors_origins=(ORIGIN,)))


async def raw(client: httpx.AsyncClient, path: str, **headers: str) -> tuple[httpx.Response, bytes]:
    """An answer and its body as it came over the wire."""
    async with client.stream("GET", path, headers=headers) as answer:
        return answer, b"".join([part async for part in answer.aiter_raw()])


async def test_a_list_that_did_not_change_is_304_and_one_that_did_is_sent(web: Web) -> None:
    async with web.client() as client:
        for name in LISTS:
            first = await client.get(f"/api/{name}")
            tag = first.headers["etag"]
            assert first.headers["cache-control"] == "private, no-cache", name
            same = await client.get(f"/api/{name}", headers={"If-None-Match": f'"other", {tag}'})
            assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag), name
            assert "content-length" not in same.headers
        runs = (await client.get("/api/runs")).headers["etag"]
        await web.bench.enqueue()
        changed = await client.get("/api/runs", headers={"If-None-Match": runs})
    assert changed.status_code == 200
    assert changed.headers["etag"] != runs
    assert len(changed.json()["runs"]) == 1


async def test_the_tag_is_the_same_packed_or_not_and_names_what_it_depends_on(web: Web) -> None:
    await web.bench.enqueue()
    async with web.client() as client:
        plain, _ = await raw(client, "/api/runs", **{"Accept-Encoding": "identity"})
        packed, _ = await raw(client, "/api/runs", **{"Accept-Encoding": "gzip"})
    assert plain.headers["etag"] == packed.headers["etag"]
    assert packed.headers["etag"].startswith("W/")
    for answer in (plain, packed):
        assert "Accept-Encoding, Authorization" in answer.headers["vary"]


async def test_what_people_wrote_is_kept_by_no_cache(web: Web) -> None:
    run = await web.bench.run()
    clip = (await web.bench.world.run(run.id))["dataclip_id"]
    async with web.client() as client:
        for path in (f"dataclips/{clip}", f"runs/{run.id}/logs", "me", "overview", "nothing"):
            answer = await client.get(f"/api/{path}")
            assert answer.headers["cache-control"] == "no-store", path
            assert "etag" not in answer.headers, path


async def test_large_answers_are_packed_and_small_ones_are_not(web: Web) -> None:
    for _ in range(5):
        await web.bench.enqueue()
    async with web.client() as client:
        answer, body = await raw(client, "/api/runs", **{"Accept-Encoding": "gzip"})
        small, _ = await raw(client, "/api/projects", **{"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) == len(body)
    page = msgspec.json.decode(gzip.decompress(body), type=shapes.RunList)
    assert len(page.runs) == 5
    assert "content-encoding" not in small.headers


async def test_a_large_dataclip_is_packed_and_whole(web: Web) -> None:
    text = msgspec.json.encode({"numbers": list(range(80_000))}).decode()
    created = await web.bench.enqueue(body=text)
    async with web.client() as client:
        answer = await client.get(f"/api/dataclips/{created.dataclip_id}")
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json()["body"]["numbers"][-1] == 79_999


async def test_a_download_is_packed_piece_by_piece(web: Web) -> None:
    run = await web.bench.run()
    await run.call("run:log", {"message": ["hello"], "timestamp": stamp()})
    path = f"/api/runs/{run.id}/logs.ndjson"
    async with web.client() as client:
        answer, body = await raw(client, path, **{"Accept-Encoding": "gzip"})
        plain, text = await raw(client, path, **{"Accept-Encoding": "identity"})
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(body) == text
    assert "content-encoding" not in plain.headers


async def test_every_answer_is_data_that_no_page_can_frame_sniff_or_refer_from(web: Web) -> None:
    async with web.client() as client:
        answers = [
            await client.get(path)
            for path in ("/api/me", "/api/nothing", "/api/runs?x=1", "/healthz", "/schema")
        ]
        answers.append(await client.post("/api/runs"))
    async with web.nobody() as nobody:
        answers.append(await nobody.get("/api/runs"))
    for answer in answers:
        headers = answer.headers
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cross-origin-resource-policy"] == "same-origin"


async def test_head_is_answered_as_get_is_without_the_body(web: Web) -> None:
    run = await web.bench.enqueue()
    async with web.client() as client:
        for path in ("/api/runs", "/api/me", "/healthz", "/schema", f"/api/runs/{uuid4()}"):
            full, head = await client.get(path), await client.head(path)
            assert (head.status_code, head.content) == (full.status_code, b""), path
            assert dict(head.headers) == dict(full.headers), path
        for path in ("logs.ndjson", "events"):
            stream = await client.head(f"/api/runs/{run.run_id}/{path}")
            assert (stream.status_code, stream.content) == (200, b""), path
        assert problem(await client.put("/api/runs")) == (405, "method_not_allowed")


async def test_the_origins_of_the_setting_may_ask_and_no_other(web: Web) -> None:
    async with web.client() as client:
        ours = await client.get("/api/runs", headers={"Origin": ORIGIN})
        for origin in ("https://evil.example", f"{ORIGIN}.evil.example", "null", ORIGIN.upper()):
            other = await client.get("/api/runs", headers={"Origin": origin})
            assert "access-control-allow-origin" not in other.headers, origin
            assert "Origin" in other.headers["vary"]
        page = await client.get("/", headers={"Origin": ORIGIN})
    assert ours.headers["access-control-allow-origin"] == ORIGIN
    assert "ETag" in ours.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in ours.headers
    assert "access-control-allow-origin" not in page.headers


async def test_a_preflight_is_answered_for_those_origins_and_refused_for_others(web: Web) -> None:
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x"}
    async with web.nobody() as browser:
        ours = await browser.options("/api/runs/bulk", headers={"Origin": ORIGIN, **ask})
        other = await browser.options(
            "/api/runs/bulk", headers={"Origin": "https://evil.example", **ask}
        )
    assert ours.status_code == 204
    assert ours.headers["access-control-allow-methods"] == "GET, POST, DELETE"
    assert "Authorization" in ours.headers["access-control-allow-headers"]
    assert "access-control-allow-origin" not in other.headers


async def test_without_the_setting_nobody_may_ask(make_bench: MakeBench) -> None:
    web = Web(await make_bench())
    async with web.client() as client:
        answer = await client.get("/api/runs", headers={"Origin": ORIGIN})
        preflight = await client.options("/api/runs", headers={"Origin": ORIGIN})
    for each in (answer, preflight):
        assert "access-control-allow-origin" not in each.headers


async def test_websockets_and_lifespans_pass_by() -> None:
    seen: list[str] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["type"])

    nothing: Any = None
    for kind in ("websocket", "lifespan"):
        scope: Any = {"type": kind}
        await Cors(app, [ORIGIN])(scope, nothing, nothing)
    assert seen == ["websocket", "lifespan"]
