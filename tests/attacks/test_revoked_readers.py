"""Claim: a reader whose delegation was revoked opens no further record, with all that it ever got and 2f nodes on its side.

The reader has delta, c (it saw it with its first record), every public part, and the partial transformations of the records that
were granted to it. Honest nodes have overwritten c and refuse. Where a proxy holds the re-encryption key whole, as in the printed
scheme, one proxy that kept it goes on for ever; where nodes do not look at the ledger, revocation is a word.

What cannot be prevented, and is said: t nodes that pool their shares with who kept c.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from salus.abpre.capsules import VerifiedCapsule
from salus.abpre.keys import restrict
from salus.abpre.language import parse
from salus.abpre.opening import re_decrypt, re_decrypt_with
from salus.abpre.rekeys import Coins, check_rekey, re_encrypt, rekey_gen
from salus.abpre.threshold import transforming as tf
from salus.abpre.threshold.box import BoxKey
from salus.abpre.threshold.partials import ShareTarget
from salus.groups.bls12_381 import Gt, gt_interpolate, random_fr
from salus.ledger.kinds.sharing.delegations import DELEGATIONS, live_delegation
from support.consultation_world import refusal, weaken
from support.sharing_world import HOSPITAL as BOARD
from support.sharing_world import SharingWorld, granted_world
from support.threshold_world import HOSPITAL, SCOPE, Holders, dealt

BEFORE, AFTER = bytes(range(32)), bytes(range(1, 33))


@dataclass
class Revoked:
    """A reader, after it has opened one record of a scope and before it wants another."""

    holders: Holders
    c: bytes
    delta: bytes
    seen: VerifiedCapsule
    wanted: VerifiedCapsule
    old: list[tf.OpenedPartial]
    target: ShareTarget
    key: BoxKey

    def partials(self, *indices: int) -> list[tf.OpenedPartial]:
        """Of nodes that still transform the wanted record: colluders."""
        h = self.holders
        return [tf.open_partial(h.committee, self.target, self.key, h.partial(self.target, i, self.c)) for i in indices]

    def opens(self, A4: Gt) -> bytes:
        return re_decrypt_with(self.holders.parameters, self.wanted, A4, self.delta)


@pytest.fixture(scope="module")
def reader() -> Revoked:
    h = dealt(4)
    seen, wanted = (h.capsule(SCOPE, k) for k in (BEFORE, AFTER))
    delegation, c, _ = h.delegate(h.key(SCOPE))
    key = BoxKey.generate(h.world.random)
    first = h.target(delegation, seen, key)
    old = [tf.open_partial(h.committee, first, key, h.partial(first, i, c)) for i in (1, 2, 3)]
    delta = h.delta(h.key(HOSPITAL), delegation)
    assert re_decrypt_with(h.parameters, seen, tf.combine_partials(first, h.t, old), delta) == BEFORE
    return Revoked(h, c, delta, seen, wanted, old, h.target(delegation, wanted, key), key)


def test_old_partials_open_no_other_record(reader: Revoked) -> None:
    assert refusal(reader.opens, tf.combine_partials(reader.target, 3, reader.old)) == "bad-transformation"


def test_nor_with_2f_nodes_that_kept_c(reader: Revoked) -> None:
    """Two of four collude; what they lack is taken from the records seen before, guessed, or left out."""
    two = reader.partials(1, 2)
    tries = {
        "two alone": tf.combine_partials(reader.target, 2, two),
        "two and an old one": tf.combine_partials(reader.target, 3, [*two, reader.old[2]]),
        "one and two old ones": tf.combine_partials(reader.target, 3, [two[0], *reader.old[1:]]),
    }
    hidden = tries["two alone"] * gt_interpolate([1, 2], [o.D for o in two])
    seen = gt_interpolate([1, 2, 3], [o.D for o in reader.old])
    tries["no cover taken off"] = hidden
    tries["the cover of the record seen"] = hidden / seen
    for number in range(5):
        power = random_fr(reader.holders.world.random)
        tries[f"powers of what was seen, {number}"] = hidden / seen.pow(power)
    for name, A4 in tries.items():
        assert refusal(reader.opens, A4) == "bad-transformation", name


def test_t_nodes_that_kept_c_could(reader: Revoked) -> None:
    """Said in the documents: t nodes that collude are beyond what a threshold withstands."""
    assert reader.opens(tf.combine_partials(reader.target, 3, reader.partials(1, 2, 4))) == AFTER


def test_where_one_proxy_holds_the_whole_re_encryption_key_it_goes_on_for_ever(reader: Revoked) -> None:
    h, random = reader.holders, reader.holders.world.random
    key, policy, aad = h.key(HOSPITAL), parse(HOSPITAL), b"delegation"
    rk = rekey_gen(h.parameters, restrict(h.key(SCOPE), [SCOPE], random), policy, aad, Coins.draw(random))
    rk4 = check_rekey(rk, aad)
    assert re_decrypt(h.parameters, key, reader.wanted, re_encrypt(rk, reader.wanted), rk4) == AFTER


def test_what_was_approved_is_not_granted_after_the_revocation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same through the front door: partials are made, the revocation is committed before the grant."""
    chain = SharingWorld("revoked-readers").chain().set_up()
    granted_world(chain)
    owner = chain.owner()
    rid, delegation = chain.put(owner), chain.delegate(owner, chain.key(owner, owner.attribute))
    (share,), _ = chain.judged(BOARD, {rid: delegation})
    grant = chain.grant_of(share)
    chain.commit(chain.revocation(owner, delegation))
    assert chain.reason(grant) == "delegation-revoked"
    assert refusal(chain.partials, share) == "delegation-revoked"
    # Where whoever asks for a live delegation is given a dead one, too, the grant goes through.
    weaken(monkeypatch, live_delegation, lambda view, name, _time_ms: DELEGATIONS.need(view, name))
    assert chain.reason(grant) == ""
    assert len(chain.partials(share)) == 3
