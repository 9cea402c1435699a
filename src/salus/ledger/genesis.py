"""Genesis: what a network starts from, and what everything else is verified against.

The *core* names all parties, keys and constants; the network's id is a hash of the core, so proofs of possession and
signatures, which name the network, are made afterwards and stand beside it. Block 1's previous id is the hash of the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from salus import labels
from salus.codec import Bytes32, Bytes64, Label, Message, Name, Size
from salus.consensus.block import Validator, ValidatorSet
from salus.consultation.node_record import BlsKey, NodeRecord, check_node_record
from salus.consultation.registration import (
    CLOUD,
    INSTITUTION,
    NODE,
    CentreKey,
    CentreRecord,
    Domain,
    MemberKey,
    MemberRecord,
    check_name,
    verify_member_signature,
)
from salus.errors import Refused, refuse_unless
from salus.groups.ristretto255 import decode_point
from salus.ledger.constants import LONGEST_MS, Constants
from salus.ledger.epoch_state import STATUS, EpochSeat, EpochStatus, open_epoch, put_epoch, with_seats
from salus.ledger.expiry import start as start_expiry
from salus.ledger.kinds.parties import (
    CENTRE,
    INSTITUTIONS,
    LEVELS,
    NODES,
    VALIDATORS,
    Institution,
    Node,
    add_party,
    key_digest,
)
from salus.ledger.kinds.protocol import PROTOCOL, Protocol
from salus.ledger.kinds.sharing.constants import SHARING_CONSTANTS, SHARING_VERSION, SharingConstants
from salus.ledger.kinds.voters import MAX_INSTITUTIONS, give_say
from salus.ledger.state import EmptyState, Overlay, Table, Write
from salus.symmetric import Random, h2

INSTITUTIONS_AT_LEAST: Final = 4
"""Fewest institutions: approvals by more than 2/3 of them always take three."""
MAX_NODES: Final = 200
MAX_CLOUDS: Final = 16
FIRST_EPOCH: Final = 1
HL1: Final = LEVELS[0]


class GenesisInstitution(Message, frozen=True):
    """An institution of the start: its level (HL1, HL2), its voting weight and the nodes it operates."""

    KIND = "genesis.institution"
    member: MemberRecord
    display_name: Name
    level: Label
    weight: int
    nodes: Annotated[tuple[Name, ...], Size(0, MAX_NODES)]


class GenesisNode(Message, frozen=True):
    """A node's public keys; ``E`` is its encryption key of the first epoch."""

    KIND = "genesis.node"
    member: MemberRecord
    consensus_key: Bytes32
    bls_key: BlsKey
    E: Bytes32


class GenesisCloud(Message, frozen=True):
    """A cloud of the start."""

    KIND = "genesis.cloud"
    member: MemberRecord
    display_name: Name


class GenesisCore(Message, frozen=True):
    """Everything but proofs and signatures.

    :ivar chain: short name of the network. :ivar time_ms: UTC milliseconds; block 1 is later.
    :ivar validators: names of the nodes with a seat, in the order of the first ranking; n = 3f + 1.
    """

    KIND = "genesis.core"
    chain: Label
    time_ms: int
    protocol_version: int
    centre: CentreRecord
    institutions: Annotated[tuple[GenesisInstitution, ...], Size(INSTITUTIONS_AT_LEAST, MAX_INSTITUTIONS)]
    nodes: Annotated[tuple[GenesisNode, ...], Size(1, MAX_NODES)]
    validators: Annotated[tuple[Name, ...], Size(1, MAX_NODES)]
    clouds: Annotated[tuple[GenesisCloud, ...], Size(1, MAX_CLOUDS)]
    constants: Constants

    def network(self) -> bytes:
        """The network's id: ``H2("network", core)``, 32 bytes."""
        return h2(labels.NETWORK, labels.SUITE_LEDGER, self.to_value())


class SharingGenesisCore(GenesisCore, frozen=True):
    """The core of a network that shares from its first block: protocol version 2 or later.

    Nodes without a seat are check nodes, the second level.
    """

    VERSION = 2
    sharing: SharingConstants


