"""Partial keys: what a requester asks for, what each node issues from its share, and what everyone can check of it.

Steps: docs/protocol/sharing-thresholds.md, "issuing".
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Annotated, Final

from msgspec.structs import replace

from salus import labels
from salus.abpre.attributes import ATTRIBUTE_CHARACTERS_MAX, canonical_attribute
from salus.abpre.hashing import attribute_points, table_a, table_g2
from salus.abpre.threshold.alpha import PointShare
from salus.abpre.threshold.box import Box, BoxKey, check_box, require_box_size, seal_box
from salus.abpre.threshold.committee import (
    SUITE,
    UNSIGNED,
    Committee,
    Seat,
    Signer,
    Value,
    context,
    signed_part,
    verify_signature,
)
from salus.abpre.threshold.g1_proofs import hedged_fr
from salus.codec import Bytes32, Bytes64, Message, Name, Size
from salus.errors import Refused, refuse_unless
from salus.groups.bls12_381 import G1_BYTES, G2_BYTES, g1_encode_batch, g1_mul_one_scalar
from salus.groups.proofs import schnorr_sign, schnorr_verify
from salus.groups.ristretto255 import decode_point
from salus.symmetric import Random, h2

REQUEST_ATTRIBUTES_MAX: Final = 256
"""Attributes of one request: their texts fit a transaction. A longer key is asked for in parts."""
Attribute = Annotated[str, Size(1, ATTRIBUTE_CHARACTERS_MAX)]


class KeyRequest(Message, frozen=True):
    """What a requester asks the authority for; whether it may have it is the ledger's to say.

    :ivar epoch: of the committee that is to issue. :ivar requester: an institution's name, or the scope's ``own:`` attribute.
    :ivar attributes: S, ascending. :ivar Er: one-time key that the partial keys are boxed to; fresh for each request.
    """

    KIND = "key.core"

    epoch: int
    requester: Name
    attributes: Annotated[tuple[Attribute, ...], Size(1, REQUEST_ATTRIBUTES_MAX)]
    Er: Bytes32

    def digest(self, network: bytes) -> bytes:
        """What names this request: 32 bytes."""
        return h2(labels.KEY_REQUEST, SUITE, network, self.to_value())


class IssuedPartial(Message, frozen=True):
    """A node's partial key: K || L || K_x in the request's order, boxed to the requester and signed.

    :ivar request: digest of the request.
    """

    KIND = "key.partial"

    epoch: int
    node: Name
    request: Bytes32
    box: Box
    signature: Bytes64


class KeyDemand(Message, frozen=True):
    """The requester demands the partial key of one node on the ledger; signed under the request's one-time key."""

    KIND = "key.demand"

    epoch: int
    request: Bytes32
    node: Name
    signature: Bytes64


def make_key_request(epoch: int, requester: str, attributes: Iterable[str], key: BoxKey) -> KeyRequest:
    """Ask for a set of attributes (issuing, step 1).

    :raises Refused: ``bad-attribute``, ``too-large``.
    """
    request = KeyRequest(epoch, requester, tuple(sorted(set(attributes))), key.Er)
    check_key_request(request)
    return request


def check_key_request(request: KeyRequest) -> None:
    """Everyone's check of a request's form (issuing, step 2).

    :raises Refused: ``bad-attribute``, ``bad-encoding``, ``bad-point``, ``too-large``.
    """
    names = request.attributes
    refuse_unless(
        1 <= len(names) <= REQUEST_ATTRIBUTES_MAX, "too-large", f"a request has 1 to {REQUEST_ATTRIBUTES_MAX} attributes"
    )
    refuse_unless(all(a < b for a, b in itertools.pairwise(names)), "bad-encoding", "attributes ascend and differ")
    for name in names:
        canonical_attribute(name)
    decode_point(request.Er, "Er")


def partial_bytes(request: KeyRequest) -> int:
    """Size of a partial key: K, L and one K_x for each attribute."""
    return G1_BYTES + G2_BYTES + G1_BYTES * len(request.attributes)


def partial_context(network: bytes, request: KeyRequest, node: str) -> Value:
    """What a node's partial key for a request is bound to."""
    return context(network, request.epoch, IssuedPartial.KIND, node, (request.digest(network), request.attributes))


