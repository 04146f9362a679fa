"""The fault proxy: what each fault does to the bytes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from channel_server.testing.faults import FaultProxy

Proxies = Callable[[str, int], Awaitable[FaultProxy]]


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
