"""The fault proxy: what each fault does to the bytes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import asyncpg
import pytest

from channel_server.testing.frame_splitter import FrameSplitter
from channel_server.testing.proxy import FaultProxy
from channel_server.testing.raw import PING, TEXT, make_frame

Proxies = Callable[..., Awaitable[FaultProxy]]


@pytest.fixture
async def echo_port() -> AsyncIterator[int]:
    """A server that sends back what it gets."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1024):
                writer.write(data)
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


@pytest.fixture
async def proxy(echo_port: int, fault_proxy: Proxies) -> FaultProxy:
    return await fault_proxy("127.0.0.1", echo_port)


class Line:
    """A TCP connection through the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def exchange(self, data: bytes, size: int | None = None) -> bytes:
        self.writer.write(data)
        async with asyncio.timeout(10):
            return await self.reader.readexactly(len(data) if size is None else size)


@pytest.fixture
async def line(proxy: FaultProxy) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    yield Line(reader, writer)
    writer.close()
    try:
        await writer.wait_closed()
    except OSError:
        pass


HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def cut_up(data: bytes, size: int) -> list[bytes | None]:
    """The messages that are found in `data` when it comes in pieces."""
    splitter = FrameSplitter()
    passed = b""
    found: list[bytes | None] = []
    for start in range(0, len(data), size):
        for part, message in splitter.split(data[start : start + size]):
            passed += part
            found += [] if message is None else [message]
    assert passed == data
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100, 10**6])
def test_messages_are_found_however_they_are_cut(size: int) -> None:
    small, masked = make_frame(TEXT, b"a", masked=False), make_frame(TEXT, b"b" * 200)
    large = make_frame(TEXT, b"c" * 70_000) if size > 3 else make_frame(TEXT, b"")
    first = make_frame(TEXT, b"d", fin=False)
    last = make_frame(0, b"e")
    ping = make_frame(PING, b"")
    stream = HEAD + small + ping + masked + large + first + ping + last + small[:1]
    assert cut_up(stream, size) == [small, masked, large, first + last]


async def test_a_websocket_message_is_sent_twice_whole(
    echo_port: int, fault_proxy: Proxies
) -> None:
    proxy = await fault_proxy("127.0.0.1", echo_port, websockets=True)
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    line = Line(reader, writer)
    proxy.to_server.duplicate_frames = 1
    assert await line.exchange(HEAD) == HEAD
    one, two = make_frame(TEXT, b"one"), make_frame(TEXT, b"two")
    writer.write(one[:3])
    size = 2 * len(one) + len(two)
    assert await line.exchange(one[3:] + two, size) == one + one + two
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("dsn", "target", "through"),
    [
        (
            "postgresql://me:p%40ss@db.example:5433/app?application_name=x",
            ("db.example", 5433),
            "postgresql://me:p%40ss@127.0.0.1:{}/app?application_name=x&sslmode=disable",
        ),
        (
            "postgresql://postgres@/a%20b?host=/run/pg&port=5434",
            ("/run/pg/.s.PGSQL.5434", 5434),
            "postgresql://postgres@127.0.0.1:{}/a%20b?sslmode=disable",
        ),
    ],
)
async def test_the_url_of_a_database_becomes_the_way_through(
    dsn: str, target: tuple[str, int], through: str
) -> None:
    async with FaultProxy.before_database(dsn) as proxy:
        assert proxy.target == target
        assert proxy.dsn == through.format(proxy.port)


async def test_a_database_is_reached_and_a_committed_answer_lost(database_url: str) -> None:
    key = uuid4()
    async with FaultProxy.before_database(database_url) as proxy:
        connection = await asyncpg.connect(proxy.dsn)
        await connection.execute("CREATE TABLE kept (id uuid)")
        lost = proxy.lose_answer_to(key.bytes)
        with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
            await connection.execute("INSERT INTO kept VALUES ($1)", key, timeout=10)
        assert lost.is_set()
        again = await asyncpg.connect(proxy.dsn)
        assert await again.fetchval("SELECT count(*) FROM kept WHERE id = $1", key) == 1
        await again.close()


async def is_reset(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await reader.readexactly(1)
    writer.transport.abort()


async def test_without_faults_everything_passes(proxy: FaultProxy, line: Line) -> None:
    assert await line.exchange(b"hello") == b"hello"
    assert (proxy.connections, proxy.to_server.passed, proxy.to_client.passed) == (1, 5, 5)


async def test_a_delay_holds_bytes_back_in_order(proxy: FaultProxy, line: Line) -> None:
    loop = asyncio.get_running_loop()
    proxy.to_client.delay = 0.05
    before = loop.time()
    assert await line.exchange(b"one") == b"one"
    assert loop.time() - before >= 0.05
    assert await line.exchange(b"two") == b"two"


async def test_a_rate_slows_down(proxy: FaultProxy, line: Line) -> None:
    loop = asyncio.get_running_loop()
    proxy.to_server.rate = 1000
    before = loop.time()
    assert await line.exchange(b"x" * 50) == b"x" * 50
    assert loop.time() - before >= 0.05


async def test_a_rate_lets_large_chunks_pass_in_small_pieces(proxy: FaultProxy, line: Line) -> None:
    proxy.to_client.rate = 1000
    line.writer.write(b"x" * 100_000)
    async with asyncio.timeout(10):
        assert await line.reader.readexactly(50) == b"x" * 50
    assert proxy.to_client.passed < 10_000


async def test_a_cut_resets_after_so_many_bytes(proxy: FaultProxy, line: Line) -> None:
    proxy.to_server.cut_after = 8
    assert await line.exchange(b"12345") == b"12345"
    line.writer.write(b"6789")
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await line.reader.readexactly(4)
    assert proxy.to_server.passed == 8
    assert proxy.to_server.cut_after is None


async def test_a_stall_holds_and_goes_on(proxy: FaultProxy, line: Line) -> None:
    proxy.to_client.stalled = True
    assert proxy.to_client.stalled
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await line.exchange(b"hello")
    proxy.to_client.stalled = False
    async with asyncio.timeout(10):
        assert await line.reader.readexactly(5) == b"hello"


async def test_while_half_open_no_end_is_told_either(proxy: FaultProxy, line: Line) -> None:
    await line.exchange(b"hello")
    proxy.to_server.stalled = proxy.to_client.stalled = True
    line.writer.write_eof()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await line.reader.read()
    assert proxy.connections == 1
    proxy.to_server.stalled = proxy.to_client.stalled = False
    async with asyncio.timeout(10):
        assert await line.reader.read() == b""


async def test_what_is_swallowed_is_lost(proxy: FaultProxy, line: Line) -> None:
    proxy.to_server.swallowing = True
    line.writer.write(b"lost")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await line.reader.readexactly(1)
    proxy.to_server.swallowing = False
    assert await line.exchange(b"heard") == b"heard"


async def test_a_cut_before_a_word_lets_only_what_came_earlier_pass(
    proxy: FaultProxy, line: Line
) -> None:
    proxy.to_client.cut_before = b"secret"
    assert await line.exchange(b"hello") == b"hello"
    line.writer.write(b"a secret")
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await line.reader.readexactly(1)
    assert (proxy.to_client.passed, proxy.to_client.cut_before) == (5, None)


async def test_a_lost_answer_was_given_and_is_not_heard(proxy: FaultProxy, line: Line) -> None:
    lost = proxy.lose_answer_to(b"commit")
    assert await line.exchange(b"hello") == b"hello"
    line.writer.write(b"please commit")
    async with asyncio.timeout(10):
        await lost.wait()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await line.reader.readexactly(1)
    assert (proxy.to_server.passed, proxy.to_client.passed) == (18, 5)


async def test_a_duplicate_is_sent_twice(proxy: FaultProxy, line: Line) -> None:
    proxy.to_server.duplicate = 1
    assert await line.exchange(b"ab", 4) == b"abab"
    assert await line.exchange(b"cd") == b"cd"


async def test_cut_resets_all_and_new_connections_are_accepted(
    proxy: FaultProxy, line: Line
) -> None:
    await line.exchange(b"hello")
    proxy.cut()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await line.reader.readexactly(1)
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await Line(reader, writer).exchange(b"again") == b"again"
    writer.close()
    await writer.wait_closed()


async def test_refusing_resets_new_connections(proxy: FaultProxy) -> None:
    proxy.refusing = True
    await is_reset(proxy.port)


async def test_no_server_behind_resets(fault_proxy: Proxies) -> None:
    proxy = await fault_proxy("127.0.0.1", 1)
    await is_reset(proxy.port)


async def test_an_end_of_stream_is_passed_on(proxy: FaultProxy, line: Line) -> None:
    await line.exchange(b"hello")
    line.writer.write_eof()
    async with asyncio.timeout(10):
        assert await line.reader.read() == b""


async def test_stopping_twice_is_fine_and_ends_everything(proxy: FaultProxy, line: Line) -> None:
    await line.exchange(b"hello")
    await proxy.stop()
    await proxy.stop()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await line.reader.readexactly(1)
    with pytest.raises(RuntimeError, match="not started"):
        _ = proxy.port
