"""``dev`` as a process: the demo from nothing to two finished runs, and nothing left behind."""

import os
import signal
import stat
from pathlib import Path

import httpx
import pytest

from handlers.cli.environment import read_env
from handlers.cli.posting import post_json
from tests.handlers.cli_bench import WORKER, work
from tests.handlers.process import Process, command, names
from tests.plain_http import PLAIN
from tests.programs import program

TEXT_HTML = "text/html; charset=utf-8"


def postgres_pid(folder: Path) -> int:
    file = folder / ".channel_server" / "postgres" / "data" / "postmaster.pid"
    return int(file.read_text().splitlines()[0])


def alive(pid: int) -> bool:
    """Say whether a process lives; one that nobody has reaped yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def children(pid: int) -> set[int]:
    """Return the child processes of a process."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return {int(word) for word in listed.split()}


async def url_of(process: Process) -> str:
    return (await process.line_with("serving at")).split()[-1]


async def test_the_demo_shows_one_run_that_succeeds_and_one_that_fails(tmp_path: Path) -> None:
    words = ("dev", "--demo", "--port", "0")
    async with command(*words, folder=tmp_path, interpreter=True) as process:
        url = await url_of(process)
        link, _, token = (await process.line_with("#token=")).strip().partition("#token=")
        assert link == f"{url}/"
        await process.line_with("Both runs are over")
        text = process.text
        for part in (
            "step Check success",
            "step Price fail",
            "step Report fail",
            "step Deliver success",
            "JOB order 1 costs 37.5",
            "JOB logging in with ***",
            "run success",
            "run failed (JobError: order 2 needs a person)",
            "400.0   350.0     225.0    975.0",
            "123.5   0.0       56.0     179.5",
        ):
            assert part in text
        hook = (await process.line_with("curl -s")).split()[2]
        assert hook.startswith(f"{url}/i/")
        await process.line_with("make clean")
        async with httpx.AsyncClient(base_url=url, trust_env=False, verify=PLAIN) as browser:
            page = await browser.get("/", headers={"Accept": "text/html"})
            assert (page.status_code, page.headers["Content-Type"]) == (200, TEXT_HTML)
            browser.headers["Authorization"] = f"Bearer {token}"
            assert len((await browser.get("/api/pipelines")).json()["pipelines"]) >= 7
            refused = await browser.post("/api/pipelines/dispatch", json={})
            assert refused.status_code == 403, "the link is a viewer's"
        further = await post_json(hook, {"id": 3, "quantity": 5})
        await process.line_with(f"{further['run_id'][:8]}  run success")

        postgres, below = postgres_pid(tmp_path), children(process.pid)
        assert below, "the worker is a child"
        assert await process.end(signal.SIGINT) == 0, process.text
    assert process.said[-1].endswith("stopped")
    assert "Traceback" not in process.text
    assert token not in (tmp_path / ".channel_server" / "server.log").read_text()
    assert [pid for pid in (postgres, *below) if alive(pid)] == []


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `dev` has perhaps run already: making a database takes its time."""
    return tmp_path_factory.mktemp("used")


async def test_a_second_start_finds_its_keys_and_without_a_worker_its_runs_wait_for_one(
    used: Path,
) -> None:
    folder = used / ".channel_server"
    async with command("dev", "--port", "0", folder=used) as process:
        await url_of(process)
        await process.line_with("Ctrl-C stops it")
        first = read_env(folder / "env")
        async with command("dev", folder=used) as second:
            assert await second.end() == 2
            assert "Another `channel-server dev` runs in" in second.text
        assert await process.end(signal.SIGTERM) == 0, process.text
    async with command("dev", "--demo", "--no-worker", "--port", "0", folder=used) as process:
        url = await url_of(process)
        await process.line_with("Two runs wait for a worker.")
        assert children(process.pid) == set()
        again = read_env(folder / "env")
        async with httpx.AsyncClient(trust_env=False, verify=PLAIN) as client:
            assert (await client.get(f"{url}/healthz")).status_code == 200
        # The worker that the hints tell of takes them.
        env = {**os.environ, **read_env(folder / "worker.env")}
        async with program(work, str(WORKER), env=env) as worker:
            await process.line_with("run success")
            worker.send_signal(signal.SIGTERM)
            assert await worker.wait() == 0
        assert await process.end(signal.SIGINT) == 0, process.text
    assert again["WORKER_SECRET"] == first["WORKER_SECRET"]
    assert again["WORKER_RUNS_PRIVATE_KEY"] == first["WORKER_RUNS_PRIVATE_KEY"]
    assert url.endswith(f":{again['CHANNEL_SERVER_PORT']}")
    for name in ("env", "worker.env"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert names(used) == {".channel_server"}


async def test_a_worker_that_dies_is_reported(used: Path) -> None:
    async with command("dev", "--demo", "--port", "0", folder=used) as process:
        await process.line_with("an order without a quantity")
        (worker,) = children(process.pid)
        os.kill(worker, signal.SIGKILL)
        await process.line_with("the worker has ended; its log is .channel_server/worker.log")
        await process.line_with("Two runs wait for a worker.")
        assert await process.end(signal.SIGTERM) == 0, process.text


async def test_a_signal_during_the_start_stops_what_was_started(tmp_path: Path) -> None:
    async with command("dev", "--demo", "--port", "0", folder=tmp_path) as process:
        await process.line_with("starting PostgreSQL")
        # As a terminal does: the signal goes to everything that the command has started.
        os.killpg(process.pid, signal.SIGINT)
        assert await process.end() == 0, process.text
    assert process.said[-1].endswith("stopped")
    assert "Traceback" not in process.text
    assert not (tmp_path / ".channel_server/postgres/data/postmaster.pid").exists()
