"""``/api/pipelines`` over a real port: who may do what, and what they are told."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from handlers.application import Application
from handlers.config import ConfigError
from handlers.jobs.engine import read_providers
from schema.repo import connection
from tests.handlers.bench import settings
from tests.handlers.pipelines_bench import QUIET, SAMPLE, Bench
from tests.plain_http import PLAIN
from tests.waiting import until

UNKNOWN = uuid4()
OURS = ("U-100",)


@pytest.fixture
async def jobs(database_url: str, tmp_path: Path) -> AsyncIterator[Bench]:
    """An application that runs no jobs: what is created stays as it is."""
    (tmp_path / "inputs").mkdir()
    config = settings(
        database_url,
        **QUIET,
        pipelines="off",
        pipelines_inputs=str(tmp_path / "inputs"),
        pipelines_max_upload_bytes=4096,
    )
    app = await Application(config).start()
    yield Bench(app)
    await app.stop(drain=False)


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


READS = ("/api/pipelines/", "/api/pipelines/{id}", "/api/pipelines/{id}/jobs",
         "/api/pipelines/jobs/{job}", "/api/pipelines/active?year=2025",
    "/api/pipelines/recalculation-status?year=2025",
         "/api/health/stale-stats", "/api/health/stale-stats/runs",
         "/api/pipelines/{id}/stream", "/api/pipelines/jobs/{job}/stream")  # fmt: skip
ACTS = ("/api/pipelines/jobs/{job}/cancel", "/api/pipelines/jobs/{job}/recover",
        "/api/pipelines/{id}/abort", "/api/pipelines/dispatch")  # fmt: skip
OF_ONE = tuple(path for path in (*READS, *ACTS) if "{" in path)


def call(client: httpx.AsyncClient, path: str, made: Any, **more: Any) -> Any:
    address = path.format(id=made.pipeline_id, job=made.job_id)
    method = "POST" if path in ACTS else "GET"
    if path.endswith("dispatch"):
        more.setdefault("json", {"module": 3, "year": 2025, "recalculate": True})
    return client.request(method, address, **more)


async def test_without_a_token_every_endpoint_answers_401(jobs: Bench) -> None:
    made = await jobs.submit()
    async with httpx.AsyncClient(
        base_url=jobs.app.endpoint.http_url, trust_env=False, verify=PLAIN
    ) as nobody:
        for path in (*READS, *ACTS):
            answer = await call(nobody, path, made)
            assert refusal(answer) == (401, "unauthorized"), path
            assert answer.headers["www-authenticate"] == "Bearer"
        forged = {"Authorization": "Bearer " + jobs.token()[:-4] + "AAAA"}
        assert (await nobody.get("/api/pipelines/", headers=forged)).status_code == 401


async def test_a_token_without_tenants_is_for_no_pipelines_at_all(jobs: Bench) -> None:
    made = await jobs.submit()
    async with jobs.http(tenants=None) as stranger:
        for path in (*READS, *ACTS):
            assert refusal(await call(stranger, path, made)) == (403, "forbidden"), path


async def test_a_viewer_reads_and_does_not_act(jobs: Bench) -> None:
    made = await jobs.submit(module_type_id=3, year=2025)
    async with jobs.http("viewer") as viewer:
        for path in READS:
            if "stream" not in path:
                assert (await call(viewer, path, made)).status_code == 200, path
        for path in ACTS:
            assert refusal(await call(viewer, path, made)) == (403, "forbidden"), path


async def test_u7_w13_another_tenants_pipeline_is_403_for_reads_streams_and_acts(
    jobs: Bench,
) -> None:
    theirs = await jobs.submit(tenant_id="U-200", year=2025, module_type_id=3)
    async with jobs.http(tenants=OURS) as client:
        for path in OF_ONE:
            assert refusal(await call(client, path, theirs)) == (403, "forbidden"), path
        unit = {"module": 3, "year": 2025, "unit": "U-200", "recalculate": True}
        answer = await client.post("/api/pipelines/dispatch", json=unit)
        assert refusal(answer) == (403, "forbidden")
    (row,) = await jobs.run("SELECT state FROM pipeline_jobs")
    assert row["state"] == "NOT_STARTED"


async def test_lists_and_lookups_leave_other_tenants_out(jobs: Bench) -> None:
    ours = await jobs.submit(tenant_id="U-100", year=2025, module_type_id=3)
    wide = await jobs.submit(year=2025, module_type_id=5)
    await jobs.submit(tenant_id="U-200", year=2025, module_type_id=3)
    await jobs.submit(tenant_id="U-200", year=2025, module_type_id=8)
    async with jobs.http(tenants=OURS) as client:
        listed = (await client.get("/api/pipelines")).json()["pipelines"]
        active = (await client.get("/api/pipelines/active?year=2025&modules=3,5,8")).json()
    expected = [str(wide.pipeline_id), str(ours.pipeline_id)]
    assert [each["pipeline_id"] for each in listed] == expected
    assert active == {"3": str(ours.pipeline_id), "5": str(wide.pipeline_id)}


async def test_module_wide_pipelines_are_everybodys(jobs: Bench) -> None:
    wide = await jobs.submit(year=2025, module_type_id=3)
    async with jobs.http(tenants=()) as client:
        assert (await call(client, "/api/pipelines/{id}", wide)).status_code == 200
        assert (await call(client, "/api/pipelines/{id}/abort", wide)).status_code == 200


async def test_what_does_not_exist_is_404(jobs: Bench) -> None:
    async with jobs.http() as client:
        for path in (f"/{UNKNOWN}", f"/{UNKNOWN}/jobs", f"/{UNKNOWN}/stream", "/jobs/99", "/nope"):
            answer = await client.get(f"/api/pipelines{path}")
            assert refusal(answer) == (404, "not_found"), path
        for path in (f"/{UNKNOWN}/abort", "/jobs/99/cancel", "/jobs/99/recover"):
            answer = await client.post(f"/api/pipelines{path}")
            assert refusal(answer) == (404, "not_found"), path


async def test_abort_ends_all_jobs_and_says_who_and_a_second_one_conflicts(jobs: Bench) -> None:
    made = await jobs.submit()
    async with jobs.http() as client:
        answer = await call(client, "/api/pipelines/{id}/abort", made)
        (job,) = answer.json()["jobs"]
        assert (job["state"], job["result"]) == ("FINISHED", "ERROR")
        assert (job["status_message"], job["meta"]["aborted_by"]) == ("Aborted by ana", "ana")
        again = await call(client, "/api/pipelines/{id}/abort", made)
    assert refusal(again) == (409, "conflict")


async def test_cancel_ends_a_job_once(jobs: Bench) -> None:
    made = await jobs.submit()
    async with jobs.http() as client:
        answer = await call(client, "/api/pipelines/jobs/{job}/cancel", made)
        assert (answer.json()["status_message"]) == "Cancelled by user"
        again = await call(client, "/api/pipelines/jobs/{job}/cancel", made)
    assert refusal(again) == (404, "not_found")


async def test_recover_takes_only_a_stale_running_job(jobs: Bench) -> None:
    made = await jobs.submit()
    path = "/api/pipelines/jobs/{job}/recover"
    running = """UPDATE pipeline_jobs SET state = 'RUNNING', locked_by = 'gone', attempts = 3,
      locked_at = now() - $1::interval"""
    async with jobs.http() as client:
        assert refusal(await call(client, path, made)) == (409, "conflict")
        await jobs.run(running.replace("$1", "'1 minute'"))
        assert refusal(await call(client, path, made)) == (409, "conflict")
        await jobs.run(running.replace("$1", "'2 hours'"))
        job = (await call(client, path, made)).json()
    assert (job["state"], job["attempts"], job["locked_by"]) == ("NOT_STARTED", 0, None)


async def test_pages_of_a_list_join_up_and_filters_narrow(jobs: Bench) -> None:
    made = [await jobs.submit(kind, year=2020 + at) for at, kind in enumerate("abab")]
    ids = [str(each.pipeline_id) for each in reversed(made)]
    async with jobs.http() as client:
        seen: list[str] = []
        after: str | None = None
        while True:
            query = {"limit": "3"} | ({} if after is None else {"after": after})
            page = (await client.get("/api/pipelines/", params=query)).json()
            seen += [each["pipeline_id"] for each in page["pipelines"]]
            after = page["after"]
            if after is None:
                break
        found: list[int] = []
        for query in ("kind=a", "year=2021", "status=SUCCESS", "status=NOT_STARTED"):
            answer = (await client.get(f"/api/pipelines/?{query}")).json()
            found.append(len(answer["pipelines"]))
    assert seen == ids
    assert found == [2, 1, 0, 4]


async def test_what_makes_no_sense_is_422(jobs: Bench) -> None:
    async with jobs.http() as client:
        late = "9999-12-31T23:59:59-14:00~00000000-0000-0000-0000-000000000000"
        for query in ("limit=0", "limit=201", "limit=x", "status=DONE", "after=x", f"after={late}",
                      "kind=%00", "year=99999999999", "year=-1", "module=99999999999"):  # fmt: skip
            answer = await client.get(f"/api/pipelines/?{query}")
            assert refusal(answer) == (422, "invalid"), query
        for body in (
            {"module": 3, "year": 2025},
            {"module": 99, "year": 2025, "recalculate": True},
            {"module": 3, "year": 2025, "unit": "U-1", "path": "a.csv", "recalculate": True},
            {"module": "three", "year": 2025, "recalculate": True},
            {"module": 3, "year": 2025, "recalculate": True, "nonsense": 1},
            {"module": 3, "year": 2025, "provider": "nobody"},
            {"module": 3, "year": 2025, "unit": "U-100", "recalculate": True},
            {"module": 3, "year": 2025, "target": "factors", "recalculate": True},
        ):
            answer = await client.post("/api/pipelines/dispatch", json=body)
            assert refusal(answer) == (422, "invalid"), body
        answer = await client.post("/api/pipelines/dispatch", content=b"{")
        assert refusal(answer) == (400, "bad_request")


async def test_dispatch_answers_with_the_pipeline_at_once(jobs: Bench) -> None:
    async with jobs.http() as client:
        files = {"file": ("data.csv", b"unit_institutional_id,name,quantity\n")}
        answer = await client.post(
            "/api/pipelines/dispatch", files=files, data={"module": "3", "year": "2025"}
        )
        body = answer.json()
        assert (answer.status_code, body["state"], body["joined"]) == (202, "NOT_STARTED", False)
        shown = (await client.get(f"/api/pipelines/{body['pipeline_id']}")).json()
    (job,) = shown["jobs"]
    assert (job["job_id"], job["job_type"]) == (body["job_id"], "csv_ingest")
    assert (shown["kind"], shown["status"]) == ("csv_ingest", "NOT_STARTED")


async def test_paths_are_taken_from_the_inputs_folder_only(jobs: Bench, tmp_path: Path) -> None:
    inputs = tmp_path / "inputs"
    (inputs / "data.csv").write_text("unit_institutional_id\n")
    (tmp_path / "secret.csv").write_text("s3cr3t\n")
    (inputs / "link.csv").symlink_to(tmp_path / "secret.csv")
    (inputs / "large.csv").write_bytes(b"x" * 5000)
    ask = {"module": 3, "year": 2025}
    async with jobs.http() as client:
        paths = ("data.csv", "../secret.csv", str(tmp_path / "secret.csv"), "link.csv", "large.csv")
        answers = [
            await client.post("/api/pipelines/dispatch", json={**ask, "path": path})
            for path in (*paths, "none.csv", "a\x00b")
        ]
    assert [answer.status_code for answer in answers] == [202, 404, 404, 404, 413, 404, 404]
    assert not await jobs.run("SELECT 1 FROM ingest_inputs WHERE content = 's3cr3t\n'")


async def test_too_large_an_upload_is_413(jobs: Bench) -> None:
    async with jobs.http() as client:
        answer = await client.post(
            "/api/pipelines/dispatch",
            files={"file": ("big.csv", b"x" * 100_000)},
            data={"module": "3", "year": "2025"},
        )
    assert refusal(answer) == (413, "too_large")


async def test_an_act_under_which_the_database_goes_away_is_503(
    jobs: Bench, database_url: str
) -> None:
    made = await jobs.submit()
    waiting = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE wait_event_type = 'Lock' AND datname = current_database()"""
    async with jobs.http() as client, connection(database_url) as other:
        for path in (path for path in OF_ONE if path in ACTS and "recover" not in path):
            async with other.transaction():
                await other.execute("SELECT 1 FROM pipeline_jobs FOR UPDATE")
                asked = asyncio.create_task(call(client, path, made))
                await until(lambda: jobs.run(waiting))
            answer = await asked
            assert refusal(answer) == (503, "unavailable"), path
            assert answer.headers["retry-after"]


