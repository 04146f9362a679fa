"""What endpoints of pipelines and emissions answer is exactly what the document says."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import jsonschema
import msgspec
import pytest

from handlers.application import Application
from handlers.emissions.service import seed
from handlers.http.openapi import STRUCTS
from tests.handlers.bench import project_with_credential, settings
from tests.handlers.pipelines_bench import QUIET, SAMPLE, Bench
from tests.schema.world import World

ROOMS = ("/api/pipelines", "/api/emissions", "/api/health/stale-stats")
KINDS: dict[str, Any] = {struct.__name__: struct for struct in STRUCTS}


@pytest.fixture
async def jobs(database_url: str) -> AsyncIterator[Bench]:
    """An application that runs no jobs: what is created stays as it is."""
    app = await Application(settings(database_url, **QUIET, pipelines="off")).start()
    yield Bench(app)
    await app.stop(drain=False)


@pytest.fixture
async def ran(database_url: str) -> str:
    """The id of a pipeline that ran to its end: factors of the sample, after its data."""
    app = await Application(settings(database_url, **QUIET)).start()
    try:
        bench = Bench(app)
        await seed(app.gateway.engine.pool, SAMPLE)
        async with bench.http() as client:
            begun = await client.post("/api/pipelines/dispatch", **upload())
        await bench.ended(begun.json()["pipeline_id"])
    finally:
        await app.stop(drain=False)
    return begun.json()["pipeline_id"]


def upload() -> dict[str, Any]:
    content = (SAMPLE / "factors_energy.csv").read_bytes()
    form = {"module": "3", "year": "2025", "target": "factors"}
    return {"files": {"file": ("factors.csv", content)}, "data": form}


class Reader:
    """Somebody who compares each answer with the document, both ways.

    Attributes:
        asked: Method and path of what was asked, as the document has them.
    """

    def __init__(self, client: httpx.AsyncClient, document: dict[str, Any]) -> None:
        self._client, self._document = client, document
        self.asked: set[tuple[str, str]] = set()

    def all(self) -> set[tuple[str, str]]:
        """Method and path of all that can be asked, but for event streams."""
        return {
            (method, path)
            for path, methods in self._document["paths"].items()
            for method in methods
            if path.startswith(ROOMS) and not path.endswith("/stream")
        }

    async def ask(self, method: str, path: str, more: str = "", **values: Any) -> Any:
        """The answer to a path of the document, which must not be empty."""
        body = {name: values.pop(name) for name in ("json", "files", "data") if name in values}
        answer = await self._client.request(method, path.format(**values) + more, **body)
        self.asked.add((method.lower(), path))
        return self._checked(method, path, answer)

    def _checked(self, method: str, path: str, answer: httpx.Response) -> Any:
        responses = self._document["paths"][path][method.lower()]["responses"]
        assert {*responses} == {str(answer.status_code), "default"}, (path, answer.text)
        schema = responses[str(answer.status_code)]["content"]["application/json"]["schema"]
        whole = {**schema, "components": self._document["components"]}
        found = answer.json()
        assert found, path
        jsonschema.validate(found, whole, jsonschema.Draft202012Validator)
        if "$ref" in str(schema):
            name = schema.get("items", schema)["$ref"].rpartition("/")[2]
            kind = list[KINDS[name]] if "items" in schema else KINDS[name]
            # What the struct does not have would be lost on the way back, what it adds would stay.
            assert msgspec.to_builtins(msgspec.convert(found, kind, strict=True)) == found, path
        return found


@pytest.fixture
async def reader(ran: str, jobs: Bench) -> AsyncIterator[Reader]:
    assert ran
    world = await World.create(jobs.app.repo, project_with_credential())
    owner = await world.started()
    await world.complete(owner, "success")
    async with jobs.http(projects=[world.project.id]) as client:
        yield Reader(client, (await client.get("/schema")).json())


async def test_every_answer_is_its_struct_and_schema_with_no_field_too_many_or_too_few(
    reader: Reader, ran: str, jobs: Bench
) -> None:
    ask = reader.ask
    idle = await jobs.submit(module_type_id=3, year=2025, tenant_id="U-100")
    stuck = await jobs.submit("other", module_type_id=3, year=2025)
    listed = await ask("GET", "/api/pipelines", "?limit=2")
    assert len(listed["pipelines"]) == 2
    assert listed["after"]
    shown = await ask("GET", "/api/pipelines/{pipeline_id}", pipeline_id=ran)
    assert (shown["status"], len(shown["jobs"]) > 1) == ("SUCCESS", True)
    await ask("GET", "/api/pipelines/{pipeline_id}/jobs", pipeline_id=ran)
    await ask("GET", "/api/pipelines/jobs/{job_id}", job_id=shown["jobs"][0]["job_id"])
    await ask("GET", "/api/pipelines/active", "?year=2025&modules=3")
    status = await ask("GET", "/api/pipelines/recalculation-status", "?year=2025")
    assert any(each["factor_job_id"] for each in status)
    (first, _) = (await ask("GET", "/api/emissions/totals", "?year=2025"))["units"]
    assert first["report"]
    assert first["modules"]["3"]["by_emission_type"]
    await jobs.run(
        """UPDATE pipeline_jobs SET claimed_at = now() - interval '2 days',
        finished_at = now() - interval '2 days' WHERE job_type = 'aggregation'"""
    )
    stale = await ask("GET", "/api/health/stale-stats")
    assert any(each["last_finished_aggregation_at"] for each in stale)
    await ask("GET", "/api/health/stale-stats/runs")

    await jobs.run(
        """UPDATE pipeline_jobs SET state = 'RUNNING', locked_by = 'gone', attempts = 1,
        locked_at = now() - interval '2 hours' WHERE id = $1""",
        stuck.job_id,
    )
    await ask("POST", "/api/pipelines/jobs/{job_id}/recover", job_id=stuck.job_id)
    await ask("POST", "/api/pipelines/jobs/{job_id}/cancel", job_id=stuck.job_id)
    await ask("POST", "/api/pipelines/{pipeline_id}/abort", pipeline_id=idle.pipeline_id)
    wish = {"module": 3, "year": 2025, "data_entry_type": 31, "recalculate": True}
    joined = [(await ask("POST", "/api/pipelines/dispatch", json=wish))["joined"] for _ in "12"]
    assert joined == [False, True]
    await ask("POST", "/api/pipelines/dispatch", **upload())

    assert reader.asked == reader.all()
