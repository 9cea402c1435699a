"""What the checks of a block leave to be verified together: Schnorr signatures, encodings that must be points, capsules.

A check that needs a member's signature returns a :class:`Claim`, one that needs a point a :class:`PointClaim`, one that needs a
capsule a :class:`CapsuleClaim`; at the end of the block all of them are verified in native batches, on all cores and without the
interpreter lock. Nodes' common signatures are :class:`BlsClaim`; what is dear and
comes alone (a delegation, a revocation receipt) is a :class:`LateClaim`.

Every replica verifies for itself: the weights of the signatures' one equation come from its own operating system, so nobody can
choose signatures to fit them, and no two replicas depend on the same ones.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

import msgspec

from salus._native import schnorr_verify_batch
from salus.abpre.capsules import Capsule, CapsuleMessage
from salus.abpre.checking import BATCH_MAX as CAPSULES_MAX
from salus.abpre.checking import bad_ones, check_batch
from salus.codec import encode
from salus.errors import Refused, refuse_unless
from salus.groups.multi_signatures import verify_batch
from salus.groups.proofs import SIGNATURE_BYTES
from salus.groups.ristretto255 import Point, Scalar, decode_batch, decode_point, hash_to_scalar

BATCH_MAX: Final = 4096
"""Signatures of one native call."""
_REMEMBERED_CLAIMS: Final = 65536
"""Digests of claims verified lately (32 bytes each): what the pool verified is not verified again in the proposal."""


class Claim(msgspec.Struct, frozen=True):
    """A statement that ``signature`` is a Schnorr signature (R || z) of ``message`` under ``public``.

    :ivar label, suite: domain of the signature.
    :ivar public: encoded public key, 32 bytes, taken from the state.
    :ivar fields: what the signer is known by, as :func:`salus.groups.proofs.schnorr_sign` takes it.
    :ivar message: codec value that is signed.
    :ivar reason: reason code if it does not verify.
    :ivar what: for the error.
    """

    label: str
    suite: str
    public: bytes
    fields: tuple[Any, ...]
    message: Any
    signature: bytes
    reason: str = "bad-signature"
    what: str = ""

    def refusal(self) -> Refused:
        """The error that names this claim."""
        return Refused(self.reason, f"{self.what or self.label}: the signature does not verify")


class PointClaim(msgspec.Struct, frozen=True):
    """A statement that ``data`` is the canonical encoding of a point other than the identity.

    :ivar what: for the error.
    """

    data: bytes
    what: str = ""

    def refusal(self) -> Refused:
        """The error that names this claim."""
        return Refused("bad-point", f"{self.what}: not the canonical encoding of a point, or the identity")


class CapsuleClaim(msgspec.Struct, frozen=True):
    """A statement that Check accepts a type 1 capsule; all capsules of a block take one product of pairings.

    :ivar capsule: decoded by the check, :func:`decoded_capsule`. :ivar aad: its additional data. :ivar what: for the error.
    """

    capsule: CapsuleMessage
    aad: bytes
    what: str = ""

    def refusal(self) -> Refused:
        """The error that names this claim."""
        return Refused("bad-capsule", f"{self.what}: the capsule's points do not fit its policy and additional data")


class BlsClaim(msgspec.Struct, frozen=True):
    """A statement that nodes signed one message together with their BLS keys; those of a block take one product of pairings.

    :ivar keys: of the signers, 96 bytes each, possession proven. :ivar reason, what: for the error.
    """

    keys: tuple[bytes, ...]
    message: bytes
    signature: bytes
    reason: str = "bad-signature"
    what: str = ""

    def refusal(self) -> Refused:
        """The error that names this claim."""
        return Refused(self.reason, f"{self.what}: the nodes' signature does not verify")


class LateClaim(msgspec.Struct, frozen=True):
    """A statement that a pure function of public values accepts them, run once the block's other transactions passed.

    :ivar name: of the function. :ivar about: codec value with everything that the answer depends on.
    :ivar run: does it. :raises Refused: as ``run`` does.
    """

    name: str
    about: Any
    run: Callable[[], object]

    def refusal(self) -> Refused:
        """What ``run`` refuses with."""
        try:
            self.run()
        except Refused as refused:
            return refused
        raise AssertionError(f"{self.name} refused before")  # a pure function answers the same each time


AnyClaim = Claim | PointClaim | CapsuleClaim | BlsClaim | LateClaim


@lru_cache(maxsize=128)
def decoded_capsule(message: CapsuleMessage) -> Capsule:
    """A capsule's points and policy, decoded once for pool, proposal and block.

    :raises Refused: ``bad-policy``, ``too-large``, ``bad-point``, ``bad-capsule``.
    """
    return Capsule.from_message(message)


class VerifiedClaims:
    """Digests of claims that were verified lately, bounded; one for each replica."""

    def __init__(self, capacity: int = _REMEMBERED_CLAIMS) -> None:
        self._digests: OrderedDict[bytes, None] = OrderedDict()
        self._capacity = capacity

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._digests

    def add(self, digest: bytes) -> None:
        """Remember a verified claim; the oldest is forgotten when there are too many."""
        self._digests[digest] = None
        if len(self._digests) > self._capacity:
            self._digests.popitem(last=False)


def failing_claims(claims: Sequence[AnyClaim], verified: VerifiedClaims | None = None) -> list[int]:
    """Indices of the claims that do not hold, in order; empty if all are good.

    :param verified: claims known to be good are skipped, and good ones are added.
    """
    places: dict[type, list[int]] = {Claim: [], PointClaim: [], CapsuleClaim: [], BlsClaim: [], LateClaim: []}
    digests: dict[int, bytes] = {}
    for index, claim in enumerate(claims):
        digest = _digest(claim)
        if verified is None or digest not in verified:
            digests[index] = digest
            places[type(claim)].append(index)
    bad = _failing_signatures(claims, places[Claim]) | _failing_points(claims, places[PointClaim])
    bad |= _failing_capsules(claims, places[CapsuleClaim]) | _failing_bls(claims, places[BlsClaim])
    bad |= {place for place in places[LateClaim] if not _runs(claims[place])}
    if verified is not None:
        for index, digest in digests.items():
            if index not in bad:
                verified.add(digest)
    return sorted(bad)


def verify_claims(claims: Sequence[AnyClaim], verified: VerifiedClaims | None = None) -> None:
    """Verify all claims.

    :raises Refused: the first failing claim's own refusal.
    """
    failing = failing_claims(claims, verified)
    if failing:
        raise claims[failing[0]].refusal()


def _digest(claim: AnyClaim) -> bytes:
    """Names a claim with everything that its truth depends on; no name of one kind is one of the other.

    Whoever submits a transaction chooses its one-time key, so those bytes alone must not be a name: they could be the digest
    of a signature's claim, which would then count as verified.
    """
    if isinstance(claim, PointClaim):
        return b"point" + claim.data
    if isinstance(claim, CapsuleClaim):
        return b"capsule" + sha256(encode((claim.capsule.to_value(), claim.aad))).digest()
    if isinstance(claim, BlsClaim):
        return b"bls" + sha256(encode((claim.keys, claim.message, claim.signature))).digest()
    if isinstance(claim, LateClaim):
        return b"late" + sha256(encode((claim.name, claim.about))).digest()
    whole = (claim.label, claim.suite, claim.public, claim.fields, claim.message, claim.signature)
    return sha256(encode(whole)).digest()


def _failing_signatures(claims: Sequence[AnyClaim], places: Sequence[int]) -> set[int]:
    """Which of the claims at ``places``, all of signatures, do not hold: ``z*P0 = R + c*W``."""
    bad: set[int] = set()
    publics: list[Point] = []
    challenges: list[Scalar] = []
    signatures: list[bytes] = []
    pending: list[int] = []
    for place in places:
        claim = claims[place]
        assert isinstance(claim, Claim)
        signature = claim.signature
        try:
            refuse_unless(len(signature) == SIGNATURE_BYTES, claim.reason)
            publics.append(_public_point(claim.public))
        except Refused:
            bad.add(place)
            continue
        challenges.append(hash_to_scalar(claim.label, claim.suite, *claim.fields, signature[:32], claim.message))
        signatures.append(signature)
        pending.append(place)
    for start in range(0, len(pending), BATCH_MAX):
        part = slice(start, start + BATCH_MAX)
        good = schnorr_verify_batch(publics[part], challenges[part], signatures[part])
        bad.update(place for place, holds in zip(pending[part], good, strict=True) if not holds)
    return bad


def _failing_points(claims: Sequence[AnyClaim], places: Sequence[int]) -> set[int]:
    """Which of the claims at ``places``, all of points, do not hold."""
    data: list[bytes] = []
    for place in places:
        claim = claims[place]
        assert isinstance(claim, PointClaim)
        data.append(claim.data)
    try:
        decode_batch(data)
    except ValueError:
        return {place for place, one in zip(places, data, strict=True) if not _is_point(one)}
    return set()


def _failing_capsules(claims: Sequence[AnyClaim], places: Sequence[int]) -> set[int]:
    """Which of the claims at ``places``, all of capsules, do not hold."""
    bad: set[int] = set()
    for start in range(0, len(places), CAPSULES_MAX):
        part = places[start : start + CAPSULES_MAX]
        items = []
        for place in part:
            claim = claims[place]
            assert isinstance(claim, CapsuleClaim)
            items.append((decoded_capsule(claim.capsule), claim.aad))
        try:
            check_batch(items)
        except Refused:
            bad.update(part[i] for i in bad_ones(items))
    return bad


def _failing_bls(claims: Sequence[AnyClaim], places: Sequence[int]) -> set[int]:
    """Which of the claims at ``places``, all of nodes' common signatures, do not hold."""
    items = []
    for place in places:
        claim = claims[place]
        assert isinstance(claim, BlsClaim)
        items.append((claim.keys, claim.message, claim.signature))
    return {place for place, holds in zip(places, verify_batch(items), strict=True) if not holds}


def _runs(claim: AnyClaim) -> bool:
    assert isinstance(claim, LateClaim)
    try:
        claim.run()
    except Refused:
        return False
    return True


def _is_point(data: bytes) -> bool:
    try:
        decode_point(data)
    except Refused:
        return False
    return True


@lru_cache(maxsize=1024)
def _public_point(public: bytes) -> Point:
    return decode_point(public, "public key")
