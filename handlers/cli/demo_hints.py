"""What the demo says: where to look at first, and what to do next."""

import shlex
import sys
from pathlib import Path

from channel_server.endpoint import Endpoint
from handlers.cli.dev_folder import WORKER_ENV_FILE, DevFolder


def welcome(link: str) -> str:
    """Return the text that the demo begins with.

    Args:
        link: Opens the dashboard, signed in.
    """
    return f"""
Watch it in a browser; this link signs you in, as a viewer, for a day:

  {link}

Orders trickle in for the page to show, which this terminal leaves out; Ctrl-C ends all of it.
"""


def hints(folder: DevFolder, endpoint: Endpoint, webhook: str, over: bool) -> str:
    """Return the text; every command in it works as it stands, in the folder of the demo.

    Args:
        folder: Where the files of the demo are.
        endpoint: The server.
        webhook: What to call for another run.
        over: Whether the two runs of the demo are over, or wait for a worker.
    """
    return f"""
{"Both runs are over." if over else "Two runs wait for a worker."} \
The server stays up at {endpoint.http_url} until Ctrl-C; more runs show up here.

Submit another run, from a second terminal:
  curl -s {webhook} -H 'content-type: application/json' -d '{{"id": 3, "quantity": 5}}'
  echo '{{"data": {{"id": 4, "quantity": 1}}}}' | {_command()} run order --input - --wait
  {_command()} runs list

Let a real OpenFn worker do the work (`{_command()} dev --demo --no-worker`
leaves it all of it):
  set -a; . {folder.path / WORKER_ENV_FILE}; set +a
  pnpm --dir KIT/packages/ws-worker start --repo-dir {folder.path.absolute() / "adaptors"}
KIT is a checkout of OpenFn's kit. The file sets WORKER_LIGHTNING_SERVICE_URL, WORKER_SECRET
and WORKER_LIGHTNING_PUBLIC_KEY.

Logs: {folder.path}/server.log, {folder.path}/worker.log. `make clean` forgets everything.
"""


def _command() -> str:
    program = Path(sys.argv[0])
    if program.name == "channel-server":
        try:
            return shlex.quote(str(program.absolute().relative_to(Path.cwd())))
        except ValueError:
            return shlex.quote(str(program))
    return f"{shlex.quote(sys.executable)} -m channel_server"
