"""Founding a network: every founding party makes its keys in its own directory, the centre seals the genesis.

Here all directories lie in one home; parties on several machines do the same steps and exchange the public parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from salus.centre.centre import create_key
from salus.cloud.key import KEY_FILE as CLOUD_KEY_FILE
from salus.cloud.key import save_cloud_key
from salus.consultation.node_record import BlsSecret, make_node_record
from salus.consultation.registration import (
    CLOUD,
    INSTITUTION,
    NO_QUARTER,
    NODE,
    CentreKey,
    MemberKey,
    SecretValue,
    issue_partial_key,
)
from salus.consultation.shared_value import EpochSecret
from salus.errors import refuse_unless
from salus.files import make_private_directory, write_atomic, write_key_file
from salus.ledger.constants import Constants
from salus.ledger.genesis import (
    FIRST_EPOCH,
    HL1,
    Genesis,
    GenesisCloud,
    GenesisInstitution,
    GenesisNode,
    SharingGenesisCore,
    seal_genesis,
    sign_core,
)
from salus.ledger.kinds.sharing.constants import SHARING_VERSION, SharingConstants
from salus.network.home import GENESIS_FILE, Home
from salus.node.secrets import EPOCHS_DIRECTORY, KEY_FILE, NodeKeyFile
from salus.symmetric import Random

CENTRE_NAME: Final = "salus/centre"
CLOUD_NAME: Final = "salus/cloud"
INSTITUTIONS: Final = (
    ("st-anne", "St Anne Hospital"),
    ("riverside", "Riverside Clinic"),
    ("northfield", "Northfield University Hospital"),
    ("lakeside", "Lakeside Research Institute"),
)
"""Founding institutions of an embedded network; each operates nodes in turn, never more than f seats."""
NODES_MAX: Final = 31
"""Seats that the design is measured with."""
SHARING: Final = SharingConstants(key_turn_ms=10_000, deal_window_ms=10_000, complaint_window_ms=30_000)
"""Windows of a network whose parties live in one home: somebody waits for the start, but only if a node is silent."""
CHECK_NODES: Final = 3
"""Check nodes of a new network (the seed's second level): one may be silent and one may lie."""
CHECK_NODES_MAX: Final = 16


class FoundingInstitution(msgspec.Struct, frozen=True):
    """An institution's key at the founding; its wallet is made by the caller."""

    key: MemberKey
    display_name: str


class Founded(msgspec.Struct, frozen=True):
    """A founded network: its genesis and the institutions' keys, to be put into wallets."""

    genesis: Genesis
    institutions: tuple[FoundingInstitution, ...]


def found(
    home: Home,
    nodes: int,
    time_ms: int,
    random: Random,
    constants: Constants | None = None,
    sharing: SharingConstants | None = None,
    check_nodes: int = CHECK_NODES,
    clouds: int = 1,
) -> Founded:
    """Make centre, nodes, check nodes, cloud and institutions of a new network below ``home``.

    :param nodes: seats, n = 3f + 1 with f at least 1.
    :param time_ms: genesis time, UTC milliseconds.
    :param check_nodes: nodes without a seat, which validate and do not propose; each institution operates some in turn.
    :param clouds: independently run clouds; records can be kept at several, which repair each other.
    :raises Refused: ``bad-encoding`` for another number of nodes.
    :raises StorageError: a directory holds keys already, or cannot be written.
    """
    right = 4 <= nodes <= NODES_MAX and nodes % 3 == 1
    refuse_unless(right, "bad-encoding", f"{nodes} nodes: a network has 3f + 1, that is 4, 7, 10, .. up to {NODES_MAX}")
    refuse_unless(0 <= check_nodes <= CHECK_NODES_MAX, "bad-encoding", f"a network has up to {CHECK_NODES_MAX} check nodes")
    centre = create_key(home.centre, random)
    institutions = [
        FoundingInstitution(_member(centre, INSTITUTION, f"{short}/board", random), display) for short, display in INSTITUTIONS
    ]
    places = [*(f"node-{i}" for i in range(nodes)), *(f"check-{i}" for i in range(check_nodes))]
    operators = [INSTITUTIONS[int(place.split("-")[1]) % len(INSTITUTIONS)][0] for place in places]
    members = [_member(centre, NODE, f"{operator}/{place}", random) for operator, place in zip(operators, places, strict=True)]
    consensus = [Ed25519PrivateKey.from_private_bytes(random(32)) for _ in members]
    bls = [BlsSecret.generate(random) for _ in members]
    epochs = [EpochSecret.generate(FIRST_EPOCH, random) for _ in members]
    keepers = [_member(centre, CLOUD, f"{CLOUD_NAME}-{i}" if i else CLOUD_NAME, random) for i in range(clouds)]
    core = SharingGenesisCore(
        chain="salus-embedded",
        time_ms=time_ms,
        protocol_version=SHARING_VERSION,
        centre=centre.record(CENTRE_NAME),
        institutions=tuple(_genesis_institution(i, members, operators) for i in institutions),
        nodes=tuple(
            GenesisNode(m.record(), c.public_key().public_bytes_raw(), b.public, e.E)
            for m, c, b, e in zip(members, consensus, bls, epochs, strict=True)
        ),
        validators=tuple(m.name for m in members[:nodes]),
        clouds=tuple(GenesisCloud(keeper.record(), f"Cloud {i}" if i else "Cloud") for i, keeper in enumerate(keepers)),
        constants=constants or Constants(),
        sharing=sharing or SHARING,
    )
    network = core.network()
    records = [make_node_record(network, m, c, b, e, random) for m, c, b, e in zip(members, consensus, bls, epochs, strict=True)]
    signatures = [sign_core(core, i.key, random) for i in institutions]
    genesis = seal_genesis(core, records, signatures, [sign_core(core, keeper, random) for keeper in keepers], centre, random)
    directories = [home.directory / place for place in places]
    for directory, member, key, secret, epoch in zip(directories, members, consensus, bls, epochs, strict=True):
        _write_node(directory, member, key, secret, epoch)
    for i, keeper in enumerate(keepers):
        save_cloud_key(home.cloud_of(i) / CLOUD_KEY_FILE, keeper)
    _write_genesis(genesis, [home.centre, *(home.cloud_of(i) for i in range(clouds)), *directories])
    return Founded(genesis, tuple(institutions))


def _member(centre: CentreKey, role: str, name: str, random: Random) -> MemberKey:
    """Registration, steps 1 to 5, with both sides at hand; the proof of possession is the genesis signature."""
    secret = SecretValue.draw(random)
    partial = issue_partial_key(centre.w, role, name, NO_QUARTER, secret.P, random)
    return MemberKey.finish(role, name, secret, partial, centre.Pub)


def _genesis_institution(
    institution: FoundingInstitution, members: Sequence[MemberKey], operators: Sequence[str]
) -> GenesisInstitution:
    short = institution.key.name.split("/")[0]
    operated = tuple(m.name for m, operator in zip(members, operators, strict=True) if operator == short)
    return GenesisInstitution(institution.key.record(), institution.display_name, HL1, 1, operated)


def _write_node(directory: Path, member: MemberKey, consensus: Ed25519PrivateKey, bls: BlsSecret, epoch: EpochSecret) -> None:
    make_private_directory(directory / EPOCHS_DIRECTORY)
    content = NodeKeyFile(member.record(), member.export_secret(), consensus.private_bytes_raw(), bls.export_secret())
    write_key_file(directory / KEY_FILE, content.encode())
    write_key_file(directory / EPOCHS_DIRECTORY / f"{FIRST_EPOCH}.key", epoch.export_secret())


def _write_genesis(genesis: Genesis, directories: Sequence[Path]) -> None:
    encoded = genesis.encode()
    for directory in directories:
        make_private_directory(directory)
        write_atomic(directory / GENESIS_FILE, encoded)
