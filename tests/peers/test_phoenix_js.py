"""npm `phoenix`, the official client, speaks V2 with us: today's, and the one that workers pin."""

import pytest
from pytest_asyncio import fixture as async_fixture

from channel_server.endpoint import Endpoint, Mount
from channel_server.testing.rooms import RoomSocket
from tests.peers.peer_process import Everybody, PeerProcess, StartPeer

pytestmark = pytest.mark.peers

LIBRARIES = ("phoenix", "phoenix-1.7")


@async_fixture(params=LIBRARIES)
async def peer(request: pytest.FixtureRequest, everybody: Everybody) -> PeerProcess:
    return await everybody.peer(request.param)


async def join(peer: PeerProcess, room: str) -> None:
    status, _ = await peer.ask("join", topic=room, listen=["shouted", "whispered"])
    assert status == "ok"


async def test_it_joins_and_gets_the_response(peer: PeerProcess, room: str) -> None:
    answer = await peer.ask("join", topic=room, payload={"nick": "ada"})
    assert answer == ("ok", {"room": room, "got": {"nick": "ada"}})


async def test_it_pushes_and_gets_the_reply(peer: PeerProcess, room: str) -> None:
    await join(peer, room)
    payload = {"text": "é☃😀", "deep": [{"n": 1.5}, None]}
    assert await peer.ask("push", topic=room, event="echo", payload=payload) == ("ok", payload)


async def test_it_gets_an_error_reply(peer: PeerProcess, room: str) -> None:
    await join(peer, room)
    answer = await peer.ask("push", topic=room, event="fail")
    assert answer == ("error", {"reason": "failed"})


async def test_it_pushes_binary_and_gets_binary(peer: PeerProcess, room: str) -> None:
    await join(peer, room)
    answer = await peer.ask("push_binary", topic=room, event="echo", hex="0001ff")
    assert answer == ("ok", {"binary": "0001ff"})
    peer.tell("push_binary", topic=room, event="whisper", hex="02")
    pushed = await peer.wait(event="message", topic=room, name="whispered")
    assert pushed["payload"] == {"binary": "02"}
    await peer.ask("push_binary", topic=room, event="shout", hex="03")
    broadcast = await peer.wait(event="message", topic=room, name="shouted")
    assert broadcast["payload"] == {"binary": "03"}


async def test_it_gets_pushes_and_broadcasts(peer: PeerProcess, room: str) -> None:
    await join(peer, room)
    peer.tell("cast", topic=room, event="whisper", payload={"n": 1})
    assert (await peer.wait(event="message", topic=room, name="whispered"))["payload"] == {"n": 1}
    await peer.ask("push", topic=room, event="shout", payload={"n": 2})
    assert (await peer.wait(event="message", topic=room, name="shouted"))["payload"] == {"n": 2}


async def test_a_refused_join_is_an_error(peer: PeerProcess, room: str) -> None:
    answer = await peer.ask("join", topic=room, payload={"refuse": True})
    assert answer == ("error", {"reason": "refused"})
    answer = await peer.ask("join", topic="lobby")
    assert answer == ("error", {"reason": "unmatched topic"})


async def test_it_joins_again_after_a_crash(peer: PeerProcess, room: str) -> None:
    await join(peer, room)
    peer.tell("cast", topic=room, event="crash")
    await peer.wait(event="channel_error", topic=room, reason={"reason": "channel_crash"})
    assert (await peer.ask("push", topic=room, event="echo"))[0] == "ok"


@pytest.mark.parametrize("library", LIBRARIES)
async def test_it_joins_again_after_a_server_restart(
    rooms: Endpoint, start_peer: StartPeer, library: str, room: str
) -> None:
    peer = await start_peer(library, f"{rooms.url}/socket")
    await join(peer, room)
    await rooms.stop()
    assert (await peer.wait(event="closed"))["code"] == 1012
    again = Endpoint([Mount("/socket", RoomSocket)], port=rooms.port, drain_window=0)
    await again.start()
    try:
        await peer.wait(event="open")
        answer = await peer.ask("push", topic=room, event="echo", payload={"back": True})
        assert answer == ("ok", {"back": True})
    finally:
        await again.stop(drain=False)


async def test_it_leaves_and_is_told_of_the_close(
    everybody: Everybody, peer: PeerProcess, room: str
) -> None:
    await join(peer, room)
    assert room in everybody.topics()
    assert (await peer.ask("leave", topic=room))[0] == "ok"
    await peer.wait(event="channel_closed", topic=room)
    assert room not in everybody.topics()