async def test_a_server_without_an_engine_says_so(jobs: Bench) -> None:
    made = await jobs.submit()
    await jobs.app.services["job_engine"].stop()
    async with jobs.http() as client:
        for path in ("/api/pipelines/", "/api/pipelines/{id}", "/api/pipelines/dispatch"):
            answer = await call(client, path, made)
            assert refusal(answer) == (503, "unavailable"), path
            assert int(answer.headers["retry-after"]) > 0


async def test_the_sample_of_the_examples_can_be_dispatched(jobs: Bench) -> None:
    content = (SAMPLE / "factors_energy.csv").read_bytes()
    async with jobs.http() as client:
        form = {"module": "3", "year": "2025", "target": "factors"}
        answer = await client.post(
            "/api/pipelines/dispatch", files={"file": ("f.csv", content)}, data=form
        )
    assert answer.status_code == 202


async def test_a_configured_provider_is_named_and_pulled_from_by_a_job(
    database_url: str, jobs: Bench
) -> None:
    providers = '{"travel": {"url": "http://127.0.0.1:1/{year}", "headers": {"x": "s3cr3t"}}}'
    config = settings(database_url, **QUIET, pipelines="off", pipelines_providers=providers)
    app = await Application(config).start()
    try:
        bench = Bench(app)
        async with bench.http() as client:
            ask = {"module": 3, "year": 2025, "provider": "travel"}
            answer = await client.post("/api/pipelines/dispatch", json=ask)
        assert answer.status_code == 202
        (row,) = await bench.run("SELECT job_type, meta::text AS meta FROM pipeline_jobs")
        assert (row["job_type"], "s3cr3t" in row["meta"]) == ("api_ingest", False)
    finally:
        await app.stop(drain=False)


def test_wrong_providers_are_refused_without_repeating_them() -> None:
    for text in ('{"a": {"url": "file:///s3cr3t"}}', "s3cr3t", '{"a": "s3cr3t"}'):
        with pytest.raises(ConfigError) as caught:
            read_providers(text)
        assert "s3cr3t" not in str(caught.value)
