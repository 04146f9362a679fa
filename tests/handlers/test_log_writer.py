"""Group commit for log lines: fewer statements, each message judged for itself."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from handlers import log_writer
from handlers.log_writer import STATEMENTS, LogWriter
from schema.log_lines import Logged, LogLine
from schema.outcomes import Owner
from schema.refused import Refused
from schema.repo import UndeclaredConstraintError
from tests.handlers.bench import TIMEOUT, Bench

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def line(text: str, **more: Any) -> LogLine:
    return LogLine(text, NOW, id=uuid4(), **more)


async def owners(bench: Bench, count: int) -> list[Owner]:
    return [await bench.world.claimed() for _ in range(count)]


async def test_lines_that_arrive_together_share_a_statement(bench: Bench) -> None:
    writer, repo = LogWriter(bench.app.repo), bench.app.repo
    runs = await owners(bench, 20)
    before = repo.statements_run
    results = await asyncio.gather(*(writer.write(owner, [line("x")]) for owner in runs))
    assert all(isinstance(result, Logged) for result in results)
    assert repo.statements_run - before <= STATEMENTS + 1
    assert await bench.world.value("SELECT count(DISTINCT run_id) FROM log_lines") == 20


async def test_a_lone_line_waits_for_nobody(bench: Bench) -> None:
    (owner,) = await owners(bench, 1)
    before = bench.app.repo.statements_run
    result = await LogWriter(bench.app.repo).write(owner, [line("x")])
    assert isinstance(result, Logged)
    assert bench.app.repo.statements_run == before + 1


async def test_each_message_is_judged_for_itself(bench: Bench) -> None:
    writer = LogWriter(bench.app.repo)
    good, stale, foreign, same = await owners(bench, 4)
    results = await asyncio.gather(
        writer.write(good, [line("good")]),
        writer.write(Owner(stale.run_id, uuid4()), [line("stale")]),
        writer.write(foreign, [line("foreign", step_id=uuid4())]),
        writer.write(same, [line("one"), line("two")]),
    )
    kinds = [r.kind if isinstance(r, Refused) else len(r.lines) for r in results]
    assert kinds == [1, "lease_lost", "invalid", 2]


async def test_a_bug_about_one_line_does_not_hurt_the_others(bench: Bench) -> None:
    await bench.world.rows(
        "ALTER TABLE log_lines ADD CONSTRAINT surprise CHECK (message <> 'bad') NOT VALID"
    )
    writer = LogWriter(bench.app.repo)
    runs = await owners(bench, 5)
    texts = ["a", "b", "bad", "c", "d"]
    results = await asyncio.gather(
        *(writer.write(owner, [line(text)]) for owner, text in zip(runs, texts, strict=True)),
        return_exceptions=True,
    )
    assert [type(result).__name__ for result in results] == [
        "Logged",
        "Logged",
        "UndeclaredConstraintError",
        "Logged",
        "Logged",
    ]
    with pytest.raises(UndeclaredConstraintError):
        await writer.write(runs[0], [line("bad")])


async def test_who_stops_waiting_hurts_nobody(bench: Bench) -> None:
    writer = LogWriter(bench.app.repo)
    runs = await owners(bench, 3)
    calls = [asyncio.create_task(writer.write(owner, [line("x")])) for owner in runs]
    await asyncio.sleep(0)
    calls[0].cancel()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result).__name__ for result in results[1:]] == ["Logged", "Logged"]


async def test_a_line_that_follows_at_once_on_the_answer_to_another_is_not_left_waiting(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All statements may end in one turn of the event loop; with one that is certain.
    monkeypatch.setattr(log_writer, "STATEMENTS", 1)
    (owner,) = await owners(bench, 1)
    writer = LogWriter(bench.app.repo)
    async with asyncio.timeout(TIMEOUT):
        for _ in range(3):
            assert isinstance(await writer.write(owner, [line("x")]), Logged)
