"""The decoders, fed with anything: a message, or a malformed frame with a documented code.

`corpus/` keeps inputs that were interesting once, one file each; what is found to break a decoder
goes there. `make fuzz SECONDS=60` looks for more, and adds it.
"""

import random
import time
from itertools import islice
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channel_server.log import redact_text
from channel_server.tokens import Key, TokenError, Verifier
from channel_server.transport.query import BadQueryError, decode_query
from channel_server.transport.subprotocols import BadTokenError, parse_offer
from tests.attack.mutants import CORPUS, DECODERS, check, mutants, seeds

SEEDS: Final = sorted(CORPUS.iterdir())
INPUTS: Final = 6_000
"""How many mutants of the corpus each decoder is fed with; always the same ones."""


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: path.name)
@pytest.mark.parametrize("decoder", DECODERS)
def test_what_was_interesting_once_is_a_message_or_malformed(decoder: str, seed: Path) -> None:
    check(DECODERS[decoder], seed.read_bytes())


@pytest.mark.parametrize("decoder", DECODERS)
def test_mutants_of_the_corpus_are_messages_or_malformed(decoder: str) -> None:
    source = mutants(seeds(), random.Random(decoder))
    for data in islice(source, INPUTS):
        check(DECODERS[decoder], data)


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
