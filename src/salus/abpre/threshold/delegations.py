"""Delegations held by the committee: rk1 hidden under Z, everything else of the re-encryption key in the open.

Only rk1 depends on alpha; rk2, rk3 and R_x are fresh for every delegation and say nothing. The owner deals nothing to single
nodes, and no delegation is touched by a hand-over. ``c = rk1 + r*Z`` is an attachment: nodes keep and erase it, the ledger
holds its digest. Steps: docs/protocol/sharing-thresholds.md, "delegations".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec.structs import replace

from salus import labels
from salus.abpre.attributes import ATTRIBUTE_CHARACTERS_MAX, canonical_attribute, scope_of
from salus.abpre.capsules import DeltaCapsule, DeltaCapsuleMessage, VerifiedDeltaCapsule
from salus.abpre.checking import check2
from salus.abpre.hashing import table_g1
from salus.abpre.keys import SecretKey, restrict
from salus.abpre.parameters import PublicParameters
from salus.abpre.policy import Policy
from salus.abpre.rekeys import Coins, check_parts, rekey_gen
from salus.abpre.threshold.committee import SUITE, UNSIGNED, G1Point, G2Point, Proof, Value, context
from salus.abpre.threshold.g1_proofs import prove_logarithm, verify_logarithm
from salus.codec import Bytes32, Message, Size, encode
from salus.errors import Refused, refuse_unless
from salus.groups.bls12_381 import G1, G2, decode_g1, decode_g1_batch, decode_g2, random_fr
from salus.symmetric import Random, h2

ATTACHMENTS_MAX: Final = 65_536
"""Attachments of one call: 3 MiB; more are checked call by call."""
Scope = Annotated[str, Size(1, ATTRIBUTE_CHARACTERS_MAX)]


class SealedDelegation(Message, frozen=True):
    """The ledger's part of a delegation: one re-encryption key for one scope, rk1 hidden.

    :ivar epoch: of the committee when it was made; Z is the same in every epoch.
    :ivar delegation: :func:`delegation_id`. :ivar scope: the ``own:`` attribute x that it is for.
    :ivar expires_ms: block time at which it ends.
    :ivar P: ``r*g1``. :ivar c_digest: of ``c = rk1 + r*Z``. :ivar rk2, rk3, R, rk4: of the re-encryption key; R is R_x.
    :ivar proof: of r, over ctx and everything before it.
    """

    KIND = "delegation.sealed"

    epoch: int
    delegation: Bytes32
    scope: Scope
    expires_ms: int
    P: G1Point
    c_digest: Bytes32
    rk2: G2Point
    rk3: G2Point
    R: G1Point
    rk4: DeltaCapsuleMessage
    proof: Proof

    def aad(self, network: bytes) -> bytes:
        """What rk4 is bound to: (delegation id, x, policy', expiry, P)."""
        return delegation_aad(network, self.delegation, self.scope, self.rk4.policy, self.expires_ms, self.P)


class CheckedDelegation(msgspec.Struct, frozen=True):
    """A delegation whose public parts hold, decoded.

    :ivar message: as the ledger holds it. :ivar rk4: verified; whoever satisfies its policy opens delta.
    """

    message: SealedDelegation
    P: G1
    rk2: G2
    rk3: G2
    R: G1
    rk4: VerifiedDeltaCapsule


def delegation_id(network: bytes, scope: str, P: bytes) -> bytes:
    """A delegation's id, 32 bytes: of one scope and one r by its name, so that nobody claims the id of another's first."""
    return h2(labels.DELEGATION_ID, SUITE, network, scope, P)


def delegation_aad(network: bytes, delegation: bytes, scope: str, policy: str, expires_ms: int, P: bytes) -> bytes:
    """Additional data of rk4 (delegations, step 2)."""
    return encode((network, delegation, scope, policy, expires_ms, P))


def digest_of_c(network: bytes, delegation: bytes, c: bytes) -> bytes:
    """Digest under which the ledger and the nodes' signatures know c: 32 bytes."""
    return h2(labels.DELEGATION_C, SUITE, network, delegation, c)


def seal_delegation(
    network: bytes,
    epoch: int,
    parameters: PublicParameters,
    Z: G1,
    key: SecretKey,
    scope: str,
    policy: Policy,
    expires_ms: int,
    coins: Coins,
    random: Random,
) -> tuple[SealedDelegation, bytes]:
    """An owner delegates one scope to a policy (delegations, steps 1 to 4).

    :param Z: the committee's public key. :param key: the owner's, with the scope's attribute.
    :param coins: fresh ones; their delta also seals the scope's index key.
    :return: the ledger's part, and c (48 bytes) for the nodes alone.
    :raises Refused: ``unsatisfied`` if the key lacks the scope's attribute, ``bad-attribute`` if it is no scope.
    """
    _require_scope(scope)
    # Step 1: a fresh sub-key of this one attribute; the public parts of two delegations are not linked by it.
    sub_key = restrict(key, [scope], random)
    r = random_fr(random)
    P = table_g1().mul(r).encode()
    delegation = delegation_id(network, scope, P)
    # Step 2.
    rekey = rekey_gen(parameters, sub_key, policy, delegation_aad(network, delegation, scope, policy.text, expires_ms, P), coins)
    # Step 3.
    c = (rekey.rk1 + Z.mul(r)).encode()
    draft = SealedDelegation(
        epoch,
        delegation,
        scope,
        expires_ms,
        P,
        digest_of_c(network, delegation, c),
        rekey.rk2.encode(),
        rekey.rk3.encode(),
        rekey.parts[scope].encode(),
        rekey.rk4.message(),
        UNSIGNED,
    )
    # Step 4.
    proof = prove_logarithm(labels.DELEGATION_POSSESSION, r, P, statement(network, draft), random)
    return replace(draft, proof=proof), c


def check_delegation(network: bytes, sealed: SealedDelegation) -> CheckedDelegation:
    """Everyone's check of the ledger's part (delegations, step 5): its id, proof of r, R_x against rk3, Check2(rk4).

    :raises Refused: ``bad-delegation``, ``bad-point``, ``bad-attribute``, ``bad-policy``.
    """
    _require_scope(sealed.scope)
    named = sealed.delegation == delegation_id(network, sealed.scope, sealed.P)
    refuse_unless(named, "bad-delegation", "its id is not that of its scope and P")
    decoded = take_delegation_unchecked(network, sealed)
    try:
        # Without the proof, P could be copied from another owner's delegation, and its partials with it.
        verify_logarithm(labels.DELEGATION_POSSESSION, decoded.P, statement(network, sealed), sealed.proof)
        check_parts(decoded.rk3, {sealed.scope: decoded.R})
        check2(decoded.rk4.capsule, sealed.aad(network))
    except Refused as error:
        raise Refused("bad-delegation", error.detail) from None
    return decoded


def take_delegation_unchecked(network: bytes, sealed: SealedDelegation) -> CheckedDelegation:
    """A delegation that :func:`check_delegation` passed before, from a committed block or the state.

    :raises Refused: ``bad-point``, ``bad-policy``.
    """
    rk4 = VerifiedDeltaCapsule(DeltaCapsule.from_message(sealed.rk4), sealed.aad(network))
    P, R = decode_g1(sealed.P, "P"), decode_g1(sealed.R, "R_x")
    return CheckedDelegation(sealed, P, decode_g2(sealed.rk2, "rk2"), decode_g2(sealed.rk3, "rk3"), R, rk4)


def check_attachment(network: bytes, sealed: SealedDelegation, c: bytes) -> G1:
    """A node's check of c before it makes it durable and signs for it (delegations, step 6).

    :return: c, decoded.
    :raises Refused: ``bad-delegation`` for another digest, ``bad-point``.
    """
    refuse_unless(
        digest_of_c(network, sealed.delegation, c) == sealed.c_digest, "bad-delegation", "this is not the delegation's c"
    )
    return decode_g1(c, "c")


def check_attachments(network: bytes, items: Sequence[tuple[bytes, bytes, bytes]]) -> None:
    """A new member's check of what it fetched before it becomes active (hand-over, step 5), points in one native batch.

    :param items: (delegation id, c_digest as the ledger holds it, c) each, 1 to 65,536.
    :raises Refused: ``bad-delegation`` for another digest, ``bad-point``.
    """
    refuse_unless(1 <= len(items) <= ATTACHMENTS_MAX, "too-large", f"1 to {ATTACHMENTS_MAX} attachments at a time")
    for delegation, digest, c in items:
        refuse_unless(digest_of_c(network, delegation, c) == digest, "bad-delegation", "this is not the delegation's c")
    decode_g1_batch([c for _, _, c in items], "c")


def _require_scope(scope: str) -> None:
    own = scope_of(canonical_attribute(scope)) is not None
    refuse_unless(own, "bad-attribute", "a delegation is for one scope, an own: attribute")


def statement(network: bytes, sealed: SealedDelegation) -> Value:
    """(ctx, P, digest of c, rk2, rk3, R_x, rk4): what the proof of r covers."""
    ctx = context(network, sealed.epoch, SealedDelegation.KIND, sealed.scope, sealed.delegation)
    return (ctx, sealed.to_value()[:-1])
