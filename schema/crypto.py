"""Credential bodies at rest: AES-256-GCM, with the id of the key beside the ciphertext.

To change the key, make the new one current and keep the old one as a previous one until nothing is
stored under its id any more. A key's id is a fingerprint of the key, so none has to be configured.
"""

import hashlib
import os
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class UnknownKeyError(Exception):
    """A body was encrypted with a key that we were not given.

    Attributes:
        key_id: Id of that key.
    """

    def __init__(self, key_id: str) -> None:
        super().__init__(key_id)
        self.key_id = key_id

    def __str__(self) -> str:
        return f"a credential is encrypted with the key {self.key_id!r}, which is not configured"


class DecryptionError(Exception):
    """A body was changed, cut, or belongs to another context."""

    def __str__(self) -> str:
        return "a credential cannot be decrypted: it was changed since it was stored"


class Sealed(NamedTuple):
    """An encrypted body.

    Attributes:
        key_id: Id of the key that opens it.
        body: Nonce and ciphertext.
    """

    key_id: str
    body: bytes


class Cipher:
    """Encrypts with the current key, decrypts with any that it was given.

    Args:
        current: The key to encrypt with, 32 bytes.
        *previous: Keys that are only still read.

    Raises:
        ValueError: A key is not 32 bytes long.
    """

    def __init__(self, current: bytes, *previous: bytes) -> None:
        if any(len(key) != KEY_BYTES for key in (current, *previous)):
            raise ValueError(f"a key has {KEY_BYTES} bytes")
        self.key_id = _key_id(current)
        self._keys = {_key_id(key): AESGCM(key) for key in (current, *previous)}

    def encrypt(self, plain: bytes, *, context: str = "") -> Sealed:
        """Encrypt a body.

        Args:
            plain: The body.
            context: What it belongs to, such as the id of its credential; it opens only there.
        """
        # 96 random bits per message: safe for 2**32 messages under one key.
        nonce = os.urandom(_NONCE_BYTES)
        body = nonce + self._keys[self.key_id].encrypt(nonce, plain, context.encode())
        return Sealed(self.key_id, body)

    def decrypt(self, sealed: Sealed, *, context: str = "") -> bytes:
        """Decrypt a body.

        Raises:
            UnknownKeyError: We do not have its key.
            DecryptionError: It is not what was stored, or not in this context.
        """
        if sealed.key_id not in self._keys:
            raise UnknownKeyError(sealed.key_id)
        nonce, ciphertext = sealed.body[:_NONCE_BYTES], sealed.body[_NONCE_BYTES:]
        try:
            return self._keys[sealed.key_id].decrypt(nonce, ciphertext, context.encode())
        except (InvalidTag, ValueError):
            raise DecryptionError from None

    def stale(self, sealed: Sealed) -> bool:
        """Say whether a body should be encrypted anew because its key is not the current one."""
        return sealed.key_id != self.key_id


def _key_id(key: bytes) -> str:
    return hashlib.blake2b(key, digest_size=6, person=b"credential key").hexdigest()
