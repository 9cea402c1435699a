"""Small parts: one-time keys, attachments in one batch, garbled boxes as evidence, what is shown of secrets."""

from __future__ import annotations

import pytest

from salus import labels
from salus.abpre.attributes import ATTRIBUTE_CHARACTERS_MAX
from salus.abpre.threshold import delegations as dg
from salus.abpre.threshold import hand_over as ho
from salus.abpre.threshold import key_collecting as kc
from salus.abpre.threshold import key_issuing as ki
from salus.abpre.threshold import partials as pt
from salus.abpre.threshold import receipts as rc
from salus.abpre.threshold import scalar_deals as sd
from salus.abpre.threshold import transforming as tf
from salus.abpre.threshold.box import Box, BoxKey
from salus.abpre.threshold.committee import SEATS_MAX, SUITE, THRESHOLD_MAX, Value
from salus.abpre.threshold.groups import BLS_G1, OPRF, RISTRETTO, Z, group_of
from salus.groups.bls12_381 import G1, random_fr
from salus.groups.proofs import schnorr_sign
from salus.groups.ristretto255 import base_mul, random_scalar
from salus.ledger.transactions import MAX_TRANSACTION_BYTES
from support.consultation_world import flip, refusal
from support.threshold_world import HOSPITAL, NETWORK, SCOPE, altered, dealt, make_holders, resigned

HOLDERS = dealt(4)
RANDOM = HOLDERS.world.random


def garbled(recipient: bytes, ctx: Value, size_bytes: int) -> Box:
    """A box of the right size with a true proof of rho, whose ciphertext opens for nobody."""
    rho, ciphertext = random_scalar(RANDOM), RANDOM(size_bytes + 16)
    R = base_mul(rho).encode()
    return Box(R, ciphertext, schnorr_sign(labels.BOX_POSSESSION, SUITE, rho, (ctx, recipient, R), ciphertext, RANDOM))


def test_one_time_keys_are_kept_and_erased():
    key = BoxKey.generate(RANDOM)
    data = key.export_secret()
    assert BoxKey.from_secret(data).Er == key.Er
    assert data.hex() not in repr(key)
    key.wipe()
    assert refusal(key.export_secret) == "erased"
    assert refusal(lambda: key.er) == "erased"


def test_attachments_in_one_batch():
    items = []
    for _ in range(5):
        delegation, c = RANDOM(32), G1.generator().mul(random_fr(RANDOM)).encode()
        items.append((delegation, dg.digest_of_c(NETWORK, delegation, c), c))
    dg.check_attachments(NETWORK, items)
    delegation, digest, c = items[2]
    for bad in ((delegation, digest, flip(c, 5)), (RANDOM(32), digest, c), (delegation, flip(digest, 0), c)):
        assert refusal(dg.check_attachments, NETWORK, [*items[:2], bad, *items[3:]]) == "bad-delegation"
    no_point = bytes(48)
    assert refusal(
        dg.check_attachments, NETWORK, [(delegation, dg.digest_of_c(NETWORK, delegation, no_point), no_point)]
    ) == "bad-point"  # fmt: skip
    assert refusal(dg.check_attachments, NETWORK, []) == "too-large"
    assert refusal(dg.check_attachments, bytes(32), items) == "bad-delegation"


def test_a_box_that_opens_for_nobody_convicts_the_node_that_signed_it():
    node = HOLDERS.node(1).member
    request, key = HOLDERS.request(("role:a",))
    honest = HOLDERS.issue(request, 1)
    box = garbled(request.Er, ki.partial_context(NETWORK, request, node.name), ki.partial_bytes(request))
    false = resigned(node, altered(honest, box=box), labels.SIG_PARTIAL_KEY, RANDOM)
    got = HOLDERS.collect(request, key, [false, *(HOLDERS.issue(request, i) for i in (2, 3, 4))])
    assert got.key is not None
    assert [HOLDERS.judge_key(request, e) for e in got.evidence] == [node.name]

    delegation, c, _ = HOLDERS.delegate(HOLDERS.key(SCOPE))
    target = HOLDERS.target(delegation, HOLDERS.capsule(SCOPE, bytes(32)), key)
    for garbage in (
        {"box": garbled(key.Er, pt.target_context(target, node.name), pt.PARTIAL_BYTES)},
        {"attachment": garbled(key.Er, pt.attachment_context(target, node.name), len(c))},
    ):
        partial = altered(HOLDERS.partial(target, 1, c), **garbage)
        partial = altered(partial, signature=node.sign(NETWORK, labels.SIG_PARTIAL, partial.claim().signed(), RANDOM))
        done = tf.transform_and_open(
            HOLDERS.committee, target, HOLDERS.scalars[Z], HOLDERS.parameters, HOLDERS.delta(HOLDERS.key(HOSPITAL), delegation),
            key, [partial, *(HOLDERS.partial(target, i, c) for i in (2, 3, 4))], RANDOM,
        )  # fmt: skip
        assert done.key == bytes(32)
        assert [tf.judge_transformation(HOLDERS.committee, target, HOLDERS.scalars[Z], e) for e in done.evidence] == [node.name]


