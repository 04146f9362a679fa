"""The configuration: one struct, precise sentences, no secret repeated."""

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from handlers.config import ConfigError, Settings, environment_names, settings_table

PRIVATE = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    text = key.private_bytes(*PRIVATE, serialization.NoEncryption())
    return base64.b64encode(text).decode()


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    return {
        "DATABASE_URL": "postgresql://localhost/app",
        "WORKER_SECRET": "a secret of thirty-two characters",
        "WORKER_RUNS_PRIVATE_KEY": pem(rsa.generate_private_key(65537, 2048)),
    }


def problems(environ: dict[str, str], **overrides: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        Settings.load(environ, **overrides)
    return caught.value.problems


def test_three_variables_are_enough(environ: dict[str, str]) -> None:
    settings = Settings.load(environ)
    assert (settings.host, settings.port) == ("127.0.0.1", 4000)
    assert settings.unheard_claim_after == 10.0
    assert settings.late_completion == "accept"
    assert settings.private_key_pem().startswith(b"-----BEGIN PRIVATE KEY-----")


def test_all_missing_secrets_are_named_at_once() -> None:
    assert [problem.split()[0] for problem in problems({})] == [
        "DATABASE_URL",
        "WORKER_SECRET",
        "WORKER_RUNS_PRIVATE_KEY",
    ]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("CHANNEL_SERVER_PORT", "99999", "must be a whole number of at most 65535, not 99999."),
        ("CHANNEL_SERVER_PORT", "http", "must be a whole number, not 'http'."),
        ("CHANNEL_SERVER_RUN_TIMEOUT", "0", "must be a number greater than 0, not 0."),
        ("CHANNEL_SERVER_RUN_GRACE", "nan", "must be a number that is finite, not nan."),
        ("CHANNEL_SERVER_RUN_GRACE", "-1", "must be a number of at least 0, not -1."),
        (
            "CHANNEL_SERVER_LATE_COMPLETION",
            "maybe",
            "must be one of accept, reject, acknowledge, not 'maybe'.",
        ),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(
    environ: dict[str, str], name: str, value: str, sentence: str
) -> None:
    assert problems(environ | {name: value}) == [f"{name} {sentence}"]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DATABASE_URL", "mysql://x", "must start with postgresql://."),
        ("WORKER_SECRET", "short", "must have at least 16 characters."),
        ("WORKER_RUNS_PRIVATE_KEY", "%%%", "must be a PEM file encoded as base64 on one line."),
        ("WORKER_RUNS_PRIVATE_KEY", "aGVsbG8=", "holds no unencrypted PEM private key."),
        ("CHANNEL_SERVER_USER_SECRET", "short", "must have at least 16 characters."),
        ("CHANNEL_SERVER_CREDENTIALS_KEY", "aGVsbG8=", "must be 32 bytes encoded as base64."),
        ("CHANNEL_SERVER_CREDENTIALS_KEY", "%%", "must be 32 bytes encoded as base64."),
    ],
)
def test_a_wrong_secret_is_refused_without_repeating_it(
    environ: dict[str, str], name: str, value: str, sentence: str
) -> None:
    assert problems(environ | {name: value}) == [f"{name} {sentence}"]


def test_run_tokens_need_an_rsa_key_of_2048_bits(environ: dict[str, str]) -> None:
    name = "WORKER_RUNS_PRIVATE_KEY"
    curve = pem(ec.generate_private_key(ec.SECP256R1()))
    small = pem(rsa.generate_private_key(65537, 1024))  # noqa: S505 - it must be refused
    assert problems(environ | {name: curve}) == [f"{name} must be an RSA key."]
    assert problems(environ | {name: small}) == [f"{name} must have at least 2048 bits, not 1024."]


def test_overrides_win_and_are_checked_too(environ: dict[str, str]) -> None:
    assert Settings.load(environ | {"CHANNEL_SERVER_PORT": "1"}, port=0).port == 0
    assert problems(environ, port=-1) == [
        "CHANNEL_SERVER_PORT must be a whole number of at least 0, not -1."
    ]


def test_an_empty_variable_counts_as_absent(environ: dict[str, str]) -> None:
    assert Settings.load(environ | {"CHANNEL_SERVER_PORT": ""}).port == 4000


def test_origins_are_a_list_with_commas(environ: dict[str, str]) -> None:
    settings = Settings.load(environ | {"CHANNEL_SERVER_CHECK_ORIGIN": "a.example, *.b.example"})
    assert settings.check_origin == ("a.example", "*.b.example")


def test_derived_keys_differ_from_each_other_and_from_the_secret(environ: dict[str, str]) -> None:
    settings = Settings.load(environ)
    keys = {settings.user_key(), settings.credential_key(), settings.worker_secret.encode()}
    assert len(keys) == 3
    assert len(settings.credential_key()) == 32


def test_configured_keys_are_used_as_they_are(environ: dict[str, str]) -> None:
    settings = Settings.load(
        environ
        | {
            "CHANNEL_SERVER_USER_SECRET": "another secret, long enough",
            "CHANNEL_SERVER_CREDENTIALS_KEY": base64.b64encode(bytes(range(32))).decode(),
        }
    )
    assert settings.user_key() == b"another secret, long enough"
    assert settings.credential_key() == bytes(range(32))


def test_every_setting_is_a_row_of_the_table() -> None:
    rows = settings_table().splitlines()[2:]
    assert len(rows) == len(Settings.__struct_fields__) == len(set(environment_names()))
    assert all(row.rstrip(" |").endswith(".") for row in rows)
    assert "| `CHANNEL_SERVER_RUN_TIMEOUT` | `300` | s | " in settings_table()
