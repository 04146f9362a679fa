"""What is wrong with a secret of the configuration; its value is never repeated."""

import base64
import binascii
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from channel_server.rsa_keys import load_pem

CREDENTIAL_KEY_BYTES: Final = 32
"""Length of the key that encrypts credential bodies."""

USER_TOKENS: Final = b"channel_server user tokens"
CREDENTIALS: Final = b"channel_server credentials"
"""What a key that is derived from the worker secret is for."""

_SHORTEST_SECRET = 16
_SMALLEST_RSA_KEY = 2048


def derive(worker_secret: str, purpose: bytes) -> bytes:
    """A key of 32 bytes for one purpose, made from the worker secret."""
    kdf = HKDF(hashes.SHA256(), length=CREDENTIAL_KEY_BYTES, salt=None, info=purpose)
    return kdf.derive(worker_secret.encode())


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
        credentials_key_problem("CHANNEL_SERVER_CREDENTIALS_KEY", credentials_key),
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
    return rsa_key_problem(name, encoded)


def rsa_key_problem(name: str, encoded: str, *, public: bool = False) -> str | None:
    """What is wrong with an RSA key, if anything.

    Args:
        name: Of the variable.
        encoded: PEM as base64; the empty text is no problem.
        public: Whether a public key will do.
    """
    if not encoded:
        return None
    try:
        pem = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return f"{name} must be a PEM file encoded as base64 on one line."
    kind = "key" if public else "private key"
    try:
        key: object = load_pem(pem)
    except ValueError:
        return f"{name} holds no unencrypted PEM {kind}."
    if not public and isinstance(key, RSAPublicKey):
        return f"{name} holds no unencrypted PEM {kind}."
    if not isinstance(key, RSAPrivateKey | RSAPublicKey):
        return f"{name} must be an RSA key."
    if key.key_size < _SMALLEST_RSA_KEY:
        return f"{name} must have at least {_SMALLEST_RSA_KEY} bits, not {key.key_size}."
    return None


def credentials_key_problem(name: str, encoded: str) -> str | None:
    """What is wrong with a key of credentials, if anything; the empty text is no problem."""
    if not encoded:
        return None
    try:
        size = len(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError):
        size = -1
    if size == CREDENTIAL_KEY_BYTES:
        return None
    return f"{name} must be 32 bytes encoded as base64."
