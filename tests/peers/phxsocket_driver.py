"""Drives the PyPI client `phxsocket` (V1, threads, integer refs) like `driver.cjs` drives npm's.

python phxsocket_driver.py ws://host:port/socket
"""

import json
import sys
from typing import Any

from phxsocket import Client  # pyright: ignore[reportMissingTypeStubs] - it has no types


def say(**value: Any) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main(url: str) -> None:
    """Obey until stdin ends."""
    client: Any = Client(f"{url}/websocket", {"from": "phxsocket"})
    client.connect()
    say(event="open")
    channels: dict[str, Any] = {}
    for line in sys.stdin:
        command: dict[str, Any] = json.loads(line)
        obey(client, channels, command)
        if command["do"] == "close":
            break
    client.close()


def obey(client: Any, channels: dict[str, Any], command: dict[str, Any]) -> None:
    """Carry out one command."""
    topic = command.get("topic", "")
    match command["do"]:
        case "join":
            join(client, channels, command)
        case "push":
            pushed = channels[topic].push(command["event"], command.get("payload", {}), reply=True)
            answer(command["id"], pushed)
        case "cast":
            channels[topic].push(command["event"], command.get("payload", {}))
        case "leave":
            answer(command["id"], client.push(topic, "phx_leave", {}, reply=True))
        case _:
            pass


def join(client: Any, channels: dict[str, Any], command: dict[str, Any]) -> None:
    """Join, and report the events that are asked for."""
    topic = command["topic"]
    channel = channels[topic] = client.channel(topic, command.get("payload", {}))

    def report(name: str) -> Any:
        def tell(payload: Any) -> None:
            say(event="message", topic=topic, name=name, payload=payload)

        return tell

    for name in command.get("listen", []):
        channel.on(name, report(name))

    def crashed(payload: Any) -> None:
        say(event="channel_error", topic=topic, reason=payload)

    channel.on("phx_error", crashed)
    channel.on_close = lambda: say(event="channel_closed", topic=topic)
    answer(command["id"], client.push(topic, "phx_join", command.get("payload", {}), reply=True))


def answer(id_: int, pushed: Any) -> None:
    """Report a reply, waiting for it at most 10 s."""
    if pushed.event.wait(10):
        say(id=id_, status=pushed.message["status"], response=pushed.message["response"])
    else:
        say(id=id_, status="timeout")


if __name__ == "__main__":
    main(sys.argv[1])
