"""Claim: every byte of every encoding of the scheme, flipped once, is refused: by the decoder, or by who checks or opens it.

For a sample the check is taken out; then some flip goes unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from salus.abpre import checking, keys, opening, rekeys
from salus.abpre.capsules import Capsule, DeltaCapsule, take_unchecked
from salus.abpre.checking import check, check2
from salus.abpre.keys import SecretKey, check_key
from salus.abpre.opening import re_decrypt, re_decrypt_with
from salus.abpre.parameters import PublicParameters
from salus.abpre.rekeys import ReKey, check_rekey, decode_transformed, encode_transformed, re_encrypt
from salus.errors import Refused
from support.abpre_world import Sharing, own
from support.consultation_world import weaken

KEY = bytes(range(32))
Reader = Callable[[bytes], object]


def things() -> dict[str, tuple[bytes, Reader]]:
    world = Sharing("flips")
    owner, reader = world.key(own("p"), "a:x"), world.key("inst:h9")
    stored = world.stored(f"{own('p')} or 2 of (a:x, b:y, c:z)", KEY)
    rekey = world.delegate(owner, [own("p")], "inst:h9")
    A4, rk4 = world.transformed(rekey, stored)
    delta = opening.open_delta(world.parameters, reader, rk4)

    def use_rekey(data: bytes) -> None:
        spoilt = ReKey.decode(data)
        spoilt_rk4 = check_rekey(spoilt, b"delegation")
        re_decrypt(world.parameters, reader, stored, re_encrypt(spoilt, stored), spoilt_rk4)

    def use_parameters(data: bytes) -> None:
        check_key(PublicParameters.decode(data), owner)

    return {
        "parameters": (world.parameters.encode(), use_parameters),
        "key": (owner.encode(), lambda data: check_key(world.parameters, SecretKey.decode(data))),
        "capsule": (stored.capsule.encode(), lambda data: check(Capsule.decode(data), b"record")),
        "capsule, opened only": (
            stored.capsule.encode(),
            lambda data: opening.decapsulate(world.parameters, owner, take_unchecked(Capsule.decode(data), b"record")),
        ),
        "delta capsule": (rekey.rk4.encode(), lambda data: check2(DeltaCapsule.decode(data), b"delegation")),
        "re-encryption key": (rekey.encode(), use_rekey),
        "transformed": (
            encode_transformed(A4),
            lambda data: re_decrypt_with(world.parameters, stored, decode_transformed(data), delta),
        ),
    }


NAMES = ("parameters", "key", "capsule", "capsule, opened only", "delta capsule", "re-encryption key", "transformed")


@pytest.fixture(scope="module")
def all_things() -> dict[str, tuple[bytes, Reader]]:
    found = things()
    assert set(found) == set(NAMES)
    for data, read in found.values():
        read(data)
    return found


def accepted(data: bytes, read: Reader, masks: tuple[int, ...]) -> list[int]:
    """Positions whose flip was not refused."""
    found = []
    for mask in masks:
        for at in range(len(data)):
            try:
                read(data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :])
            except Refused:
                continue
            found.append(at)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_flipped_byte_is_refused(all_things, name: str) -> None:
    """Lowest and highest bit of each byte: the highest of a point's first bytes are its flags, with the sign of y."""
    data, read = all_things[name]
    assert accepted(data, read, (0x01, 0x20, 0x80)) == []


@pytest.mark.parametrize("name", NAMES)
def test_truncated_and_prolonged_encodings_are_refused(all_things, name: str) -> None:
    data, read = all_things[name]
    for changed in (*(data[:n] for n in range(0, len(data), 7)), data + b"\0", data + data):
        with pytest.raises(Refused):
            read(changed)


def test_without_the_checks_some_flips_pass(all_things, monkeypatch: pytest.MonkeyPatch) -> None:
    weaken(monkeypatch, checking._require_one, lambda *terms: None)
    monkeypatch.setattr(keys, "pairing", lambda pairs: EqualToAll())
    monkeypatch.setattr(rekeys, "pairing", lambda pairs: EqualToAll())
    for name in ("key", "capsule", "delta capsule"):
        data, read = all_things[name]
        assert accepted(data, read, (0x01, 0x20))


class EqualToAll:
    """A pairing product that is whatever it is compared with."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def is_one(self) -> bool:
        return True
