"""RSA keys read from PEM, each once: checking a private key takes as long as many messages."""

from functools import lru_cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes


class KeyFormatError(ValueError):
    """A text that is no key of the kind that is needed."""


@lru_cache(maxsize=8)
def load_pem(pem: bytes) -> PrivateKeyTypes | PublicKeyTypes:
    """Read and check a key of any kind; the last ones are kept.

    Args:
        pem: An unencrypted private key, or a public one.

    Raises:
        KeyFormatError: It is neither.
    """
    try:
        if b"PUBLIC KEY" in pem:
            return serialization.load_pem_public_key(pem)
        return serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as error:
        raise KeyFormatError("no unencrypted key in PEM") from error


def load_rsa(pem: bytes) -> RSAPrivateKey | RSAPublicKey:
    """Read and check an RSA key.

    Raises:
        KeyFormatError: It is none, or it is encrypted.
    """
    key = load_pem(pem)
    if isinstance(key, RSAPrivateKey | RSAPublicKey):
        return key
    raise KeyFormatError("the key is no RSA key")
