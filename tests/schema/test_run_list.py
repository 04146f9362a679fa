"""The list of runs: every filter walks an index, pages stay put while runs are added."""

import random
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import msgspec
import pytest

from schema.lifecycle import RUN_STATES
from schema.reading import run_list
from schema.reading.keyset import Place, like, parse_cursor
from schema.reading.run_list import RunFilter, RunPage
from schema.refused import Refused
from schema.repo import Repo, connection
from tests.schema.world import World, project, workflow

MANY = 20_000
"""Finished runs of each of two workflows."""


@pytest.fixture
async def world(repo: Repo) -> World:
    flows = [workflow("a"), workflow("b")]
    return await World.create(repo, project(workflows=flows))


async def listed(repo: Repo, **wanted: Any) -> RunPage:
    limit, cursor = wanted.pop("limit", 50), wanted.pop("cursor", None)
    page = await run_list.page(repo, RunFilter(**wanted), limit=limit, cursor=cursor)
    assert isinstance(page, RunPage), page
    return page


async def walk(repo: Repo, **wanted: Any) -> list[UUID]:
    """The ids of all pages."""
    found: list[UUID] = []
    page = await listed(repo, **wanted)
    found += page.ids
    while page.next is not None:
        page = await listed(repo, cursor=page.next, **wanted)
        found += page.ids
    return found


async def test_each_filter_alone_and_together_finds_what_a_scan_would(
    repo: Repo, world: World
) -> None:
    chance = random.Random(7)
    other = await World.create(repo, project("other"))
    for place in (world, other):
        for _ in range(12):
            await place.enqueue(chance.randrange(len(place.project.workflows)))
    for run in await world.claim(8, worker_name="w-1"):
        if chance.random() < 0.7:
            ends = chance.choice(["success", "failed", "crashed"])
            await world.complete(run.owner, ends, error_type=chance.choice(["Oops", "100%"]))
    rows = [dict(row) for row in await world.rows("SELECT * FROM runs ORDER BY inserted_at, id")]
    middle = rows[11]["inserted_at"]
    projects = [world.project.id]
    cases: list[dict[str, Any]] = [
        {},
        {"projects": projects},
        {"projects": [world.project.id, other.project.id], "since": middle},
        {"projects": projects, "until": middle},
        {"workflow": world.workflow(1).id},
        {"projects": [other.project.id], "workflow": world.workflow().id},
        {"states": ["failed", "crashed"]},
        {"projects": projects, "states": ["available"], "since": middle},
        {"worker": "w-1"},
        {"worker": "w-1", "states": ["success"], "workflow": world.workflow().id},
        {"text": "OOPS"},
        {"text": "0%", "states": ["failed", "success", "crashed"]},
        {"text": "nowhere"},
    ]
    for wanted in cases:
        expected = [row["id"] for row in reversed(rows) if _fits(row, wanted)]
        assert await walk(repo, limit=3, **wanted) == expected, wanted
        if "text" not in wanted:
            counted = await run_list.counts(repo, RunFilter(**wanted))
            free = {name: value for name, value in wanted.items() if name != "states"}
            by_state = {
                state: sum(row["state"] == state and _fits(row, free) for row in rows)
                for state in RUN_STATES
            }
            assert counted == by_state, wanted


def _fits(row: dict[str, Any], wanted: dict[str, Any]) -> bool:
    error = (row["error_type"] or "").lower()
    return (
        ("projects" not in wanted or row["project_id"] in wanted["projects"])
        and wanted.get("workflow") in (None, row["workflow_id"])
        and ("states" not in wanted or row["state"] in wanted["states"])
        and wanted.get("worker") in (None, row["worker_name"])
        and ("since" not in wanted or row["inserted_at"] >= wanted["since"])
        and ("until" not in wanted or row["inserted_at"] < wanted["until"])
        and wanted.get("text", "").lower() in error
    )


async def test_pages_stay_put_while_runs_are_added(repo: Repo, world: World) -> None:
    first = [(await world.enqueue(at % 2)).run_id for at in range(9)]
    for wanted in ({}, {"states": ["available"]}, {"workflow": world.workflow().id}):
        before = await walk(repo, **wanted)
        seen: list[UUID] = []
        page = await listed(repo, limit=2, **wanted)
        while True:
            seen += page.ids
            await world.enqueue()
            if page.next is None:
                break
            page = await listed(repo, limit=2, cursor=page.next, **wanted)
        assert seen == before, wanted
    assert set(first) <= set(await walk(repo))


async def test_runs_of_the_same_moment_are_neither_skipped_nor_repeated(
    repo: Repo, world: World
) -> None:
    for _ in range(7):
        await world.enqueue()
    await world.rows("UPDATE runs SET inserted_at = '2026-01-01T00:00:00Z' RETURNING id")
    for wanted in ({}, {"states": ["available"]}, {"workflow": world.workflow().id}):
        seen = await walk(repo, limit=2, **wanted)
        assert len(seen) == len(set(seen)) == 7


async def test_a_search_goes_on_where_a_page_stopped_looking(
    repo: Repo, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_list, "MOST_SEARCHED", 3)
    run_list.page_statement.cache_clear()
    wanted = [(await world.enqueue()).run_id for _ in range(10)]
    for found in (wanted[0], wanted[8]):
        await world.rows(
            "UPDATE runs SET error_message = 'a needle' WHERE id = $1 RETURNING id", found
        )
    pages: list[int] = []
    page = await listed(repo, text="needle")
    while True:
        pages.append(len(page.ids))
        if page.next is None:
            break
        page = await listed(repo, text="needle", cursor=page.next)
    run_list.page_statement.cache_clear()
    assert pages == [1, 0, 0, 1]


