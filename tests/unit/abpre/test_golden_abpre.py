"""Formats of the sharing scheme that are stored: the golden files of version 1 are read and written byte for byte, for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from salus.abpre.capsules import Capsule, DeltaCapsule
from salus.abpre.checking import check
from salus.abpre.keys import SecretKey, check_key
from salus.abpre.opening import decapsulate
from salus.abpre.parameters import PublicParameters
from salus.abpre.rekeys import ReKey, check_rekey, decode_transformed, encode_transformed, re_encrypt
from support.abpre_vectors import DELEGATION_AAD, KEY, RECORD_AAD

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "abpre"
READERS = {
    "parameters": lambda data: PublicParameters.decode(data).encode(),
    "key": lambda data: SecretKey.decode(data).encode(),
    "capsule": lambda data: Capsule.decode(data).encode(),
    "delta": lambda data: DeltaCapsule.decode(data).encode(),
    "rekey": lambda data: ReKey.decode(data).encode(),
    "transformed": lambda data: encode_transformed(decode_transformed(data)),
}


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.bin").read_bytes()


@pytest.mark.parametrize("name", READERS)
def test_golden_files_read_and_write_the_same(name: str) -> None:
    assert READERS[name](golden(name)) == golden(name)


def test_golden_files_still_work_together() -> None:
    parameters, key = PublicParameters.decode(golden("parameters")), SecretKey.decode(golden("key"))
    check_key(parameters, key)
    stored = check(Capsule.decode(golden("capsule")), RECORD_AAD)
    assert decapsulate(parameters, key, stored) == KEY
    rekey = ReKey.decode(golden("rekey"))
    assert check_rekey(rekey, DELEGATION_AAD).capsule.encode() == golden("delta")
    assert encode_transformed(re_encrypt(rekey, stored)) == golden("transformed")
