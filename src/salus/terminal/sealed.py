"""Sealed files: what a terminal keeps on disk, under a passphrase and a recovery phrase.

A sealed file is the canonical encoding of :class:`SealedFile` followed by its SHA-256. The checksum tells a damaged or
truncated file from a wrong passphrase *before* the passphrase is tried; the AEAD tells a deliberate change after it.

A random data key (32 bytes, made with the wallet) seals the content; the data key itself is wrapped once under each way
to open it: ``Argon2id(passphrase)`` and the 256 bits of the recovery phrase. Every save draws a fresh salt, so that each
AEAD key is used once::

    content key = KDF("wallet-content", data key; purpose, name, salt)
    wrap key    = KDF("wallet-wrap", Argon2id(passphrase, salt) or phrase entropy; way, salt)
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Final

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from salus import labels
from salus.codec import Bytes16, Bytes32, Label, Message, Size, decode
from salus.errors import CodecError, DamagedFile, Refused, WalletError, WrongPassphrase
from salus.symmetric import KEY_BYTES, TAG_BYTES, Random, kdf, mac_matches, seal, unseal

CONTENT_BYTES_MAX: Final = 16 * 1024 * 1024
"""A wallet of ten thousand slots and a thousand consultations stays under this."""
FILE_BYTES_MAX: Final = CONTENT_BYTES_MAX + 64 * 1024
PASSPHRASE_BYTES_MAX: Final = 1024
_CHECKSUM_BYTES: Final = 32
_MEMORY_KIB: Final = (8 * 1024, 1024 * 1024)
_ITERATIONS: Final = (1, 16)
_LANES: Final = (1, 16)

Wrapped = Annotated[bytes, Size(KEY_BYTES + TAG_BYTES, KEY_BYTES + TAG_BYTES)]


class UnknownVersion(WalletError):
    """The file was written by a version of Salus that this one does not know."""


class Argon2Cost(Message, frozen=True):
    """Cost of a passphrase guess; stored in the file, and bounded, so that a planted file cannot exhaust the machine.

    :ivar memory_kib: 8 MiB to 1 GiB. :ivar iterations: 1 to 16. :ivar lanes: 1 to 16.
    """

    KIND = "wallet.argon2id"

    memory_kib: int
    iterations: int
    lanes: int

    def check(self) -> None:
        """Refuse costs outside the bounds.

        :raises WalletError: out of bounds.
        """
        for value, (low, high), what in (
            (self.memory_kib, _MEMORY_KIB, "memory in KiB"),
            (self.iterations, _ITERATIONS, "iterations"),
            (self.lanes, _LANES, "lanes"),
        ):
            if not low <= value <= high:
                raise WalletError(f"Argon2id {what} of {value} is outside {low}..{high}")


DEFAULT_COST: Final = Argon2Cost(64 * 1024, 3, 4)
"""RFC 9106, section 4, second recommendation."""
CHEAP_COST: Final = Argon2Cost(8 * 1024, 1, 1)
"""For tests and demonstrations with throw-away passphrases."""


class PassphraseWrap(Message, frozen=True):
    """The data key under a passphrase."""

    KIND = "wallet.passphrase-wrap"

    salt: Bytes16
    cost: Argon2Cost
    wrapped: Wrapped


class PhraseWrap(Message, frozen=True):
    """The data key under the recovery phrase's 256 bits (no slow hash: they cannot be guessed)."""

    KIND = "wallet.phrase-wrap"

    salt: Bytes16
    wrapped: Wrapped


class SealedFile(Message, frozen=True):
    """What is on disk.

    :ivar purpose: ``wallet``, ``backup`` or ``one-time``. :ivar name: whose, or which secret; bound to the content.
    """

    KIND = "wallet.sealed-file"

    purpose: Label
    name: Annotated[str, Size(0, 128)]
    passphrase: PassphraseWrap | None
    phrase: PhraseWrap | None
    salt: Bytes32
    box: Annotated[bytes, Size(TAG_BYTES, CONTENT_BYTES_MAX + TAG_BYTES)]

    def to_bytes(self) -> bytes:
        """The file's content: encoding and checksum."""
        data = self.encode()
        return data + hashlib.sha256(data).digest()


def parse(data: bytes, where: str) -> SealedFile:
    """Read a sealed file's frame without opening it.

    :param where: the path, for error messages.
    :raises DamagedFile: truncated, altered, or not a sealed file.
    :raises UnknownVersion: intact, but of another version.
    """
    body, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if hashlib.sha256(body).digest() != checksum:
        raise DamagedFile(f"{where} is damaged or truncated, or is no sealed file; restore it from a backup")
    try:
        return SealedFile.decode(body)
    except CodecError as error:
        raise_if_other_version(body, SealedFile, where)
        raise DamagedFile(f"{where} is no sealed file ({error.detail})") from None


def raise_if_other_version(data: bytes, expected: type[Message], where: str) -> None:
    """Tell an unknown version from damage.

    :raises UnknownVersion: ``data`` encodes a message of ``expected``'s kind in another version.
    """
    try:
        value = decode(data)
    except CodecError:
        return
    if type(value) is tuple and len(value) >= 2 and value[0] == expected.KIND and value[1] != expected.VERSION:
        raise UnknownVersion(
            f"{where} has version {value[1]} of {expected.KIND}; this Salus knows {expected.VERSION}: upgrade it"
        )


