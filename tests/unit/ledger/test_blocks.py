"""Blocks, votes, certificates and evidence: the types that engine, ledger and light clients share."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from salus.consensus import block as b
from salus.consensus.interface import ValidatorUpdate
from salus.errors import Refused
from salus.merkle import EMPTY_ROOT
from support.ledger_world import LedgerWorld


@pytest.fixture(scope="module")
def world() -> LedgerWorld:
    return LedgerWorld("blocks")


@pytest.fixture(scope="module")
def block(world: LedgerWorld) -> b.Block:
    chain = world.chain()
    chain.decide([world.doctor()[0]])
    return chain.block(chain.input([world.doctor("hospital-1/dr-two")[0]]))


def test_a_header_is_named_by_every_field(block: b.Block) -> None:
    header = block.header
    changed = {header.id()}
    for name in header.__struct_fields__:
        value = getattr(header, name)
        other = value + 1 if isinstance(value, int) else value + "x" if isinstance(value, str) else bytes(32)
        changed.add(replace(header, **{name: other}).id())
    assert len(changed) == len(header.__struct_fields__) + 1


def test_the_body_is_what_the_header_says(block: b.Block) -> None:
    b.check_body(block)
    assert block.previous_certificate is not None
    wrong = [
        replace(block, transactions=()),
        replace(block, transactions=block.transactions * 2),
        replace(block, misbehaviour=block.transactions, transactions=()),
        replace(block, previous_certificate=None),
        replace(block, previous_certificate=replace(block.previous_certificate, view=1)),
    ]
    for other in wrong:
        with pytest.raises(Refused, match="bad-encoding"):
            b.check_body(other)
    with pytest.raises(Refused, match="too-large"):
        b.check_body(replace(block, transactions=(bytes(4 << 20), bytes(4 << 20))))
    assert b.transaction_root((), ()) == EMPTY_ROOT
    assert b.transaction_root((b"a",), ()) != b.transaction_root((), (b"a",))


def test_certificates(world: LedgerWorld, block: b.Block) -> None:
    header, network, validators = block.header, world.network, world.validators
    good = world.sign_certificate(header.height, 3, header.id())
    b.verify_decided(header, good, network, validators)
    b.verify_decided(header, world.sign_certificate(header.height, 0, header.id(), [0, 2, 3]), network, validators)
    one, two, three = good.signatures
    cases = {
        "no-quorum": [replace(good, signatures=s) for s in ((one, two), (one, one, two), (two, one, three), (one, two, two))],
        "bad-signature": [
            replace(good, view=4),
            replace(good, signatures=(one, two, replace(three, signature=two.signature))),
            replace(good, block_id=bytes(32)),
            replace(good, height=header.height + 1),
        ],
        "unknown-party": [replace(good, signatures=(one, two, replace(three, name="no/body")))],
    }
    for reason, certificates in cases.items():
        for certificate in certificates:
            with pytest.raises(Refused, match=reason):
                b.verify_decided(header, certificate, network, validators)
    for other_network, other_set in ((bytes(32), validators), (network, b.ValidatorSet(validators.members[:3]))):
        with pytest.raises(Refused, match="bad-signature"):
            b.verify_decided(header, good, other_network, other_set)


def test_votes_of_different_kinds_heights_views_and_networks_differ(world: LedgerWorld) -> None:
    base = (world.network, b.PREPARE, 5, 0, bytes(32))
    others = [(bytes(32), *base[1:]), (base[0], b.COMMIT, *base[2:]), (*base[:2], 6, *base[3:]), (*base[:3], 1, base[4])]
    assert len({b.vote_bytes(*vote) for vote in (base, *others)}) == 5


def test_turns_and_missed_turns(world: LedgerWorld) -> None:
    validators = world.validators
    names = [m.name for m in validators.members]
    assert [validators.primary(6, view).name for view in range(3)] == [names[2], names[3], names[0]]
    assert validators.missed(6, 0) == ()
    assert validators.missed(6, 2) == (names[2], names[3])
    assert sorted(validators.missed(6, 1_000_000)) == sorted(names)
    assert validators.index(names[3]) == 3
    with pytest.raises(Refused, match="unknown-party"):
        validators.index("no/body")


def test_changes_of_the_set(world: LedgerWorld) -> None:
    validators, key = world.validators, bytes([9]) * 32
    names = [m.name for m in validators.members]
    assert validators.changed([]) == validators
    grown = validators.changed([ValidatorUpdate("new/node", key, 1), ValidatorUpdate(names[0], b"", 0)])
    assert [m.name for m in grown.members] == [*names[1:], "new/node"]
    wrong = [
        [ValidatorUpdate("no/body", b"", 0)],
        [ValidatorUpdate("new/node", validators.members[0].public_key, 1)],
        [ValidatorUpdate(name, b"", 0) for name in names],
    ]
    for updates in wrong:
        with pytest.raises(Refused, match="bad-encoding"):
            validators.changed(updates)
    assert grown.hash() != validators.hash()
    assert b.ValidatorSet(validators.members[::-1]).hash() != validators.hash()


def equivocation(world: LedgerWorld, node: int = 1, kind: str = b.PREPARE) -> b.Equivocation:
    first, second = bytes([1]) * 32, bytes([2]) * 32
    keys = world.nodes[node]
    signed = [keys.consensus.sign(b.vote_bytes(world.network, kind, 7, 2, block_id)) for block_id in (first, second)]
    return b.Equivocation(keys.member.name, kind, 7, 2, first, signed[0], second, signed[1])


def test_evidence_convicts_only_who_signed_twice(world: LedgerWorld) -> None:
    key = world.validators.members[1].public_key
    good = equivocation(world)
    good.verify(world.network, key)
    wrong = [
        (replace(good, second_id=good.first_id, second_signature=good.first_signature), "bad-encoding"),
        (
            replace(
                good,
                first_id=good.second_id,
                first_signature=good.second_signature,
                second_id=good.first_id,
                second_signature=good.first_signature,
            ),
            "bad-encoding",
        ),
        (replace(good, view=3), "bad-signature"),
        (replace(good, vote_kind=b.COMMIT), "bad-signature"),
        (equivocation(world, kind=b.VIEW_CHANGE), "bad-encoding"),
        (equivocation(world, node=2), "bad-signature"),
    ]
    for evidence, reason in wrong:
        with pytest.raises(Refused, match=reason):
            evidence.verify(world.network, key)
    with pytest.raises(Refused, match="bad-signature"):
        good.verify(bytes(32), key)


def test_blocks_are_canonical(block: b.Block) -> None:
    assert b.Block.decode(block.encode()) == block
    with pytest.raises(Refused, match="bad-encoding"):
        b.Block.decode(block.encode() + b"\0")