def issue_partial_key(
    network: bytes, committee: Committee, request: KeyRequest, share: PointShare, node: Signer, random: Random
) -> IssuedPartial:
    """A node issues its partial key (issuing, steps 3 and 4); only after the ledger has accepted the request.

    :raises Refused: ``wrong-epoch`` if the share is not of the request's epoch, ``not-a-member``.
    """
    check_key_request(request)
    refuse_unless(
        request.epoch == share.epoch == committee.epoch, "wrong-epoch", "the share is of another epoch than the request"
    )
    refuse_unless(committee.seat_of(node.name).index == share.index, "not-a-member", "the share is another seat's")
    ctx = partial_context(network, request, node.name)
    # Step 3: a t_i used for two requests would merge their keys into one with the attributes of both.
    t = hedged_fr(labels.PARTIAL_KEY, share.export_secret(), ctx, random)
    points = g1_mul_one_scalar(t, attribute_points(request.attributes))
    plaintext = (share.S + table_a().mul(t)).encode() + table_g2().mul(t).encode() + b"".join(g1_encode_batch(points))
    return seal_partial_key(network, request, plaintext, node, random)


def seal_partial_key(network: bytes, request: KeyRequest, plaintext: bytes, node: Signer, random: Random) -> IssuedPartial:
    """Box an encoded partial key to the requester and sign it (issuing, step 4)."""
    box = seal_box(request.Er, partial_context(network, request, node.name), plaintext, random)
    draft = IssuedPartial(request.epoch, node.name, request.digest(network), box, UNSIGNED)
    return replace(draft, signature=node.sign(network, labels.SIG_PARTIAL_KEY, signed_part(draft), random))


def check_signed_partial(network: bytes, committee: Committee, request: KeyRequest, issued: IssuedPartial) -> Seat:
    """Whether a partial key answers a request and its node signed it; the signature makes it evidence.

    :return: the node's seat.
    :raises Refused: ``wrong-request``, ``bad-signature``, ``not-a-member``.
    """
    same = (issued.epoch, issued.request) == (request.epoch, request.digest(network)) and committee.epoch == issued.epoch
    refuse_unless(same, "wrong-request", "the partial key answers another request")
    seat = committee.seat_of(issued.node)
    verify_signature(network, labels.SIG_PARTIAL_KEY, issued.node, seat.W, signed_part(issued), issued.signature)
    return seat


def check_partial_box(network: bytes, request: KeyRequest, issued: IssuedPartial) -> None:
    """The form of the box, which everyone can see: its size, and its proof of rho.

    :raises Refused: ``bad-box``.
    """
    require_box_size(issued.box, partial_bytes(request), f"a partial key of {len(request.attributes)} attributes")
    check_box(issued.box, request.Er, partial_context(network, request, issued.node))


def check_posted_partial(network: bytes, committee: Committee, request: KeyRequest, issued: IssuedPartial) -> None:
    """Everyone's check of a partial key posted on the ledger after a demand (issuing, step 9).

    :raises Refused: ``wrong-request``, ``bad-signature``, ``not-a-member``, ``bad-box``.
    """
    check_signed_partial(network, committee, request, issued)
    check_partial_box(network, request, issued)


def demand_partial(network: bytes, request: KeyRequest, node: str, key: BoxKey, random: Random) -> KeyDemand:
    """Demand the partial key of a silent node (issuing, step 8)."""
    draft = KeyDemand(request.epoch, request.digest(network), node, UNSIGNED)
    signature = schnorr_sign(labels.SIG_KEY_DEMAND, SUITE, key.er, (network, request.Er), signed_part(draft), random)
    return replace(draft, signature=signature)


def check_demand(network: bytes, committee: Committee, request: KeyRequest, demand: KeyDemand) -> None:
    """Everyone's check of a demand (issuing, step 8).

    :raises Refused: ``wrong-request``, ``not-a-member``, ``bad-signature``.
    """
    same = (demand.epoch, demand.request) == (request.epoch, request.digest(network))
    refuse_unless(same, "wrong-request", "the demand names another request")
    committee.seat_of(demand.node)
    try:
        fields = (network, request.Er)
        schnorr_verify(
            labels.SIG_KEY_DEMAND, SUITE, decode_point(request.Er, "Er"), fields, signed_part(demand), demand.signature
        )
    except Refused as error:
        raise Refused("bad-signature", error.detail) from None