def test_what_is_shown_of_partial_results():
    request, key = HOLDERS.request(("role:a",))
    partial = kc.open_partial_key(NETWORK, HOLDERS.committee, request, key, HOLDERS.issue(request, 1))
    got = HOLDERS.collect(request, key, [HOLDERS.issue(request, i) for i in (1, 2, 3)])
    delegation, c, _ = HOLDERS.delegate(HOLDERS.key(SCOPE))
    target = HOLDERS.target(delegation, HOLDERS.capsule(SCOPE, bytes(32)), key)
    opened = tf.open_partial(HOLDERS.committee, target, key, HOLDERS.partial(target, 1, c))
    shown = [repr(x) for x in (partial, got, opened, tf.Transformed(b"\xc5" * 32, (1,), ()), RISTRETTO, BLS_G1)]
    assert shown[0] == "PartialKey(index=1)"
    assert not any("\\xc5" in text or partial.encoded[:16].hex() in text for text in shown)


@pytest.mark.parametrize("purpose", [Z, OPRF])
def test_a_key_that_would_be_the_identity_is_refused(purpose):
    """Dealers who agree can make their constants cancel; then there is no key."""
    holders, group = make_holders(4, "cancel"), group_of(purpose)
    one = group.small(1)
    deals = [
        sd.deal_scalar(NETWORK, holders.committee, purpose, holders.node(i).member, 0, constant, RANDOM)
        for i, constant in ((1, one), (2, one), (3, -(one + one)))
    ]
    assert refusal(ho.fix_scalar, holders.committee, deals) == "bad-deal"


def test_shares_are_put_together_from_the_deals_that_fixed_the_sharing():
    holders = make_holders(4, "deals")
    deals = [holders.scalar_deal(Z, i) for i in (1, 2, 3)]
    public = sd.ScalarPublic(ho.fix_scalar(holders.committee, deals))
    node = holders.node(4)
    take = lambda chosen: refusal(  # noqa: E731
        ho.open_scalar_share, NETWORK, holders.committee, public, chosen, node.name, node.secret
    )
    assert take(deals) is None
    assert take(deals[::-1]) == "bad-deal"
    assert take([*deals[:2], holders.scalar_deal(Z, 3)]) == "bad-deal"
    other = holders.node(3).secret
    assert refusal(ho.open_scalar_share, NETWORK, holders.committee, public, deals, node.name, other) == "bad-box"


def test_receipts_need_every_signers_key():
    keys = {n.name: n.bls.public for n in HOLDERS.nodes}
    deletions = [rc.sign_deletion(NETWORK, 1, n.name, n.bls.export_secret(), bytes(32), bytes(32)) for n in HOLDERS.nodes]
    receipt = rc.make_receipt(NETWORK, HOLDERS.committee, keys, deletions)
    keys.pop(HOLDERS.node(2).name)
    assert refusal(rc.check_receipt, NETWORK, HOLDERS.committee, keys, receipt) == "not-a-member"


def test_no_scalar_is_shared_for_anything_else():
    assert refusal(group_of, "alpha") == "bad-encoding"
    assert refusal(sd.make_scalar_deal, NETWORK, HOLDERS.committee, "x", HOLDERS.node(1).member, RANDOM) == "bad-encoding"


def test_the_largest_committee_and_request_fit_transactions():
    holders = make_holders(SEATS_MAX, "largest")
    assert holders.t == THRESHOLD_MAX
    alpha = holders.alpha_deal(1)
    holders.check_alpha(alpha)
    scalars = [holders.scalar_deal(purpose, 1) for purpose in (Z, OPRF)]
    for deal in scalars:
        holders.check_scalar(deal)
    names = [f"abcdefghijklmnop:{'v' * 59}{i:05}@2026" for i in range(ki.REQUEST_ATTRIBUTES_MAX)]
    request, key = HOLDERS.request(names)
    assert max(map(len, names)) == ATTRIBUTE_CHARACTERS_MAX
    issued = HOLDERS.issue(request, 1)
    evidence = kc.prove_bad_partial(NETWORK, request, key, issued, RANDOM)
    for message in (alpha, *scalars, request, issued, evidence):
        assert len(message.encode()) < MAX_TRANSACTION_BYTES - 4096, type(message)
    assert refusal(HOLDERS.request, [*names, "role:a"]) == "too-large"
