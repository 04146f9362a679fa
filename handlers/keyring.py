"""The keys of a deployment, current and previous, as what uses them: verifiers and a cipher.

While `WORKER_SECRET` is replaced, keys that were derived from the previous one count as previous
too, so that nobody is sent away and nothing becomes unreadable.
"""

import base64

from handlers.config import Settings
from handlers.revocations import Revocations
from handlers.run_tokens import Previous, RunTokens, UserTokens, WorkerTokens
from handlers.settings_secrets import CREDENTIALS, USER_TOKENS, derive
from schema.crypto import Cipher


def worker_tokens(settings: Settings, known: Revocations) -> WorkerTokens:
    """Checks worker tokens by the current secret and the previous one."""
    older = _previous(settings, settings.worker_secret_previous.encode())
    return WorkerTokens(settings.worker_secret, previous=older, revoked=known.worker)


def run_tokens(settings: Settings) -> RunTokens:
    """Signs with the current key, verifies with the previous one too."""
    pem = base64.b64decode(settings.worker_runs_private_key_previous)
    return RunTokens(settings.private_key_pem(), previous=_previous(settings, pem))


def user_tokens(settings: Settings, known: Revocations) -> UserTokens:
    """Signs with the current key, verifies with the previous one too."""
    key = settings.user_secret_previous.encode()
    if not key and not settings.user_secret and settings.worker_secret_previous:
        key = derive(settings.worker_secret_previous, USER_TOKENS)
    return UserTokens(settings.user_key(), previous=_previous(settings, key), revoked=known.user)


def cipher(settings: Settings) -> Cipher:
    """Encrypts with the current key, decrypts with whatever may have been the key before.

    There is no end to this: to refuse to read what is stored would protect nobody.
    """
    secrets = (settings.worker_secret, settings.worker_secret_previous)
    older = [derive(secret, CREDENTIALS) for secret in secrets if secret]
    if settings.credentials_key_previous:
        older.append(base64.b64decode(settings.credentials_key_previous))
    return Cipher(settings.credential_key(), *older)


def _previous(settings: Settings, key: bytes) -> Previous | None:
    until = settings.previous_end()
    return Previous(key, until) if key and until is not None else None
