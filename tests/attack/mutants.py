"""Mutants of the corpus, by seed, and what a decoder may make of them.

As a program, it feeds the decoders for as long as it is told, and keeps what breaks one in the
corpus: ``python -m tests.attack.mutants SECONDS [SEED]``, or ``make fuzz SECONDS=60``.
"""

import hashlib
import random
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from channel_server.errors import EncodeError, MalformedFrame
from channel_server.message import Message
from channel_server.serializer import V1, V2

CORPUS: Final = Path(__file__).parent / "corpus"
CODES: Final = {1003, 1007, 1008}

Decode = Callable[[bytes], Message]

DECODERS: Final[dict[str, Decode]] = {
    "V2 text": V2().decode_text,
    "V2 binary": V2().decode_binary,
    "V1 text": V1().decode_text,
    "V1 binary": V1().decode_binary,
    "V2 text, 256 deep": V2(256).decode_text,
}

_PIECES: Final = (b"[", b'"', b"\\u", b"\\ud8", b"\xff", b"9" * 20, b"\0")
_LONGEST: Final = 4096


def seeds() -> list[bytes]:
    """What is in the corpus."""
    return [path.read_bytes() for path in sorted(CORPUS.iterdir())]


def check(decode: Decode, data: bytes) -> None:
    """Decode, and answer if it is a message; nothing else may be raised."""
    malformed = unanswerable = None
    try:
        message = decode(data)
        V2().encode_reply(message.join_ref, message.ref, message.topic, "ok", {})
    except MalformedFrame as error:
        malformed = error
    except EncodeError as error:
        unanswerable = error
    if malformed is not None:
        assert malformed.close_code in CODES
        assert 0 < len(malformed.reason) < 200
    if unanswerable is not None:
        assert unanswerable.by_client or unanswerable.field == "topic"


def mutants(of: list[bytes], rng: random.Random) -> Iterator[bytes]:
    """Changed copies, without end."""
    while True:
        data = bytearray(rng.choice(of))
        for _ in range(rng.randint(1, 6)):
            _mutate(data, of, rng)
        yield bytes(data[:_LONGEST])


def _mutate(data: bytearray, of: list[bytes], rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    kind = rng.randrange(5)
    if kind == 0 and data:
        data[at % len(data)] = rng.randrange(256)
    elif kind == 1:
        data[at:at] = rng.choice(_PIECES)
    elif kind == 2:
        del data[at : at + rng.randint(1, 8)]
    elif kind == 3:
        data[at:at] = data[at : at + rng.randint(1, 64)]
    else:
        other = rng.choice(of)
        data[at:] = other[rng.randrange(len(other) + 1) :]


def fuzz(seconds: float, seed: str) -> int:
    """Feed all decoders; the number of inputs that broke one, each kept in the corpus."""
    until, count, broken = time.monotonic() + seconds, 0, 0
    source = mutants(seeds(), random.Random(seed))
    while count % 256 or time.monotonic() < until:
        data = next(source)
        count += 1
        for name, decode in DECODERS.items():
            try:
                check(decode, data)
            except Exception as error:
                broken += 1
                kept = CORPUS / f"found_{hashlib.blake2b(data, digest_size=6).hexdigest()}"
                kept.write_bytes(data)
                sys.stdout.write(f"{name}: {error!r}, kept as {kept.name}\n")
    sys.stdout.write(f"{count} inputs for {len(DECODERS)} decoders, seed {seed}: {broken} broken\n")
    return broken


if __name__ == "__main__":
    chosen = sys.argv[2] if len(sys.argv) > 2 and sys.argv[2] else secrets.token_hex(4)
    sys.exit(min(1, fuzz(float(sys.argv[1]), chosen)))
