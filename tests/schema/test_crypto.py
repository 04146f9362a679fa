import os

import pytest

from schema.crypto import Cipher, DecryptionError, Sealed, UnknownKeyError

KEY, OTHER = os.urandom(32), os.urandom(32)
BODY = b'{"password":"canary"}'


def test_body_comes_back_and_is_not_stored_in_clear() -> None:
    sealed = Cipher(KEY).encrypt(BODY, context="c1")
    assert b"canary" not in sealed.body
    assert Cipher(KEY).decrypt(sealed, context="c1") == BODY


def test_same_body_is_never_encrypted_the_same() -> None:
    cipher = Cipher(KEY)
    assert cipher.encrypt(BODY).body != cipher.encrypt(BODY).body


def test_body_opens_only_where_it_belongs() -> None:
    cipher = Cipher(KEY)
    with pytest.raises(DecryptionError, match="changed"):
        cipher.decrypt(cipher.encrypt(BODY, context="c1"), context="c2")


@pytest.mark.parametrize("position", [0, 12, -1])
def test_changed_body_is_refused(position: int) -> None:
    cipher = Cipher(KEY)
    sealed = cipher.encrypt(BODY)
    changed = bytearray(sealed.body)
    changed[position] ^= 1
    with pytest.raises(DecryptionError):
        cipher.decrypt(sealed._replace(body=bytes(changed)))


@pytest.mark.parametrize("body", [b"", b"short", b"x" * 12])
def test_cut_body_is_refused(body: bytes) -> None:
    cipher = Cipher(KEY)
    with pytest.raises(DecryptionError):
        cipher.decrypt(Sealed(cipher.key_id, body))


def test_previous_key_still_opens_and_is_known_to_be_stale() -> None:
    old = Cipher(KEY).encrypt(BODY)
    rotated = Cipher(OTHER, KEY)
    assert rotated.decrypt(old) == BODY
    assert rotated.stale(old)
    assert not rotated.stale(rotated.encrypt(BODY))


def test_key_that_was_taken_away_is_named() -> None:
    sealed = Cipher(KEY).encrypt(BODY)
    with pytest.raises(UnknownKeyError, match=sealed.key_id):
        Cipher(OTHER).decrypt(sealed)


def test_id_of_a_key_does_not_give_it_away() -> None:
    assert KEY.hex()[:12] not in Cipher(KEY).key_id
    assert Cipher(KEY).key_id == Cipher(KEY, OTHER).key_id != Cipher(OTHER).key_id


def test_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Cipher(KEY, b"short")