def wrap_passphrase(data_key: bytes, passphrase: bytes, cost: Argon2Cost, random: Random) -> PassphraseWrap:
    """Wrap the data key under a passphrase.

    :raises WalletError: an empty or overlong passphrase, or a cost out of bounds.
    """
    if not 0 < len(passphrase) <= PASSPHRASE_BYTES_MAX:
        raise WalletError(f"a passphrase has 1 to {PASSPHRASE_BYTES_MAX} bytes")
    salt = random(16)
    key = _passphrase_key(passphrase, salt, cost)
    return PassphraseWrap(salt, cost, seal(key, data_key, ("passphrase", salt)))


def wrap_phrase(data_key: bytes, entropy: bytes, random: Random) -> PhraseWrap:
    """Wrap the data key under the recovery phrase's entropy (32 bytes)."""
    salt = random(16)
    return PhraseWrap(salt, seal(_phrase_key(entropy, salt), data_key, ("phrase", salt)))


def unwrap_passphrase(file: SealedFile, passphrase: bytes, where: str) -> bytes:
    """The data key by the passphrase.

    :raises WrongPassphrase: it does not open this (intact) file.
    :raises WalletError: the file has no passphrase, or its cost is out of bounds.
    """
    wrap = file.passphrase
    if wrap is None:
        raise WalletError(f"{where} is not under a passphrase; open it with the wallet it belongs to")
    try:
        return unseal(_passphrase_key(passphrase, wrap.salt, wrap.cost), wrap.wrapped, ("passphrase", wrap.salt), "bad-seal")
    except Refused:
        raise WrongPassphrase(f"the passphrase does not open {where}; the file is intact: try again") from None


def unwrap_phrase(file: SealedFile, entropy: bytes, where: str) -> bytes:
    """The data key by the recovery phrase's entropy.

    :raises WrongPassphrase: the phrase belongs to another wallet.
    :raises WalletError: the file has no recovery phrase.
    """
    wrap = file.phrase
    if wrap is None:
        raise WalletError(f"{where} has no recovery phrase")
    try:
        return unseal(_phrase_key(entropy, wrap.salt), wrap.wrapped, ("phrase", wrap.salt), "bad-seal")
    except Refused:
        raise WrongPassphrase(f"the recovery phrase is well formed, but belongs to another wallet than {where}") from None


def seal_content(
    data_key: bytes,
    purpose: str,
    name: str,
    content: bytes,
    random: Random,
    wraps: tuple[PassphraseWrap | None, PhraseWrap | None] = (None, None),
) -> SealedFile:
    """Seal content under the data key, with the ways to open it that stand beside it."""
    if len(content) > CONTENT_BYTES_MAX:
        raise WalletError(f"{purpose} {name}: {len(content)} bytes are over {CONTENT_BYTES_MAX}; remove what is finished")
    salt = random(32)
    aad = _aad(purpose, name, *wraps)
    return SealedFile(purpose, name, *wraps, salt, seal(_content_key(data_key, purpose, name, salt), content, aad))


def open_content(data_key: bytes, file: SealedFile, purpose: str, where: str) -> bytes:
    """The content of a sealed file.

    :raises DamagedFile: it was altered, is of another wallet, or of another purpose.
    """
    if file.purpose != purpose:
        raise DamagedFile(f"{where} is a {file.purpose} file, not a {purpose} file")
    key = _content_key(data_key, file.purpose, file.name, file.salt)
    try:
        return unseal(key, file.box, _aad(file.purpose, file.name, file.passphrase, file.phrase), "bad-seal")
    except Refused:
        raise DamagedFile(f"{where} was altered, or belongs to another wallet; restore it from a backup") from None


def same_key(a: bytes, b: bytes) -> bool:
    """Compare two keys in constant time."""
    return mac_matches(a, b)


def _aad(purpose: str, name: str, passphrase: PassphraseWrap | None, phrase: PhraseWrap | None) -> tuple[object, ...]:
    return (purpose, name, passphrase and passphrase.to_value(), phrase and phrase.to_value())


def _content_key(data_key: bytes, purpose: str, name: str, salt: bytes) -> bytes:
    return kdf(labels.WALLET_CONTENT, labels.SUITE_WALLET, [data_key], (purpose, name, salt))


def _passphrase_key(passphrase: bytes, salt: bytes, cost: Argon2Cost) -> bytes:
    cost.check()
    stretched = Argon2id(
        salt=salt, length=KEY_BYTES, iterations=cost.iterations, lanes=cost.lanes, memory_cost=cost.memory_kib
    ).derive(passphrase)
    return kdf(labels.WALLET_WRAP, labels.SUITE_WALLET, [stretched], ("passphrase", salt, cost.to_value()))


def _phrase_key(entropy: bytes, salt: bytes) -> bytes:
    return kdf(labels.WALLET_WRAP, labels.SUITE_WALLET, [entropy], ("phrase", salt))
