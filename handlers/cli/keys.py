"""``keys``: the secrets of a deployment, for both sides."""

import argparse
import base64
import secrets
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from handlers.cli import exit_codes
from handlers.cli.output import Output
from handlers.cli.parsing import add_command


def register(commands: Any) -> None:
    """Add the command."""
    keys = commands.add_parser("keys", help="make the secrets that server and workers need")
    actions = keys.add_subparsers(metavar="ACTION", required=True)
    add_command(actions, "new", run, help="print new variables for the server and for workers")
    add_command(
        actions,
        "rotate-credentials",
        rotate,
        help="encrypt stored credentials with the current key",
    )


def run(_options: argparse.Namespace, out: Output) -> int:
    """Print new variables; nothing is stored."""
    server, worker = new_keys()
    if out.as_json:
        out.data({"server": server, "worker": worker})
        return exit_codes.OK
    out.say("# The server. Keep these secret; docs/operations.md says how to change them.")
    out.say("\n".join(f"{name}={value}" for name, value in server.items()))
    out.say("\n# Every worker.")
    out.say("\n".join(f"{name}={value}" for name, value in worker.items()))
    return exit_codes.OK


def rotate(options: argparse.Namespace, out: Output) -> int:
    """Encrypt stored credentials with the current key."""
    # Making keys needs no database, and none of what talks to one.
    from handlers.cli import keys_rotation

    return keys_rotation.run(options, out)


def new_keys() -> tuple[dict[str, str], dict[str, str]]:
    """Return new variables of the server and of its workers."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    secret = secrets.token_urlsafe(32)
    server = {
        "WORKER_SECRET": secret,
        "WORKER_RUNS_PRIVATE_KEY": base64.b64encode(private).decode(),
        "CHANNEL_SERVER_USER_SECRET": secrets.token_urlsafe(32),
        "CHANNEL_SERVER_CREDENTIALS_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
    }
    worker = {
        "WORKER_SECRET": secret,
        "WORKER_LIGHTNING_PUBLIC_KEY": base64.b64encode(public).decode(),
    }
    return server, worker
