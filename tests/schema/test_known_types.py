"""What an array is, is asked once per process, and arrays are read and written all the same."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from schema import known_types
from schema.repo import Repo, Statement, connection


async def _asked(url: str, sql: str, *args: Any) -> tuple[Any, int]:
    """The first row, and how often the connection asked for types."""
    texts: list[str] = []
    async with connection(url) as conn:
        conn.add_query_logger(lambda record: texts.append(record.query))
        row = await conn.fetchrow(sql, *args)
    return row, sum("typeinfo" in text for text in texts)


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_types, "_arrays", {})


async def test_the_second_connection_asks_nothing_and_answers_the_same(database_url: str) -> None:
    sql = "SELECT $1::uuid[] AS ids, $2::text[] AS texts, $3::bigint[] AS numbers"
    args = ([uuid4(), uuid4()], ["a", None, 'b,"'], [[1, 2], [3, 2**62]])
    first, asked = await _asked(database_url, sql, *args)
    assert asked == 1
    again, asked = await _asked(database_url, sql, *args)
    assert asked == 0
    assert tuple(first) == tuple(again) == args
    assert isinstance(again["ids"][0], UUID)


async def test_only_what_is_unknown_is_asked(database_url: str) -> None:
    await _asked(database_url, "SELECT $1::text[]", ["a"])
    row, asked = await _asked(database_url, "SELECT $1::text[], $2::int[]", ["a"], [1])
    assert (tuple(row), asked) == ((["a"], [1]), 1)
    row, asked = await _asked(database_url, "SELECT $1::int[], $2::text[]", [1], ["a"])
    assert (tuple(row), asked) == (([1], ["a"]), 0)


async def test_types_that_differ_from_database_to_database_are_asked_each_time(
    make_database: Any,
) -> None:
    for labels in (("small", "large"), ("red", "green")):
        url = make_database(empty=True)
        async with connection(url) as conn:
            await conn.execute(f"CREATE TYPE kind AS ENUM {labels}")
        row, asked = await _asked(url, "SELECT $1::kind[] AS kinds, $2::text[]", labels, ["a"])
        assert (row["kinds"], asked) == (list(labels), 1)


async def test_a_pool_knows_as_well(database_url: str) -> None:
    await _asked(database_url, "SELECT $1::text[]", ["a"])
    repo = await Repo.connect(database_url, min_size=1, max_size=1)
    try:
        rows = await repo.fetch(Statement("texts", "SELECT $1::text[] AS texts"), ["a"])
        assert isinstance(rows, list)
        assert rows[0]["texts"] == ["a"]
    finally:
        await repo.close()
