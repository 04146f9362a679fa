"""Every recording of a real worker replays green, in-process and over real websockets."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from channel_server.testing.fixture import Fixture, load
from channel_server.testing.inprocess import InProcess
from channel_server.testing.replay import ActionHandler, Dial, Player, dial_url, replay
from handlers.application import Application
from handlers.seeds import Seeder

FOLDER = Path(__file__).parent.parent / "fixtures" / "worker"
PATHS = sorted(FOLDER.glob("*.jsonl"))
MakeSeeder = Callable[[Application], Seeder]

# Over the wire what the transport adds: reconnects, drains, refused upgrades, large bursts.
LIVE = ("01-", "02-", "25-", "34-", "46-", "55-", "69-", "80-", "81-", "85-")


def test_all_recordings_are_here() -> None:
    assert len(PATHS) == 29


async def play(fixture: Fixture, dial: Dial, seeder: Seeder, server: ActionHandler) -> None:
    async def enqueue(player: Player, arguments: dict[str, Any]) -> None:
        player.bindings |= await seeder.enqueue(arguments["run"])

    bindings = await seeder.plant(fixture.header.name, fixture.header.seed)
    actions = {"enqueue": enqueue, "server": server}
    (await replay(fixture, dial, bindings=bindings, actions=actions)).check()


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
async def test_a_recording_replays_in_process(
    path: Path, app: Application, app_server: InProcess, seed_app: MakeSeeder
) -> None:
    async def server(player: Player, arguments: dict[str, Any]) -> None:
        if arguments["state"] == "draining":
            await app_server.drain()
        else:
            app_server.ready = True

    await play(load(path), app_server.dial, seed_app(app), server)


@pytest.mark.parametrize(
    "path", [path for path in PATHS if path.stem.startswith(LIVE)], ids=lambda path: path.stem
)
async def test_a_recording_replays_over_websockets(
    path: Path, live_app: Application, seed_app: MakeSeeder
) -> None:
    async def server(player: Player, arguments: dict[str, Any]) -> None:
        live_app.endpoint.ready = arguments["state"] == "ready"
        if arguments["state"] == "draining":
            for connection in live_app.endpoint.connections():
                connection.drain()

    await play(load(path), dial_url(live_app.endpoint.url), seed_app(live_app), server)
