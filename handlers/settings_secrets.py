"""What is wrong with a secret of the configuration; its value is never repeated."""

import base64
import binascii
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

CREDENTIAL_KEY_BYTES: Final = 32
"""Length of the key that encrypts credential bodies."""

_SHORTEST_SECRET = 16
_SMALLEST_RSA_KEY = 2048


def secret_problems(
    *,
    database_url: str,
    worker_secret: str,
    private_key: str,
    user_secret: str,
    credentials_key: str,
) -> list[str]:
    """One sentence for each secret that is missing or cannot be used."""
    checks = (
        _database_problem(database_url),
        _worker_secret_problem(worker_secret),
        _private_key_problem(private_key),
        _user_secret_problem(user_secret, worker_secret),
        _credentials_key_problem(credentials_key),
    )
    return [problem for problem in checks if problem is not None]


def _database_problem(url: str) -> str | None:
    if not url:
        return "DATABASE_URL is not set; give postgresql://user:password@host:port/name."
    if not url.startswith(("postgresql://", "postgres://")):
        return "DATABASE_URL must start with postgresql://."
    return None


def _worker_secret_problem(secret: str) -> str | None:
    if not secret:
        return "WORKER_SECRET is not set; `channel-server keys new` makes one."
    if len(secret) < _SHORTEST_SECRET:
        return f"WORKER_SECRET must have at least {_SHORTEST_SECRET} characters."
    return None


def _user_secret_problem(secret: str, worker_secret: str) -> str | None:
    if secret and secret == worker_secret:  # each dashboard token would be a worker token
        return "CHANNEL_SERVER_USER_SECRET must differ from WORKER_SECRET."
    if secret and len(secret) < _SHORTEST_SECRET:
        return f"CHANNEL_SERVER_USER_SECRET must have at least {_SHORTEST_SECRET} characters."
    return None


def _private_key_problem(encoded: str) -> str | None:
    name = "WORKER_RUNS_PRIVATE_KEY"
    if not encoded:
        return f"{name} is not set; `channel-server keys new` makes one."
    try:
        pem = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return f"{name} must be a PEM file encoded as base64 on one line."
    try:
        key: object = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        return f"{name} holds no unencrypted PEM private key."
    if not isinstance(key, RSAPrivateKey):
        return f"{name} must be an RSA key."
    if key.key_size < _SMALLEST_RSA_KEY:
        return f"{name} must have at least {_SMALLEST_RSA_KEY} bits, not {key.key_size}."
    return None


def _credentials_key_problem(encoded: str) -> str | None:
    if not encoded:
        return None
    try:
        size = len(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError):
        size = -1
    if size == CREDENTIAL_KEY_BYTES:
        return None
    return "CHANNEL_SERVER_CREDENTIALS_KEY must be 32 bytes encoded as base64."
