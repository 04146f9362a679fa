import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import migrations
from schema import databases, recycling, scratch
from schema.embedded import EmbeddedPostgres
from schema.repo import connection
from schema.scratch import Scratch, shared_server
from schema.watchdog import Session, outlast, watch
from tests.spare_server import FOLDER, SpareServer

HOLD = """
import sys
from pathlib import Path
from schema.watchdog import Session
session = Session(Path(sys.argv[1]))
print(session.directory, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def parent(request: pytest.FixtureRequest) -> Path:
    """The folder that test sessions have their folders in."""
    return request.config.rootpath / FOLDER


@pytest.fixture
def session(parent: Path) -> Iterator[Session]:
    """A session of our own."""
    made = Session(parent)
    yield made
    made.close()


def test_server_of_a_killed_session_is_stopped_and_its_folder_deleted(
    parent: Path, spare_server: SpareServer
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        directory = Path(holder.stdout.readline().strip())
        watchdog = watch(directory)
        try:
            server = EmbeddedPostgres(directory / "server", fast=True)
            spare_server.copy_to(server.directory)
            server.start()
            assert server.running()
            assert watchdog.poll() is None
        finally:
            holder.kill()
    watchdog.wait(30)
    assert not directory.exists()
    assert not server.running()


def test_shared_server_is_started_once_and_watched(
    session: Session, spare_server: SpareServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    spare_server.copy_to(session.directory / "server")
    watchdogs: list[Any] = []
    monkeypatch.setattr(scratch, "_watchdogs", watchdogs)
    url = shared_server(session.directory)
    assert shared_server(session.directory) == url
    assert len(watchdogs) == 1
    assert watchdogs[0].poll() is None
    session.close()
    session.close()
    assert not session.directory.exists()
    watchdogs[0].wait(30)


def test_watchdog_waits_for_the_holder(session: Session) -> None:
    thread = threading.Thread(target=outlast, args=(session.directory,))
    thread.start()
    assert session.directory.exists()
    session.close()
    thread.join(30)
    assert not thread.is_alive()
    outlast(session.directory)


async def test_each_database_is_migrated_and_its_own(postgres_server: Scratch) -> None:
    urls = [postgres_server.create() for _ in range(2)]
    async with connection(urls[0]) as conn:
        await conn.execute("INSERT INTO projects (name) VALUES ('p')")
        for url in urls:
            assert (await migrations.status(url)).up_to_date
        async with connection(urls[1]) as other:
            assert await other.fetchval("SELECT count(*) FROM projects") == 0
        # Dropped although we are connected to it.
        for url in urls:
            postgres_server.drop(url)


@pytest.fixture
def own(postgres_server: Scratch) -> Iterator[Scratch]:
    """Databases that no other test is given, of the template that all have."""
    made = Scratch(
        postgres_server.admin_dsn, migrations.up, migrations.sql("base", migrations.revisions()[-1])
    )
    assert made.template == postgres_server.template
    yield made
    made.close()


async def test_database_that_is_given_back_is_used_again_without_its_rows(own: Scratch) -> None:
    url = own.create()
    async with connection(url) as conn:
        await conn.execute("INSERT INTO projects (name) VALUES ('p')")
        await conn.execute("INSERT INTO units (institutional_id) VALUES ('u')")
        # Emptied although we are connected to it, and in a transaction.
        await conn.execute("BEGIN; INSERT INTO projects (name) VALUES ('q')")
        own.give_back(url)
    assert own.create() == url
    async with connection(url) as conn:
        assert await conn.fetchval("SELECT count(*) FROM projects") == 0
        again = "INSERT INTO units (institutional_id) VALUES ('u') RETURNING id"
        assert await conn.fetchval(again) == 1
    own.drop(url)


DEFINITIONS = (
    "CREATE TABLE more (id int)",
    "ALTER TABLE projects ADD COLUMN more int",
    "ALTER TABLE projects ALTER COLUMN name SET DEFAULT 'p'",
    "ALTER TABLE runs DROP CONSTRAINT runs_lease_check",
    "DROP INDEX runs_available_index",
    "ALTER TABLE runs DISABLE TRIGGER ALL",
    "CREATE FUNCTION more() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "UPDATE alembic_version SET version_num = '9999_pre_future'",
    "ALTER DATABASE {name} SET statement_timeout = 1",
    "INSERT INTO projects (name) SELECT repeat('p', 200) || n FROM generate_series(1, 30000) n",
)
"""Each leaves more than rows in a database, the last one by their number."""


async def test_each_definition_and_many_rows_are_noticed(own: Scratch) -> None:
    url = own.create()
    async with connection(url) as conn:
        new = await recycling.made(conn)
        for definition in DEFINITIONS:
            block = conn.transaction()
            await block.start()
            await conn.execute(definition.format(name=databases.database_name(url)))
            assert not await recycling.empty(conn, new), definition
            await block.rollback()
            if definition != DEFINITIONS[-1]:
                assert (await recycling.made(conn)).mark == new.mark, definition
    own.drop(url)


async def test_database_with_more_than_rows_in_it_is_not_used_again(own: Scratch) -> None:
    url = own.create()
    async with connection(url) as conn:
        await conn.execute(DEFINITIONS[0])
    own.give_back(url)
    assert not own.waiting
    async with connection(own.admin_dsn) as conn:
        named = "SELECT count(*) FROM pg_database WHERE datname = $1"
        assert await conn.fetchval(named, databases.database_name(url)) == 0


async def test_template_is_made_once_and_a_half_made_one_is_made_anew(
    postgres_server: Scratch,
) -> None:
    admin, name = postgres_server.admin_dsn, f"half_made_{os.getpid()}"
    made: list[str] = []

    async def fail(_url: str) -> None:
        raise RuntimeError("half made")

    async def prepare(url: str) -> None:
        made.append(databases.database_name(url))

    with pytest.raises(RuntimeError, match="half made"):
        await databases.ensure_template(admin, name, fail)
    for _ in range(2):
        assert await databases.ensure_template(admin, name, prepare) == name
    assert made == [name]
    for _ in range(2):
        await databases.drop_template(admin, name)


@pytest.mark.parametrize("name", ["", "a-b", "a; DROP DATABASE x", 'a"b', "Ä", "x" * 64, "1a"])
async def test_name_that_is_none_is_refused(postgres_server: Scratch, name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        await databases.create(postgres_server.admin_dsn, name)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@h:1/a", "postgresql://u:p@h:1/b"),
        ("postgresql://u@/a?host=/s&port=5", "postgresql://u@/b?host=/s&port=5"),
    ],
)
def test_url_of_another_database_keeps_the_rest(url: str, expected: str) -> None:
    assert databases.with_database(url, "b") == expected
    assert databases.database_name(expected) == "b"