class Genesis(Message, frozen=True):
    """A core with its proofs and signatures, in the order of the core's lists.

    :ivar node_records: the nodes' signed records with proofs of possession of every key.
    :ivar institution_signatures, cloud_signatures: over the network's id, by the parties' own keys.
    :ivar centre_signature: over the network's id and everything above.
    """

    KIND = "genesis"
    core: GenesisCore | SharingGenesisCore
    node_records: Annotated[tuple[NodeRecord, ...], Size(1, MAX_NODES)]
    institution_signatures: Annotated[tuple[Bytes64, ...], Size(INSTITUTIONS_AT_LEAST, MAX_INSTITUTIONS)]
    cloud_signatures: Annotated[tuple[Bytes64, ...], Size(1, MAX_CLOUDS)]
    centre_signature: Bytes64

    def network(self) -> bytes:
        """The network's id, 32 bytes."""
        return self.core.network()

    def chain_id(self) -> str:
        """First 20 bytes of the network's id in hex: the name CometBFT knows the chain by."""
        return self.network()[:20].hex()

    def hash(self) -> bytes:
        """Previous id of block 1: hash of the whole genesis, 32 bytes."""
        return h2(labels.GENESIS, labels.SUITE_LEDGER, self.to_value())

    def domain(self) -> Domain:
        """Network and centre, as the consultation protocol takes them."""
        return Domain(self.network(), self.core.centre.Pub)

    def validators(self) -> ValidatorSet:
        """The first validator set."""
        keys = {n.member.name: n.consensus_key for n in self.core.nodes}
        return ValidatorSet(tuple(Validator(name, keys[name]) for name in self.core.validators))

    def verify(self) -> None:
        """Check the whole genesis; without this it is only bytes.

        :raises Refused: with the reason of the first thing that is wrong.
        """
        _check_core(self.core)
        _check_proofs(self)


class Network(Message, frozen=True):
    """The network as its own state names it."""

    KIND = "state.network"
    network: Bytes32
    genesis_hash: Bytes32
    chain: Label
    genesis_ms: int


NETWORK: Final = Table("network", Network)
CONSTANTS: Final = Table("constants", Constants)


def initial_writes(genesis: Genesis) -> tuple[Write, ...]:
    """The state in front of block 1, as a write set on the empty state."""
    core = genesis.core
    state = Overlay(EmptyState())
    Pub = decode_point(core.centre.Pub, "Pub")
    NETWORK.put(state, b"", Network(genesis.network(), genesis.hash(), core.chain, core.time_ms))
    CONSTANTS.put(state, b"", core.constants)
    if isinstance(core, SharingGenesisCore):
        SHARING_CONSTANTS.put(state, b"", core.sharing)
    PROTOCOL.put(state, b"", Protocol(core.protocol_version, 0, 0))
    CENTRE.put(state, b"", core.centre)
    start_expiry(state, core.time_ms)
    for institution in core.institutions:
        W = institution.member.public_key(Pub).encode()
        add_party(state, core.time_ms, institution.member, institution.display_name, W)
        name = institution.member.name
        INSTITUTIONS.put(state, name.encode(), Institution(name, institution.level, institution.weight))
        give_say(state, name, key_digest(W))
    operators = {node: i.member.name for i in core.institutions for node in i.nodes}
    seats = {}
    for node, record in zip(core.nodes, genesis.node_records, strict=True):
        name, W = node.member.name, node.member.public_key(Pub).encode()
        add_party(state, core.time_ms, node.member, name, W)
        NODES.put(state, name.encode(), Node(operators[name], record))
        seats[name] = EpochSeat(name, W, node.E)
    for cloud in core.clouds:
        W = cloud.member.public_key(Pub).encode()
        add_party(state, core.time_ms, cloud.member, cloud.display_name, W)
    validators = genesis.validators()
    VALIDATORS.put(state, b"", validators)
    STATUS.put(state, b"", EpochStatus(0, 0, 0))
    count = len(validators.members)
    epoch = open_epoch(state, FIRST_EPOCH, core.time_ms, count, validators.quorum)
    put_epoch(state, with_seats(epoch, tuple(seats[m.name] for m in validators.members), core.time_ms))
    return state.write_set()


def sign_core(core: GenesisCore, party: MemberKey, random: Random) -> bytes:
    """An institution's or a cloud's signature of the genesis: 64 bytes."""
    network = core.network()
    return party.sign(network, labels.SIG_GENESIS, network, random)


def seal_genesis(
    core: GenesisCore,
    node_records: Sequence[NodeRecord],
    institution_signatures: Sequence[bytes],
    cloud_signatures: Sequence[bytes],
    centre: CentreKey,
    random: Random,
) -> Genesis:
    """The centre puts the whole genesis together and signs it.

    :raises Refused: if anything in it does not verify.
    """
    records, institutions, clouds = tuple(node_records), tuple(institution_signatures), tuple(cloud_signatures)
    network = core.network()
    draft = Genesis(core, records, institutions, clouds, bytes(64))
    signature = centre.sign(network, core.centre.name, labels.SIG_GENESIS, _signed_by_centre(draft), random)
    genesis = Genesis(core, records, institutions, clouds, signature)
    genesis.verify()
    return genesis


