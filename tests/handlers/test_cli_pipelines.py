"""``emissions`` and ``pipelines``, against a server that runs the jobs."""

import io
from pathlib import Path
from typing import Any

import pytest

from handlers.application import Application
from handlers.cli.output import Output
from handlers.cli.pipeline_watch import PipelineView
from handlers.run_tokens import UserTokens
from tests.handlers.cli_bench import cli, variables
from tests.handlers.pipelines_bench import SAMPLE, Bench

ENERGY = ("--module", "energy", "--year", "2025")


@pytest.fixture
async def server(
    live_app: Application, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Application:
    """A server that commands find through the environment."""
    monkeypatch.chdir(tmp_path)
    for name, value in variables(live_app.settings, live_app.endpoint.port).items():
        monkeypatch.setenv(name, value)
    return live_app


async def test_files_are_ingested_waited_for_and_shown(server: Application) -> None:
    units = await cli("emissions", "ingest", str(SAMPLE / "units.csv"), "--target", "units",
                      "--year", "2025", "--wait")  # fmt: skip
    assert units.code == 0, units.err
    factors = SAMPLE / "factors_energy.csv"
    made = await cli("emissions", "ingest", str(factors), *ENERGY, "--target", "factors", "--json")
    assert made.code == 0, made.err
    assert (await cli("pipelines", "watch", made.data["pipeline_id"])).code == 0
    data = await cli("emissions", "ingest", str(SAMPLE / "data_energy.csv"), *ENERGY,
                     "--wait", "--json")  # fmt: skip
    assert (data.code, data.data["status"]) == (0, "SUCCESS"), data.err
    told = [line.split()[0] for line in data.err.splitlines()]
    assert {"csv_ingest", "emission_recalc", "aggregation"} <= set(told)
    shown = await cli("pipelines", "show", data.data["pipeline_id"])
    assert [line.split()[0] for line in shown.out.splitlines()[-3:]] == [
        *("csv_ingest", "emission_recalc", "aggregation")
    ]
    page = await cli("pipelines", "list", "--kind", "csv_ingest", "--json")
    assert [each["pipeline_id"] for each in page.data["pipelines"]] == [data.data["pipeline_id"]]
    first = await cli("pipelines", "list", "--limit", "1")
    assert data.data["pipeline_id"] in first.out
    assert "there are more: --after" in first.err


async def test_a_pipeline_that_fails_exits_with_1_and_says_why(
    server: Application, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    result = await cli("emissions", "ingest", str(empty), *ENERGY, "--wait")
    assert result.code == 1
    assert "FAILED" in result.out


async def test_seed_leaves_totals_to_the_digit(server: Application) -> None:
    result = await cli("emissions", "seed", str(SAMPLE), "--json")
    assert result.code == 0, result.err
    totals = {unit["unit"]: unit["report"]["total"] for unit in result.data["units"]}
    assert (result.data["total"], totals) == (1154.5, {"U-100": 975, "U-200": 179.5})
    again = await cli("emissions", "seed", str(SAMPLE))
    assert "975.0" in again.out.splitlines()[1]


async def test_abort_and_recover_say_what_they_did_or_why_not(server: Application) -> None:
    bench = Bench(server)
    made = await bench.submit("nobody_runs_this")
    stuck = await bench.submit("nobody_runs_this")
    await bench.run(
        "UPDATE pipeline_jobs SET state = 'RUNNING', locked_by = 'gone', attempts = 1,"
        " locked_at = now() - interval '2 hours', run_after = now() + interval '1 day'"
        " WHERE id = $1",
        stuck.job_id,
    )
    assert (await cli("pipelines", "recover", str(stuck.job_id))).code == 0
    again = await cli("pipelines", "recover", str(stuck.job_id))
    assert (again.code, "not stale" in again.err) == (1, True)
    pipeline = str(made.pipeline_id)
    assert (await cli("pipelines", "abort", pipeline)).out.strip().endswith("is aborted")
    assert (await cli("pipelines", "abort", pipeline)).code == 1
    assert (await cli("pipelines", "watch", pipeline)).code == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("pipelines", "show", "x"), 2),
        (("pipelines", "show", "11111111-1111-4111-8111-111111111111"), 1),
        (("pipelines", "watch", "11111111-1111-4111-8111-111111111111"), 1),
        (("pipelines", "list", "--url", "http://127.0.0.1:1"), 3),
        (("emissions", "ingest", "none.csv", "--module", "3"), 2),
        (("emissions", "ingest", str(SAMPLE / "data_energy.csv")), 2),
        (("emissions", "ingest", str(SAMPLE / "data_energy.csv"), "--module", "none"), 2),
        (("emissions", "ingest", str(SAMPLE / "data_energy.csv"), *ENERGY, "--unit", "U-9"), 2),
        (("emissions", "seed", "."), 2),
    ],
)
async def test_what_cannot_be_done_has_its_exit_code(
    server: Application, words: tuple[str, ...], code: int
) -> None:
    result = await cli(*words)
    assert (result.code, result.err.startswith("error: ")) == (code, True), result.err


async def test_a_server_with_another_secret_refuses_us(
    server: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_SECRET", "another secret of sufficient length")
    result = await cli("pipelines", "list")
    assert (result.code, "refused us" in result.err) == (3, True)


async def test_a_token_can_be_made_for_tenants(server: Application) -> None:
    result = await cli("token", "--tenant", "U-100", "--role", "operator", "--json")
    user = UserTokens(server.settings.user_key()).verify(result.data["token"])
    assert user is not None
    assert (user.tenants, user.role, user.projects) == ({"U-100"}, "operator", frozenset())
    assert (await cli("token")).code == 2


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_progress_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    job: dict[str, Any] = {
        "job_id": 1, "job_type": "csv_ingest", "state": "RUNNING", "result": None,
        "status_message": "half way", "data_entry_type_id": None,
    }  # fmt: skip
    progress = {"phase": 1, "phases_total": 3, "phase_label": "data"}
    with PipelineView(Output(as_json=False, stdout=io.StringIO(), stderr=stream)) as view:
        view.show({"jobs": [job, {**job, "state": "FINISHED"}], "progress": progress})
    assert "1/3 data" in stream.getvalue()
    assert "half way" in stream.getvalue()
