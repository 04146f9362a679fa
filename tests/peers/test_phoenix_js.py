"""npm `phoenix`, the official client, speaks V2 with us: today's, and the one that workers pin."""

import pytest

from channel_server.endpoint import Endpoint, Mount
from channel_server.testing.rooms import RoomSocket
from tests.peers.peer_process import PeerProcess, StartPeer

pytestmark = pytest.mark.peers

ROOM = "room:1"


@pytest.fixture(params=["phoenix", "phoenix-1.7"])
async def peer(
    request: pytest.FixtureRequest, rooms: Endpoint, start_peer: StartPeer
) -> PeerProcess:
    return await start_peer(request.param, f"{rooms.url}/socket")


async def join(peer: PeerProcess, **arguments: object) -> None:
    listen = ["shouted", "whispered"]
    status, _ = await peer.ask("join", topic=ROOM, listen=listen, **arguments)
    assert status == "ok"


async def test_it_joins_and_gets_the_response(peer: PeerProcess) -> None:
    answer = await peer.ask("join", topic=ROOM, payload={"nick": "ada"})
    assert answer == ("ok", {"room": ROOM, "got": {"nick": "ada"}})


async def test_it_pushes_and_gets_the_reply(peer: PeerProcess) -> None:
    await join(peer)
    payload = {"text": "é☃😀", "deep": [{"n": 1.5}, None]}
    assert await peer.ask("push", topic=ROOM, event="echo", payload=payload) == ("ok", payload)


async def test_it_gets_an_error_reply(peer: PeerProcess) -> None:
    await join(peer)
    answer = await peer.ask("push", topic=ROOM, event="fail")
    assert answer == ("error", {"reason": "failed"})


async def test_it_pushes_binary_and_gets_binary(peer: PeerProcess) -> None:
    await join(peer)
    answer = await peer.ask("push_binary", topic=ROOM, event="echo", hex="0001ff")
    assert answer == ("ok", {"binary": "0001ff"})
    peer.tell("push_binary", topic=ROOM, event="whisper", hex="02")
    pushed = await peer.wait(event="message", name="whispered")
    assert pushed["payload"] == {"binary": "02"}
    await peer.ask("push_binary", topic=ROOM, event="shout", hex="03")
    broadcast = await peer.wait(event="message", name="shouted")
    assert broadcast["payload"] == {"binary": "03"}


async def test_it_gets_pushes_and_broadcasts(peer: PeerProcess) -> None:
    await join(peer)
    peer.tell("cast", topic=ROOM, event="whisper", payload={"n": 1})
    assert (await peer.wait(event="message", name="whispered"))["payload"] == {"n": 1}
    await peer.ask("push", topic=ROOM, event="shout", payload={"n": 2})
    assert (await peer.wait(event="message", name="shouted"))["payload"] == {"n": 2}


async def test_a_refused_join_is_an_error(peer: PeerProcess) -> None:
    answer = await peer.ask("join", topic=ROOM, payload={"refuse": True})
    assert answer == ("error", {"reason": "refused"})
    answer = await peer.ask("join", topic="lobby")
    assert answer == ("error", {"reason": "unmatched topic"})


async def test_it_joins_again_after_a_crash(peer: PeerProcess) -> None:
    await join(peer)
    peer.tell("cast", topic=ROOM, event="crash")
    await peer.wait(event="channel_error", reason={"reason": "channel_crash"})
    assert (await peer.ask("push", topic=ROOM, event="echo"))[0] == "ok"


async def test_it_joins_again_after_a_server_restart(rooms: Endpoint, peer: PeerProcess) -> None:
    await join(peer)
    await rooms.stop()
    assert (await peer.wait(event="closed"))["code"] == 1012
    again = Endpoint([Mount("/socket", RoomSocket)], port=rooms.port, drain_window=0)
    await again.start()
    try:
        await peer.wait(event="open")
        answer = await peer.ask("push", topic=ROOM, event="echo", payload={"back": True})
        assert answer == ("ok", {"back": True})
    finally:
        await again.stop(drain=False)


async def test_it_leaves_and_is_told_of_the_close(rooms: Endpoint, peer: PeerProcess) -> None:
    await join(peer)
    assert (await peer.ask("leave", topic=ROOM))[0] == "ok"
    await peer.wait(event="channel_closed", topic=ROOM)
    (connection,) = rooms.connections()
    assert connection.topics() == []