def _signed_by_centre(genesis: Genesis) -> object:
    return genesis.to_value()[:-1]


def _check_core(core: GenesisCore) -> None:
    core.constants.check()
    refuse_unless(core.protocol_version >= 1, "bad-encoding", "protocol versions count from 1")
    if isinstance(core, SharingGenesisCore):
        core.sharing.check()
    shares = isinstance(core, SharingGenesisCore)
    refuse_unless(shares == (core.protocol_version >= SHARING_VERSION), "bad-encoding", "sharing and its constants go together")
    refuse_unless(0 < core.time_ms < 100 * LONGEST_MS, "bad-encoding", f"genesis time {core.time_ms}")
    check_name(core.centre.name)
    for key in (core.centre.Pub, core.centre.signing_key, core.centre.sealing_key):
        decode_point(key, "a key of the centre")
    members = [
        *((INSTITUTION, i.member) for i in core.institutions),
        *((NODE, n.member) for n in core.nodes),
        *((CLOUD, c.member) for c in core.clouds),
    ]
    for role, member in members:
        refuse_unless(member.role == role, "bad-encoding", f"{member.name} stands among the {role}s as a {member.role}")
        check_name(member.name)
    _check_distinct([(m.role, m.name) for _, m in members], "two parties of one name")
    _check_distinct([m.P for _, m in members], "two parties with one key")
    _check_distinct([n.consensus_key for n in core.nodes], "two nodes with one consensus key")
    _check_distinct([n.bls_key for n in core.nodes], "two nodes with one BLS key")
    _check_distinct([n.E for n in core.nodes], "two nodes with one epoch key")
    _check_operators(core)


def _check_operators(core: GenesisCore) -> None:
    names = {n.member.name for n in core.nodes}
    operated = [name for i in core.institutions for name in i.nodes]
    _check_distinct(operated, "a node with two operators")
    refuse_unless(set(operated) == names, "bad-encoding", "every node has one operator among the institutions")
    _check_distinct(core.validators, "a node with two seats")
    seats = len(core.validators)
    refuse_unless(seats >= 4 and seats % 3 == 1, "bad-encoding", f"{seats} seats; n = 3f + 1 with f at least 1: 4, 7, 10, ..")
    for institution in core.institutions:
        refuse_unless(institution.level in LEVELS, "bad-encoding", f"{institution.member.name} has level {institution.level}")
        refuse_unless(institution.weight < 1 << 32, "bad-encoding", "weights are below 2^32")
        held = len(set(institution.nodes) & set(core.validators))
        name = institution.member.name
        refuse_unless(held == 0 or institution.level == HL1, "bad-encoding", f"{name} has seats but not level {HL1}")
        refuse_unless(held <= (seats - 1) // 3, "bad-encoding", f"{name} holds {held} seats, more than f")
    refuse_unless(set(core.validators) <= names, "bad-encoding", "a seat of an unknown node")


def _check_distinct(values: Sequence[object], what: str) -> None:
    refuse_unless(len(set(values)) == len(values), "bad-encoding", f"genesis: {what}")


def _check_proofs(genesis: Genesis) -> None:
    core = genesis.core
    network, Pub = core.network(), decode_point(core.centre.Pub, "Pub")
    counts = (len(genesis.node_records), len(genesis.institution_signatures), len(genesis.cloud_signatures))
    expected = (len(core.nodes), len(core.institutions), len(core.clouds))
    refuse_unless(counts == expected, "bad-encoding", f"genesis has {counts} proofs for {expected} parties")
    for node, record in zip(core.nodes, genesis.node_records, strict=True):
        named = (record.member, record.consensus_key, record.bls_key, record.epoch_key.E, record.epoch_key.epoch)
        same = named == (node.member, node.consensus_key, node.bls_key, node.E, FIRST_EPOCH)
        refuse_unless(same, "bad-encoding", f"the record of {node.member.name} proves other keys")
        check_node_record(network, record, Pub)
    signed = [
        *zip([i.member for i in core.institutions], genesis.institution_signatures, strict=True),
        *zip([c.member for c in core.clouds], genesis.cloud_signatures, strict=True),
    ]
    for member, signature in signed:
        W = member.public_key(Pub)
        try:
            verify_member_signature(network, labels.SIG_GENESIS, member.name, W, network, signature)
        except Refused as error:
            raise Refused("bad-signature", f"genesis, {member.name}: {error.detail}") from None
    centre = core.centre
    message = _signed_by_centre(genesis)
    verify_member_signature(network, labels.SIG_GENESIS, centre.name, centre.signing_key, message, genesis.centre_signature)
