"""Phases 8 and 11, storage and response (I) and (II)."""

from __future__ import annotations

from dataclasses import dataclass, field

from salus.consultation.published.functions import decrypt, encrypt
from salus.consultation.published.messages import StorageKey, StorageResponse
from salus.errors import Refused
from salus.groups.ristretto255 import Point, Scalar, base_mul, decode_point, random_scalar
from salus.symmetric import Random, mac_matches


@dataclass(frozen=True)
class CloudKeys:
    """(sk_C, pk_C = sk_C * P) of the cloud gateway; section IV.D gives it no registration."""

    sk: Scalar = field(repr=False)
    pk: Point


def cloud_keys(random: Random) -> CloudKeys:
    """Draw the gateway's key pair."""
    sk = random_scalar(random)
    return CloudKeys(sk, base_mul(sk))


def storage_response(keys: CloudKeys, stored: StorageKey, random: Random) -> StorageResponse:
    """(E_key(PID, A, ID_DO), pk_C), key = sk_C * A: told to the terminal once the transaction is stored.

    :raises Refused: ``bad-point`` if A is no point.
    """
    key = decode_point(stored.A, "A").mul(keys.sk)
    return StorageResponse(encrypt(key, stored.encode(), random), keys.pk.encode())


def open_storage_response(response: StorageResponse, a: Scalar, sent: StorageKey, pk_C: Point | None) -> None:
    """The terminal's check: key = a * pk_C, decrypt, compare with what was sent.

    :param pk_C: the gateway's key as the terminal knows it. The paper takes pk_C from the response itself, which proves
        nothing, since anyone can bring a key pair of its own; ``None`` does as printed.
    :raises Refused: ``bad-receipt`` if it is not a response to this transaction.
    """
    if pk_C is not None and response.pk_C != pk_C.encode():
        raise Refused("bad-receipt", "answered under another key than the cloud's")
    key = decode_point(response.pk_C, "pk_C").mul(a)
    if not mac_matches(decrypt(key, response.ciphertext, "bad-receipt"), sent.encode()):
        raise Refused("bad-receipt", "another transaction was stored")
