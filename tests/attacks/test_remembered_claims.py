"""Claim: nothing that anyone can have a node remember as verified stands for a signature.

A node remembers which claims it has verified, by digest: signatures, and encodings that are points. An outsider chooses a
one-time key, 32 bytes. If those bytes could be the digest of a claim of a signature, a node that found the key to be a
point would take the signature for verified, whoever it claims to be from: the centre, a doctor, the cloud.
"""

from __future__ import annotations

from hashlib import sha256

import pytest
from msgspec.structs import replace

from salus.codec import encode
from salus.consultation.request import ConsultationRequest
from salus.errors import Refused
from salus.groups.ristretto255 import decode_point
from salus.ledger import signatures
from salus.ledger.kinds.parties import CENTRE, PartyRevocation, _by_centre, key_digest
from salus.ledger.signatures import AnyClaim, Claim, PointClaim
from salus.ledger.transactions import BlockContext
from support.ledger_world import Chain, Doctor, LedgerWorld


def digest_of(claim: Claim) -> bytes:
    """What names a claim of a signature."""
    whole = (claim.label, claim.suite, claim.public, claim.fields, claim.message, claim.signature)
    return sha256(encode(whole)).digest()


def is_point(data: bytes) -> bool:
    try:
        decode_point(data)
    except Refused:
        return False
    return True


def forged_revocation(world: LedgerWorld, chain: Chain, victim: Doctor) -> tuple[PartyRevocation, bytes]:
    """A revocation that the centre never signed, whose claim's digest is the encoding of a point."""
    context = BlockContext(world.network, world.domain.Pub_bytes, 1, chain.time_ms, "", 1, world.genesis.core.constants, [], [])
    assert CENTRE.need(chain.application.view(), b"").signing_key == world.centre.signing_key.encode()
    for tries in range(10_000):
        garbage = tries.to_bytes(64, "big")
        forged = PartyRevocation("doctor", victim.key.name, key_digest(victim.key.W_bytes), garbage)
        claim = _by_centre(chain.application.view(), context, forged)
        if is_point(digest_of(claim)):
            return forged, digest_of(claim)
    raise AssertionError("no digest is a point")


def started() -> tuple[LedgerWorld, Chain, Doctor]:
    world = LedgerWorld("remembered")
    chain = world.chain()
    chain.start_epoch()
    raw, doctor = world.doctor()
    chain.decide([raw])
    chain.decide([world.slots(doctor, 0, 1)])
    return world, chain, doctor


def plant(world: LedgerWorld, chain: Chain, doctor: Doctor, digest: bytes) -> None:
    """An outsider without any credential submits a request that is false in everything but its form."""
    honest, _ = world.request(doctor, 0, time_ms=chain.time_ms)
    planted: ConsultationRequest = replace(honest, A=digest, nf=world.random(32), U=replace(honest.U, signature=bytes(64)))
    (result,) = chain.application.check_transactions([planted.encode()], chain.time_ms + 1000)
    assert not result.accepted


def test_a_point_does_not_stand_for_a_signature() -> None:
    world, chain, doctor = started()
    forged, digest = forged_revocation(world, chain, doctor)
    plant(world, chain, doctor, digest)
    (result,) = chain.application.check_transactions([forged.encode()], chain.time_ms + 1000)
    assert result.reason == "bad-signature"
    verdict = chain.application.validate_proposal(chain.input([forged.encode()]), secret_checks=True)
    assert (verdict.valid, verdict.reason) == (False, "bad-signature")


def test_the_attack_succeeds_if_both_kinds_of_claims_share_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def shared(claim: AnyClaim) -> bytes:
        return claim.data if isinstance(claim, PointClaim) else digest_of(claim)

    monkeypatch.setattr(signatures, "_digest", shared)
    world, chain, doctor = started()
    forged, digest = forged_revocation(world, chain, doctor)
    plant(world, chain, doctor, digest)
    chain.decide([forged.encode()])
    after = chain.application.check_transactions([world.slots(doctor, 1, 1)], chain.time_ms + 1000)
    assert after[0].reason == "revoked", "an outsider revoked the doctor"
