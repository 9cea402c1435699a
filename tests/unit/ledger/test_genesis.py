"""Genesis: everything in it is checked, and the network's id is a hash of all but proofs and signatures."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from salus.errors import Refused
from salus.ledger.constants import LONGEST_MS, Constants
from salus.ledger.genesis import Genesis, GenesisCore, initial_writes
from support.ledger_world import LedgerWorld


@pytest.fixture(scope="module")
def world() -> LedgerWorld:
    return LedgerWorld()


def reason(genesis: Genesis) -> str:
    try:
        genesis.verify()
    except Refused as refusal:
        return refusal.reason
    return ""


def test_a_whole_genesis_verifies_and_is_canonical(world: LedgerWorld) -> None:
    genesis = world.genesis
    genesis.verify()
    assert Genesis.decode(genesis.encode()) == genesis
    assert genesis.chain_id() == genesis.network()[:20].hex()
    assert initial_writes(genesis) == initial_writes(Genesis.decode(genesis.encode()))
    keys = [key for key, _ in initial_writes(genesis)]
    assert keys == sorted(set(keys))


def test_proofs_change_the_hash_but_not_the_network(world: LedgerWorld) -> None:
    genesis = world.genesis
    other = replace(genesis, centre_signature=bytes(64))
    assert other.network() == genesis.network()
    assert other.hash() != genesis.hash()
    moved = replace(genesis, core=replace(genesis.core, time_ms=genesis.core.time_ms + 1))
    assert moved.network() != genesis.network()


def cores(core: GenesisCore) -> dict[str, GenesisCore]:
    """Cores that make no sense, by what is wrong."""
    first, second = core.institutions[:2]
    node = core.nodes[0]
    return {
        "too few seats": replace(core, validators=core.validators[:3]),
        "not 3f + 1": replace(core, validators=core.validators[:1]),
        "one seat twice": replace(core, validators=(*core.validators[:3], core.validators[0])),
        "an unknown seat": replace(core, validators=(*core.validators[:3], "no/body")),
        "two operators": replace(core, institutions=(replace(first, nodes=second.nodes), *core.institutions[1:])),
        "no operator": replace(core, institutions=(replace(first, nodes=()), *core.institutions[1:])),
        "too many seats": replace(
            core,
            institutions=(replace(first, nodes=(*first.nodes, *second.nodes)), replace(second, nodes=()), *core.institutions[2:]),
        ),
        "seats on level 2": replace(core, institutions=(replace(first, level="HL2"), *core.institutions[1:])),
        "unknown level": replace(core, institutions=(replace(first, level="HL3"), *core.institutions[1:])),
        "one key twice": replace(core, nodes=(replace(node, consensus_key=core.nodes[1].consensus_key), *core.nodes[1:])),
        "one BLS key twice": replace(core, nodes=(replace(node, bls_key=core.nodes[1].bls_key), *core.nodes[1:])),
        "one epoch key twice": replace(core, nodes=(replace(node, E=core.nodes[1].E), *core.nodes[1:])),
        "one name twice": replace(core, institutions=(first, replace(second, member=first.member), *core.institutions[2:])),
        "a role elsewhere": replace(core, institutions=(replace(first, member=node.member), *core.institutions[1:])),
        "a bad name": replace(core, centre=replace(core.centre, name="Centre")),
        "no time": replace(core, time_ms=0),
        "version 0": replace(core, protocol_version=0),
        "constants": replace(core, constants=Constants(epoch_length_ms=1, epoch_grace_ms=2)),
    }


def test_cores_that_make_no_sense(world: LedgerWorld) -> None:
    for what, core in cores(world.genesis.core).items():
        assert reason(replace(world.genesis, core=core)) == "bad-encoding", what


def proofs(genesis: Genesis) -> dict[str, tuple[Genesis, str]]:
    record = genesis.node_records[0]
    signed = genesis.institution_signatures
    return {
        "centre": (replace(genesis, centre_signature=signed[0]), "bad-signature"),
        "institution": (replace(genesis, institution_signatures=(signed[1], *signed[1:])), "bad-signature"),
        "cloud": (replace(genesis, cloud_signatures=(signed[0],)), "bad-signature"),
        "missing": (replace(genesis, institution_signatures=(*signed, signed[0])), "bad-encoding"),
        "another node's": (replace(genesis, node_records=(genesis.node_records[1], *genesis.node_records[1:])), "bad-encoding"),
        "consensus key": (
            replace(genesis, node_records=(replace(record, consensus_possession=bytes(64)), *genesis.node_records[1:])),
            "bad-possession",
        ),
        "node": (replace(genesis, node_records=(replace(record, signature=bytes(64)), *genesis.node_records[1:])), "bad-point"),
    }


def test_every_proof_and_signature_counts(world: LedgerWorld) -> None:
    for what, (genesis, expected) in proofs(world.genesis).items():
        assert reason(genesis) == expected, what


def test_a_genesis_of_another_network_proves_nothing_here(world: LedgerWorld) -> None:
    moved = replace(world.genesis, core=replace(world.genesis.core, chain="other"))
    assert reason(moved) in ("bad-signature", "bad-possession")


@pytest.mark.parametrize("name", Constants.__struct_fields__)
def test_constants_have_bounds(name: str) -> None:
    for value in (0, LONGEST_MS + 1):
        with pytest.raises(Refused, match=name):
            replace(Constants(), **{name: value}).check()


def test_seven_seats() -> None:
    world = LedgerWorld("seven", nodes=7)
    assert len(world.validators.members) == 7
    assert (world.validators.faulty, world.validators.quorum) == (2, 5)
