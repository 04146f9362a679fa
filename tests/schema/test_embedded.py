import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schema import accounts
from schema.accounts import Account, NoAccountError, UnreachableError, choose, first_barred
from schema.embedded import EmbeddedPostgres, EmbeddedPostgresError, MissingWheelError, binaries
from schema.repo import connection
from schema.watchdog import Session
from tests.spare_server import FOLDER, SpareServer

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes accounts")


@pytest.fixture
def folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder inside the clone; servers in ``server`` below it are ended."""
    session = Session(request.config.rootpath / FOLDER)
    yield session.directory
    session.close()


async def ask(url: str, sql: str) -> Any:
    async with connection(url) as conn:
        return await conn.fetchval(sql)


async def test_start_and_stop_can_be_repeated(own_postgres: EmbeddedPostgres) -> None:
    own_postgres.stop()
    url = own_postgres.start()
    assert own_postgres.start() == url
    assert await ask(url, "SELECT 1") == 1
    own_postgres.stop()
    own_postgres.stop()
    assert not own_postgres.running()
    assert await ask(own_postgres.start(), "SELECT 1") == 1


async def test_data_survives_a_crash_and_the_stale_pid_file(
    own_postgres: EmbeddedPostgres,
) -> None:
    durable = EmbeddedPostgres(own_postgres.directory)
    async with connection(durable.start()) as conn:
        await conn.execute("DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT 7 AS n")
    durable.kill()
    assert (durable.data / "postmaster.pid").exists()
    assert await ask(durable.start(), "SELECT n FROM kept") == 7


async def test_pid_file_with_the_number_of_another_process_does_not_stop_a_start(
    own_postgres: EmbeddedPostgres,
) -> None:
    own_postgres.start()
    own_postgres.kill()
    pid_file = own_postgres.data / "postmaster.pid"
    lines = pid_file.read_text().split("\n")
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    assert not own_postgres.running()
    assert await ask(own_postgres.start(), "SELECT 1") == 1


async def test_second_process_joins_the_server_that_runs(own_postgres: EmbeddedPostgres) -> None:
    own_postgres.start()
    other = EmbeddedPostgres(own_postgres.directory, fast=True)
    assert other.running()
    assert other.start() == own_postgres.dsn()
    assert other.pid() == own_postgres.pid()


async def test_durable_by_default_and_not_when_fast(own_postgres: EmbeddedPostgres) -> None:
    for fast, expected in ((False, "on"), (True, "off")):
        server = EmbeddedPostgres(own_postgres.directory, fast=fast)
        assert await ask(server.start(), "SHOW fsync") == expected
        assert await ask(server.dsn(), "SHOW timezone") == "UTC"
        server.stop()


async def test_everything_is_under_the_folder(own_postgres: EmbeddedPostgres) -> None:
    url = own_postgres.start()
    for setting in ("data_directory", "unix_socket_directories", "config_file", "hba_file"):
        assert str(own_postgres.directory) in await ask(url, f"SHOW {setting}")
    assert await ask(url, "SHOW listen_addresses") == ""


async def test_socket_folder_is_closed_to_other_accounts(own_postgres: EmbeddedPostgres) -> None:
    own_postgres.start()
    for name in ("socket", "data", "password"):
        assert (own_postgres.directory / name).stat().st_mode & 0o077 == 0


async def test_too_long_a_socket_path_falls_back_to_loopback_with_a_password(
    folder: Path, spare_server: SpareServer
) -> None:
    with spare_server.at(folder / ("x" * 100)) as server:
        url = server.start()
        assert "@127.0.0.1:" in url
        assert await ask(url, "SHOW listen_addresses") == "127.0.0.1"
        password = url.split(":")[2].split("@")[0]
        with pytest.raises(Exception, match="password authentication failed"):
            await ask(url.replace(password, "wrong"), "SELECT 1")


def test_failed_start_shows_what_postgres_said(spare_server: SpareServer) -> None:
    with (
        spare_server.at(settings={"shared_buffers": "nonsense"}) as server,
        pytest.raises(EmbeddedPostgresError, match="shared_buffers"),
    ):
        server.start()


def test_url_of_a_server_that_does_not_run_is_an_error(own_postgres: EmbeddedPostgres) -> None:
    with pytest.raises(EmbeddedPostgresError, match="does not run"):
        own_postgres.dsn()


async def test_interrupted_creation_is_begun_anew_in_a_folder_with_spaces_and_quotes_too(
    folder: Path,
) -> None:
    server = EmbeddedPostgres(folder / "a b, it's +%", fast=True)
    server.data.mkdir(parents=True)
    (server.data / "half").touch()
    try:
        assert await ask(server.start(), "SELECT 1") == 1
        assert not (server.data / "half").exists()
    finally:
        server.destroy()
    assert not server.directory.exists()


def test_missing_wheel_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (binaries() / "initdb").exists()
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]  (any name)
    with pytest.raises(MissingWheelError, match="embedded"):
        binaries()


@needs_root
def test_as_root_it_runs_under_an_account_that_exists(own_postgres: EmbeddedPostgres) -> None:
    own_postgres.start()
    owner = Path(f"/proc/{own_postgres.pid()}").stat().st_uid
    assert owner != 0
    assert owner == own_postgres.data.stat().st_uid


@needs_root
async def test_as_root_below_a_closed_folder_it_still_starts(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    account = choose([closed / "data"])
    if not account.prefix:
        pytest.skip("this root may not hand on a capability")
    server = EmbeddedPostgres(closed / "server", fast=True)
    try:
        assert await ask(server.start(), "SELECT 1") == 1
    finally:
        server.destroy()


@needs_root
def test_closed_folder_without_a_capability_says_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(shutil, "which", lambda _name: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]  (any name)
    with pytest.raises(UnreachableError, match="chmod") as raised:
        choose([closed / "data"])
    assert raised.value.folder == closed
    assert "DATABASE_URL" in str(raised.value)


@needs_root
def test_no_account_at_all_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "CANDIDATES", ("root", "no-such-account"))
    with pytest.raises(NoAccountError, match="another user than root"):
        choose([])


def test_folder_is_entered_by_owner_group_or_others(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    status = inner.stat()
    owner = Account("owner", status.st_uid, 4_000_000)
    group = Account("group", 4_000_000, status.st_gid)
    others = Account("others", 4_000_000, 4_000_000)
    for mode, entered in ((0o100, owner), (0o010, group), (0o001, others)):
        inner.chmod(mode)
        for account in (owner, group, others):
            barred = accounts.may_enter(inner, account)
            assert barred == (account is entered)
    inner.chmod(0o700)
    assert first_barred([inner / "missing" / "below"], owner) is None or os.geteuid() != 0
