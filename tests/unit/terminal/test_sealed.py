"""Sealed files: what opens them, what does not, and that each failure has its own error."""

import hashlib
import time

import pytest

from salus.codec import encode
from salus.errors import DamagedFile, WalletError, WrongPassphrase
from salus.terminal import sealed
from salus.terminal.recovery_phrase import entropy_of, phrase_of
from salus.terminal.sealed import CHEAP_COST, Argon2Cost, SealedFile, UnknownVersion

from .wallets import seeded

KEY = bytes(range(32))
ENTROPY = bytes(range(32, 64))


def make(content: bytes = b"content", name: str = "home/ada") -> SealedFile:
    random = seeded()
    wraps = (sealed.wrap_passphrase(KEY, b"pass", CHEAP_COST, random), sealed.wrap_phrase(KEY, ENTROPY, random))
    return sealed.seal_content(KEY, "wallet", name, content, random, wraps)


def with_checksum(data: bytes) -> bytes:
    return data + hashlib.sha256(data).digest()


def test_both_ways_open_it():
    file = sealed.parse(make().to_bytes(), "f")
    for key in (sealed.unwrap_passphrase(file, b"pass", "f"), sealed.unwrap_phrase(file, ENTROPY, "f")):
        assert sealed.open_content(key, file, "wallet", "f") == b"content"


def test_a_wrong_passphrase_is_told_from_a_damaged_file():
    data = make().to_bytes()
    with pytest.raises(WrongPassphrase, match="intact"):
        sealed.unwrap_passphrase(sealed.parse(data, "f"), b"Pass", "f")
    with pytest.raises(WrongPassphrase, match="another wallet"):
        sealed.unwrap_phrase(sealed.parse(data, "f"), bytes(32), "f")
    assert not issubclass(WrongPassphrase, DamagedFile)
    assert not issubclass(DamagedFile, WalletError)


def test_every_flipped_byte_and_every_truncation_is_damage_before_any_passphrase_is_tried():
    data = make().to_bytes()
    for at in range(len(data)):
        altered = bytearray(data)
        altered[at] ^= 1 << (at % 8)
        with pytest.raises(DamagedFile):
            sealed.parse(bytes(altered), "f")
    for length in range(len(data)):
        with pytest.raises(DamagedFile):
            sealed.parse(data[:length], "f")
    with pytest.raises(DamagedFile):
        sealed.parse(data + b"\0", "f")


def test_a_deliberate_change_with_a_fresh_checksum_is_refused_by_the_seal():
    """Whatever is altered, the content never opens as something else."""
    body = make().to_bytes()[:-32]
    outcomes: set[type[Exception]] = set()
    for at in range(len(body)):
        altered = bytearray(body)
        altered[at] ^= 0x20
        with pytest.raises((DamagedFile, WalletError)) as caught:  # noqa: PT012 - either step may refuse it
            file = sealed.parse(with_checksum(bytes(altered)), "f")
            sealed.open_content(sealed.unwrap_phrase(file, ENTROPY, "f"), file, "wallet", "f")
        outcomes.add(caught.type)
    assert DamagedFile in outcomes


def test_wraps_of_another_file_under_the_same_data_key_do_not_fit():
    """An attacker cannot put back an old passphrase that once opened this wallet."""
    random = seeded(b"other")
    old = sealed.wrap_passphrase(KEY, b"old", CHEAP_COST, random)
    file = make()
    swapped = SealedFile(file.purpose, file.name, old, file.phrase, file.salt, file.box)
    key = sealed.unwrap_passphrase(swapped, b"old", "f")
    with pytest.raises(DamagedFile):
        sealed.open_content(key, swapped, "wallet", "f")


def test_purposes_and_names_do_not_mix():
    file = make()
    with pytest.raises(DamagedFile, match="wallet file, not a backup"):
        sealed.open_content(KEY, file, "backup", "f")
    renamed = SealedFile("wallet", "home/bob", file.passphrase, file.phrase, file.salt, file.box)
    with pytest.raises(DamagedFile):
        sealed.open_content(KEY, renamed, "wallet", "f")


def test_an_unknown_version_is_told_from_damage():
    value = list(make().to_value())
    value[1] = 9
    with pytest.raises(UnknownVersion, match="version 9"):
        sealed.parse(with_checksum(encode(tuple(value))), "f")
    value[0] = "something.else"
    with pytest.raises(DamagedFile):
        sealed.parse(with_checksum(encode(tuple(value))), "f")
    with pytest.raises(DamagedFile):
        sealed.parse(with_checksum(b"no encoding"), "f")


@pytest.mark.parametrize(
    "cost",
    [Argon2Cost(1 << 30, 1, 1), Argon2Cost(8, 1, 1), Argon2Cost(8192, 10**9, 1), Argon2Cost(8192, 0, 1), Argon2Cost(8192, 1, 99)],
)
def test_a_planted_cost_cannot_exhaust_the_machine(cost):
    file = make()
    assert file.passphrase is not None
    planted = SealedFile(
        file.purpose,
        file.name,
        sealed.PassphraseWrap(file.passphrase.salt, cost, file.passphrase.wrapped),
        None,
        file.salt,
        file.box,
    )
    began = time.monotonic()
    with pytest.raises(WalletError, match="outside"):
        sealed.unwrap_passphrase(planted, b"pass", "f")
    assert time.monotonic() - began < 1


def test_costs_matter_and_are_bound():
    file = make()
    assert file.passphrase is not None
    cheaper = sealed.PassphraseWrap(file.passphrase.salt, Argon2Cost(8192, 2, 1), file.passphrase.wrapped)
    with pytest.raises(WrongPassphrase):
        sealed.unwrap_passphrase(SealedFile("wallet", file.name, cheaper, None, file.salt, file.box), b"pass", "f")


def test_every_save_uses_a_fresh_key():
    random = seeded()
    one, two = (sealed.seal_content(KEY, "wallet", "n", b"same", random) for _ in range(2))
    assert one.salt != two.salt
    assert one.box != two.box


@pytest.mark.parametrize("passphrase", [b"", b"x" * 1025])
def test_passphrases_are_bounded(passphrase):
    with pytest.raises(WalletError):
        sealed.wrap_passphrase(KEY, passphrase, CHEAP_COST, seeded())


def test_what_is_too_large_is_refused_before_it_is_sealed():
    with pytest.raises(WalletError, match="remove what is finished"):
        sealed.seal_content(KEY, "wallet", "n", bytes(sealed.CONTENT_BYTES_MAX + 1), seeded())


def test_the_recovery_phrase_is_bip39_and_forgives_spacing_and_case():
    # BIP-39 test vectors, 256 bits
    assert phrase_of(bytes(32)) == "abandon " * 23 + "art"
    assert phrase_of(b"\xff" * 32) == "zoo " * 23 + "vote"
    assert entropy_of("  ABANDON " * 23 + "\n Art ") == bytes(32)


@pytest.mark.parametrize(
    ("phrase", "why"),
    [
        ("abandon " * 22 + "art", "has 24 words, this has 23"),
        ("abandon " * 24, "checksum"),
        ("abandon " * 21 + "abandom abandon art", "word 22 "),
        ("", "this has 0"),
    ],
)
def test_a_mistyped_recovery_phrase_says_what_is_wrong_without_repeating_it(phrase, why):
    with pytest.raises(WalletError, match=why) as caught:
        entropy_of(phrase)
    assert "abando" not in str(caught.value)
