"""Inputs of jobs, kept under the hash of their content: a job may run again and reads the same."""

import asyncio
import hashlib
from typing import Final

from handlers.emissions.sheets import InputError
from pipelines import Connection
from pipelines.meta import clean_text

LARGEST_INPUT: Final = 64 * 1024 * 1024
"""Bytes of an input at most."""

_STORE: Final = """INSERT INTO ingest_inputs (content_hash, file_name, content)
VALUES ($1, $2, $3) ON CONFLICT (content_hash) DO NOTHING"""


async def store_input(connection: Connection, file_name: str, content: bytes) -> str:
    """Keep an input, once however often it is given, and return the hash to find it by.

    Raises:
        InputError: It is larger than 64 MiB.
    """
    if len(content) > LARGEST_INPUT:
        raise InputError(f"the input is larger than {LARGEST_INPUT} bytes")
    digest = await asyncio.to_thread(_digest, content)
    await connection.execute(_STORE, digest, clean_text(file_name, 255), content)
    return digest


async def load_input(connection: Connection, content_hash: str) -> bytes:
    """Return an input.

    Raises:
        InputError: There is no such input.
    """
    content: bytes | None = await connection.fetchval(
        "SELECT content FROM ingest_inputs WHERE content_hash = $1", content_hash
    )
    if content is None:
        raise InputError(f"no input {content_hash!r} is stored")
    return content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
