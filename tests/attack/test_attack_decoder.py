"""The decoders, fed with anything: a message, or a malformed frame with a documented code.

`corpus/` keeps inputs that were interesting once, one file each; what is found to break a decoder
goes there.
"""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channel_server.errors import EncodeError, MalformedFrame
from channel_server.log import redact_text
from channel_server.message import Message
from channel_server.serializer import V1, V2
from channel_server.tokens import Key, TokenError, Verifier
from channel_server.transport.query import BadQueryError, decode_query
from channel_server.transport.subprotocols import BadTokenError, parse_offer

CORPUS: Final = Path(__file__).parent / "corpus"
SEEDS: Final = sorted(CORPUS.iterdir())
CODES: Final = {1003, 1007, 1008}
SECONDS: Final = 1.0
"""How long each decoder is fed with mutants of the corpus."""

Decode = Callable[[bytes], Message]

DECODERS: Final[dict[str, Decode]] = {
    "V2 text": V2().decode_text,
    "V2 binary": V2().decode_binary,
    "V1 text": V1().decode_text,
    "V1 binary": V1().decode_binary,
    "V2 text, 256 deep": V2(256).decode_text,
}


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


def mutants(seeds: list[bytes], rng: random.Random) -> Iterator[bytes]:
    """Changed copies of the corpus, without end."""
    while True:
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 6)):
            at = rng.randrange(len(data) + 1)
            kind = rng.randrange(5)
            if kind == 0 and data:
                data[at % len(data)] = rng.randrange(256)
            elif kind == 1:
                data[at:at] = rng.choice([b"[", b'"', b"\\u", b"\\ud8", b"\xff", b"9" * 20, b"\0"])
            elif kind == 2:
                del data[at : at + rng.randint(1, 8)]
            elif kind == 3:
                data[at:at] = data[at : at + rng.randint(1, 64)]
            else:
                other = rng.choice(seeds)
                data[at:] = other[rng.randrange(len(other) + 1) :]
        yield bytes(data[:4096])


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: path.name)
@pytest.mark.parametrize("decoder", DECODERS)
def test_what_was_interesting_once_is_a_message_or_malformed(decoder: str, seed: Path) -> None:
    check(DECODERS[decoder], seed.read_bytes())


@pytest.mark.parametrize("decoder", DECODERS)
def test_mutants_of_the_corpus_are_messages_or_malformed(decoder: str) -> None:
    seeds = [path.read_bytes() for path in SEEDS]
    until = time.monotonic() + SECONDS
    for count, data in enumerate(mutants(seeds, random.Random(decoder))):
        check(DECODERS[decoder], data)
        if count % 256 == 0 and time.monotonic() > until:
            return


@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_malformed(data: bytes) -> None:
    for decode in DECODERS.values():
        check(decode, data)


@given(st.text(st.characters(max_codepoint=255), max_size=300))
def test_any_query_is_decoded_or_bad(query: str) -> None:
    try:
        decode_query(query)
    except BadQueryError:
        pass


@given(st.lists(st.text(max_size=100), max_size=3), st.booleans())
def test_any_protocol_header_is_an_offer_or_a_bad_token(headers: list[str], auth: bool) -> None:
    for values in (headers, [f"base64url.bearer.phx.{value}" for value in headers]):
        try:
            parse_offer(values, auth_token=auth)
        except BadTokenError:
            pass


VERIFIER: Final = Verifier([Key.hs256("a secret that is long enough, yes")])


@given(st.text(max_size=80) | st.lists(st.text(max_size=30), min_size=3, max_size=3).map(".".join))
@settings(max_examples=300)
def test_any_text_is_no_token(token: str) -> None:
    with pytest.raises(TokenError):
        VERIFIER.verify(token)


@pytest.mark.parametrize(
    "unit", ["eyJ", "eyJ.", "-eyJ", "eyJaaaaa.", "token=", "token", "bearer ", "Bearer\t", "%5D="]
)
def test_text_of_any_kind_is_redacted_in_linear_time(unit: str) -> None:
    started = time.process_time()
    redact_text(unit * 100_000)
    assert time.process_time() - started < 0.2


@pytest.mark.parametrize("data", [b"[", b'{"a":', b'["', b'"\\"', b"\\", b'"[', b"[]", b"[{", b"]"])
@pytest.mark.parametrize("decoder", ["V2 text", "V2 text, 256 deep", "V1 text"])
def test_64_kib_of_one_kind_are_decoded_at_once(decoder: str, data: bytes) -> None:
    started = time.process_time()
    check(DECODERS[decoder], data * (65_536 // len(data)))
    assert time.process_time() - started < 0.2