async def test_a_search_finds_log_lines_and_takes_every_character_as_it_is(
    repo: Repo, world: World
) -> None:
    found = await world.started()
    await world.started()
    sql = """INSERT INTO log_lines (run_id, message, timestamp, version)
      VALUES ($1, $2, now(), 99) RETURNING id"""
    await world.rows(sql, found.run_id, r"50% of C:\new_file done")
    for text in ("50% OF", r"c:\NEW_f", "done", "%", "_", "\\"):
        assert await walk(repo, text=text) == [found.run_id], text
    for text in ("5%f", "n_w", "done done"):
        assert await walk(repo, text=text) == [], text


def test_a_cursor_names_a_place_and_nothing_else_is_one() -> None:
    text = "2026-01-02T03:04:05.000006Z~00000000-0000-0000-0000-000000000001"
    place = parse_cursor(text)
    assert isinstance(place, Place)
    assert place.cursor() == text
    for wrong in ("", "~", "2026-01-02T03:04:05~" + str(place.id), text[:-1], "x~y"):
        with pytest.raises(ValueError, match=r".*"):
            parse_cursor(wrong)
    assert like("a%b_c\\") == r"%a\%b\_c\\%"


async def test_what_is_no_state_and_no_cursor_is_refused(repo: Repo) -> None:
    for wanted, cursor, field in ((RunFilter(states=["done"]), None, "state"),
                                  (RunFilter(), "x", "cursor")):  # fmt: skip
        refused = await run_list.page(repo, wanted, cursor=cursor)
        assert isinstance(refused, Refused)
        assert list(refused.errors) == [field]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All nodes of a plan."""
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


async def load(dsn: str, world: World) -> None:
    """Many finished runs of two workflows: few failed, one in a hundred had the worker w-7."""
    async with connection(dsn) as admin:
        await admin.execute("SET session_replication_role = replica")
        await admin.execute(
            f"""
INSERT INTO runs (project_id, workflow_id, work_order_id, snapshot_id, starting_trigger_id, state,
  inserted_at, claimed_at, started_at, finished_at, lease, worker_name)
SELECT r.project_id, r.workflow_id, r.work_order_id, r.snapshot_id, r.starting_trigger_id,
  CASE WHEN n % 5000 = 0 THEN 'failed' ELSE 'success' END, t, t, t, t, r.id,
  'w-' || n % 100
FROM (SELECT DISTINCT ON (workflow_id) * FROM runs) r,
  (SELECT n, now() - n * interval '1 second' AS t FROM generate_series(1, {MANY}) n) s"""
        )
        await admin.execute("VACUUM (ANALYZE) runs")


async def test_every_filter_of_the_list_reads_little_of_a_large_table(
    repo: Repo, world: World, database_url: str
) -> None:
    for at in (0, 1):
        await world.enqueue(at)
    await load(database_url, world)
    deep = (await listed(repo, limit=1)).next
    assert deep is not None
    place = Place(parse_cursor(deep).at, UUID(int=0))
    middle = await world.value("SELECT now() - interval '8 hours'")
    projects, flow = [world.project.id], world.workflow().id
    cases: list[tuple[dict[str, Any], Place | None, str]] = [
        ({}, None, "runs_project_id_inserted_at_index"),
        ({}, Place(middle, UUID(int=0)), "runs_project_id_inserted_at_index"),
        ({"since": middle}, place, "runs_project_id_inserted_at_index"),
        ({"until": middle}, None, "runs_project_id_inserted_at_index"),
        ({"states": ["failed"]}, None, "runs_workflow_id_state_inserted_at_index"),
        ({"states": ["lost"]}, None, "runs_workflow_id_state_inserted_at_index"),
        ({"states": ["success"]}, place, "runs_workflow_id_state_inserted_at_index"),
        ({"workflow": flow}, None, "runs_workflow_id_state_inserted_at_index"),
        ({"workflow": flow, "until": middle}, None, "runs_workflow_id_state_inserted_at_index"),
        ({"worker": "w-7"}, None, "runs_project_id_worker_name_inserted_at_index"),
        ({"worker": "nobody"}, None, "runs_project_id_worker_name_inserted_at_index"),
    ]
    async with connection(database_url) as admin:
        # As a prepared statement is planned at worst: without knowing its arguments.
        await admin.execute("SET plan_cache_mode = force_generic_plan")
        for more, at, index in cases:
            wanted = RunFilter(projects=projects, **more)
            statement = run_list.page_statement(run_list.given_filters(wanted, at))
            moment, last = at or (None, None)
            text = await admin.fetchval(
                f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement.sql}",
                *(*run_list.filter_arguments(wanted), moment, last, 51, None),
            )
            (found,) = msgspec.json.decode(text)
            scans = [node for node in nodes(found["Plan"]) if node.get("Relation Name") == "runs"]
            assert {node["Index Name"] for node in scans} == {index}, more
            read = found["Plan"]["Shared Hit Blocks"] + found["Plan"]["Shared Read Blocks"]
            assert read < 2_500, (more, read)
