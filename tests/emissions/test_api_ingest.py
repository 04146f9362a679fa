"""``api_ingest`` against a real HTTP server on this machine."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest
from emissions_lab import ENERGY, SAMPLE, YEAR, EmissionsLab

from handlers.emissions.model import OVERRIDE_KEY
from handlers.emissions.provider import ProviderUnavailableError, pull
from handlers.emissions.service import SERVICE, Provider, ProviderError, dispatch_api
from pipelines import EntityType, JobResult, Snapshot


class Feed(ThreadingHTTPServer):
    """Answers with what it was given, and remembers what it was asked.

    Attributes:
        answers: Status, headers and body by path; a path without one is 404.
        asked: Path and headers of each request.
        hang: Requests wait for this before they are answered.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.hang = threading.Event()
        self.hang.set()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that gave up does not wait for its answer."""

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def json(self, path: str, value: Any) -> None:
        self.answers[path] = (200, {}, msgspec.json.encode(value))


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        feed = self.server
        assert isinstance(feed, Feed)
        feed.asked.append((self.path, dict(self.headers.items())))
        feed.hang.wait(20)
        status, headers, body = feed.answers.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (named by http.server)
        pass


@pytest.fixture
def feed() -> Iterator[Feed]:
    server = Feed()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.hang.set()
    server.shutdown()
    thread.join()
    server.server_close()


ROWS = [
    {"unit_institutional_id": "U-100", "name": "Natural gas", "quantity": 100},
    {"unit_institutional_id": "U-100", "name": "Natural gas", "quantity": 1, "kg_co2eq": 0},
    {
        "unit_institutional_id": "U-200",
        "name": "natural  gas",
        "quantity": 2.5,
        "kg_co2eq": None,
        "OUT_CO2_CORRECTED": 7,
    },
]


async def ingested(
    lab: EmissionsLab, provider: Provider, *, unit: str | None = None, year: int = YEAR
) -> Snapshot:
    engine = await lab.engine(services={SERVICE: {"feed": provider}})
    await lab.upload(engine, SAMPLE / "factors_energy.csv", target="factors", module=ENERGY)
    submitted = await dispatch_api(engine, "feed", module=ENERGY, year=year, unit=unit)
    return await lab.ended(engine, submitted)


async def test_rows_of_a_provider_become_totals(emissions: EmissionsLab, feed: Feed) -> None:
    feed.json("/2025", {"data": ROWS})
    provider = Provider(url=feed.url("/{year}"), headers={"Authorization": "Bearer t"})
    snapshot = await ingested(emissions, provider)
    assert [job.job_type for job in snapshot.jobs] == [
        "api_ingest",
        "emission_recalc",
        "aggregation",
    ]
    assert snapshot.progress.status == "SUCCESS"
    assert feed.asked[0][1]["Authorization"] == "Bearer t"
    assert await emissions.module_total("U-100", ENERGY) == 24
    assert await emissions.module_total("U-200", ENERGY) == 7
    data = [
        msgspec.json.decode(row[0])
        for row in await emissions.fetch("SELECT data FROM data_entries ORDER BY id")
    ]
    assert [row.get(OVERRIDE_KEY) for row in data] == [None, 0, 7]
    assert not any("kg_co2eq" in row or "out_co2_corrected" in row for row in data)
    assert snapshot.jobs[0].meta["input"] == await emissions.value(
        "SELECT content_hash FROM ingest_inputs WHERE file_name = 'feed.json'"
    )


async def test_pulling_again_replaces_what_the_provider_gave(
    emissions: EmissionsLab, feed: Feed
) -> None:
    provider = Provider(url=feed.url("/"))
    feed.json("/", ROWS)
    await ingested(emissions, provider)
    feed.json("/", ROWS[:1])
    engine = await emissions.engine(services={SERVICE: {"feed": provider}})
    await emissions.upload(engine, SAMPLE / "data_energy.csv", module=ENERGY)
    await emissions.ended(engine, await dispatch_api(engine, "feed", module=ENERGY, year=YEAR))
    assert await emissions.module_total("U-100", ENERGY) == 24 + 400
    sources = await emissions.fetch(
        "SELECT source, count(*) FROM data_entries GROUP BY 1 ORDER BY 1"
    )
    assert [tuple(row) for row in sources] == [
        ("API_MODULE_PER_YEAR", 1),
        ("CSV_MODULE_PER_YEAR", 5),
    ]


async def test_pull_for_a_unit_adds_rows_of_its_tenant(emissions: EmissionsLab, feed: Feed) -> None:
    feed.json("/", ROWS)
    snapshot = await ingested(emissions, Provider(url=feed.url("/")), unit="U-100")
    root = snapshot.jobs[0]
    assert (root.tenant_id, root.entity_type) == ("U-100", EntityType.MODULE_UNIT_SPECIFIC)
    assert root.result is JobResult.WARNING
    assert await emissions.module_total("U-100", ENERGY) == 24


EMPTY: dict[str, str] = {}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((404, EMPTY, b""), "the provider answered with status 404"),
        ((200, EMPTY, b"<html>"), "the answer is not JSON"),
        ((200, EMPTY, b'{"rows": []}'), "the answer is not a list of objects"),
        ((200, EMPTY, b"[]"), "missing column"),
        ((200, EMPTY, b"[" + b" " * 2_000 + b"]"), "the answer is larger than 1000 bytes"),
        ((302, {"Location": "http://localhost:1/"}, b""), "redirected to another origin"),
        ((302, {"Location": "file:///etc/passwd"}, b""), "the provider answered with status 302"),
    ],
)
async def test_unusable_answer_ends_the_job_with_the_reason(
    emissions: EmissionsLab, feed: Feed, answer: Any, reason: str
) -> None:
    feed.answers["/"] = answer
    (root,) = (await ingested(emissions, Provider(url=feed.url("/"), max_bytes=1_000))).jobs
    assert root.result is JobResult.ERROR
    assert reason in (root.status_message or "")
    assert root.attempts == 1


async def test_redirect_within_the_origin_is_followed(emissions: EmissionsLab, feed: Feed) -> None:
    feed.json("/new", ROWS)
    feed.answers["/"] = (302, {"Location": "/new"}, b"")
    snapshot = await ingested(emissions, Provider(url=feed.url("/")))
    assert snapshot.progress.status == "SUCCESS"


async def test_server_error_puts_the_job_back(emissions: EmissionsLab, feed: Feed) -> None:
    feed.answers["/"] = (503, {}, b"")
    provider = Provider(url=feed.url("/"))
    engine = await emissions.engine(services={SERVICE: {"feed": provider}})
    released = asyncio.Event()
    engine.hub.subscribe(
        lambda event: (
            released.set()
            if (event.job_type, event.state) == ("api_ingest", "NOT_STARTED")
            else None
        )
    )
    submitted = await dispatch_api(engine, "feed", module=ENERGY, year=YEAR)
    async with asyncio.timeout(10):
        while True:
            await released.wait()
            released.clear()
            job = await engine.job(submitted.job_id)
            assert job is not None
            if job.status_message:
                break
    assert job.status_message == "the provider answered with status 503"


async def test_slow_provider_blocks_nobody_and_is_given_up(feed: Feed) -> None:
    feed.hang.clear()
    slow = Provider(url=feed.url("/"), timeout=0.2)
    with pytest.raises(ProviderUnavailableError):
        await pull(slow, YEAR)
    feed.hang.clear()
    with pytest.raises(ProviderUnavailableError, match=r"no answer within 0\.1 s"):
        await pull(Provider(url=feed.url("/"), timeout=1, deadline=0.1), YEAR)
    feed.hang.set()  # or the loop, which closes first, waits for the thread


async def test_provider_that_cannot_be_reached_is_unavailable(feed: Feed) -> None:
    url = feed.url("/")
    feed.socket.close()
    with pytest.raises(ProviderUnavailableError, match="cannot be reached"):
        await pull(Provider(url=url, timeout=2), YEAR)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/", "//host/", "http://", "x"])
def test_only_http_addresses_can_be_configured(url: str) -> None:
    with pytest.raises(ProviderError, match="begins with http"):
        Provider(url=url)
