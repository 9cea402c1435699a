"""Parties of the simulated ledger: keys, genesis, and the transactions that clients of a network would send.

Everything is made once for each size of network from a fixed seed; what the networks differ in is their scenario.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from salus.consultation.appointments import SlotKey, publish_slots
from salus.consultation.credentials import Credential, PidKeys, pid_digest
from salus.consultation.node_record import BlsSecret, make_node_record
from salus.consultation.receipts import sign_upload
from salus.consultation.registration import (
    CLOUD,
    DOCTOR,
    INSTITUTION,
    NO_QUARTER,
    NODE,
    PATIENT,
    CentreKey,
    MemberKey,
    SecretValue,
    finish_key,
    issue_partial_key,
    prove_possession,
    quarter_of,
)
from salus.consultation.request import RequestContext, RequestDraft
from salus.consultation.shared_value import EpochSecret, Seat, acknowledge, make_deal
from salus.groups.ristretto255 import Scalar, base_mul
from salus.ledger.constants import Constants
from salus.ledger.genesis import (
    FIRST_EPOCH,
    HL1,
    INSTITUTIONS_AT_LEAST,
    Genesis,
    GenesisCloud,
    GenesisCore,
    GenesisInstitution,
    GenesisNode,
    SharingGenesisCore,
    seal_genesis,
    sign_core,
)
from salus.ledger.kinds.parties import PartyRegistration, PartyRevocation, key_digest, sign_by_centre
from salus.sim.scenario import START_MS

DEAL_TURN_MS: Final = 10_000
"""Turns of dealers change quickly, so that the deal finds its turn within the simulation."""
DAY: Final = "2023-11-20"
_HOUR_MS: Final = 3600 * 1000
_UNSIGNED: Final = bytes(64)


class _Seeded:
    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._calls = 0

    def __call__(self, count: int, /) -> bytes:
        self._calls += 1
        return hashlib.shake_256(f"{self._seed}/{self._calls}".encode()).digest(count)


class LedgerParties:
    """Keys of a network of ``nodes`` nodes, the first ``seats`` of which have a seat.

    :ivar consensus_seeds: Ed25519 keys of the nodes, 32 bytes each.
    :ivar theta: the shared value of the first epoch, once the deal in :meth:`transactions` is committed.
    """

    def __init__(self, nodes: int, seats: int) -> None:
        self._random = _Seeded(f"simulated ledger {nodes} {seats}")
        random = self._random
        self._centre = CentreKey.generate(random)
        self._institutions = [self._member(INSTITUTION, f"hospital-{i}/board") for i in range(max(INSTITUTIONS_AT_LEAST, nodes))]
        self._nodes = [self._member(NODE, f"hospital-{i}/node-{i}") for i in range(nodes)]
        self._cloud = self._member(CLOUD, "salus/cloud")
        self.consensus_seeds = [random(32) for _ in range(nodes)]
        self._epochs = [EpochSecret.generate(FIRST_EPOCH, random) for _ in range(nodes)]
        self._seats = seats
        self.genesis = self._found()
        self.network = self.genesis.network()
        self.theta: Scalar
        self.wishes, self.forbidden = self._transactions()

    def _member(self, role: str, name: str) -> MemberKey:
        secret = SecretValue.draw(self._random)
        partial = issue_partial_key(self._centre.w, role, name, NO_QUARTER, secret.P, self._random)
        return MemberKey.finish(role, name, secret, partial, self._centre.Pub)

    def _found(self) -> Genesis:
        random, nodes = self._random, self._nodes
        consensus = [Ed25519PrivateKey.from_private_bytes(seed) for seed in self.consensus_seeds]
        bls = self._bls = [BlsSecret.generate(random) for _ in nodes]
        core = self._core(
            GenesisCore(
                chain="simulated",
                time_ms=START_MS - 10_000,
                protocol_version=1,
                centre=self._centre.record("salus/centre"),
                institutions=tuple(
                    GenesisInstitution(m.record(), f"Hospital {i}", HL1, 1, (nodes[i].name,) if i < len(nodes) else ())
                    for i, m in enumerate(self._institutions)
                ),
                nodes=tuple(
                    GenesisNode(m.record(), c.public_key().public_bytes_raw(), b.public, e.E)
                    for m, c, b, e in zip(nodes, consensus, bls, self._epochs, strict=True)
                ),
                validators=tuple(m.name for m in nodes[: self._seats]),
                clouds=(GenesisCloud(self._cloud.record(), "Cloud"),),
                constants=Constants(deal_turn_ms=DEAL_TURN_MS),
            )
        )
        network = core.network()
        records = [
            make_node_record(network, m, c, b, e, random) for m, c, b, e in zip(nodes, consensus, bls, self._epochs, strict=True)
        ]
        institutions = [sign_core(core, m, random) for m in self._institutions]
        return seal_genesis(core, records, institutions, [sign_core(core, self._cloud, random)], self._centre, random)

    def _core(self, core: GenesisCore) -> GenesisCore | SharingGenesisCore:
        """The core that is sealed."""
        return core

    # --- transactions ---

    def _transactions(self) -> tuple[list[tuple[bytes, ...]], list[bytes]]:
        """What clients want, in an order in which it can be had (each: exactly one of these), and what nobody may get."""
        doctor_tx, doctor = self._register("hospital-0/dr-one")
        rival_a, _ = self._register("hospital-1/dr-two")
        rival_b, _ = self._register("hospital-1/dr-two")
        deal, theta = self._deal()
        self.theta = theta
        batch, keys = publish_slots(self.network, doctor, DAY, 0, 8, self._random)
        wishes: list[tuple[bytes, ...]] = [
            (doctor_tx,),
            (deal[0],),
            (batch.encode(),),
            *((ack,) for ack in deal[1:]),
            (rival_a, rival_b),
        ]
        wishes += [(self._request(doctor, keys[sn]),) for sn in range(4)]
        wishes.append((self._request(doctor, keys[4]), self._request(doctor, keys[4])))
        gone_tx, gone = self._register("hospital-2/dr-three")
        wishes += [(gone_tx,), (self._by_centre(PartyRevocation(DOCTOR, gone.name, key_digest(gone.W_bytes), _UNSIGNED)),)]
        wishes += [(self._register(f"hospital-3/dr-{i}")[0],) for i in range(4)]
        forged = PartyRegistration.decode(self._register("hospital-3/dr-forged")[0])
        forged = replace(forged, signature=forged.signature[:32] + bytes(32))
        return wishes, [forged.encode(), b"not a transaction"]

    def _by_centre(self, draft: PartyRegistration | PartyRevocation) -> bytes:
        return sign_by_centre(self.network, "salus/centre", self._centre, draft, self._random).encode()

    def _register(self, name: str) -> tuple[bytes, MemberKey]:
        random = self._random
        secret = SecretValue.draw(random)
        possession = prove_possession(self.network, DOCTOR, name, NO_QUARTER, 0, secret.x, secret.P, random)
        partial = issue_partial_key(self._centre.w, DOCTOR, name, NO_QUARTER, secret.P, random)
        key = MemberKey.finish(DOCTOR, name, secret, partial, self._centre.Pub)
        return self._by_centre(PartyRegistration(key.record(), name.upper(), possession, _UNSIGNED)), key

    def _deal(self) -> tuple[list[bytes], Scalar]:
        """The first epoch's deal and a quorum of acknowledgements."""
        seated = list(zip(self._nodes, self._epochs, strict=True))[: self._seats]
        seats = [Seat(m.name, m.W_bytes, e.E) for m, e in seated]
        dealer = self._nodes[FIRST_EPOCH % self._seats]
        deal, theta = make_deal(self.network, FIRST_EPOCH, dealer, seats, self._random)
        quorum = self.genesis.validators().quorum
        acks = [acknowledge(self.network, m, deal, (), self._random).encode() for m, _ in seated[:quorum]]
        return [deal.encode(), *acks], theta

    def _credential(self, number: int) -> Credential:
        random, quarter = self._random, quarter_of(START_MS)
        pid = PidKeys(self._centre.w, self.network).seal(f"patient {number}", quarter, 0)
        secret = SecretValue.draw(random)
        hp = pid_digest(pid)
        partial = issue_partial_key(self._centre.w, PATIENT, hp, quarter, secret.P, random)
        s, _ = finish_key(PATIENT, hp, quarter, secret, partial, self._centre.Pub)
        return Credential(secret.P, partial.Q, pid, quarter, 0, s)

    def _request(self, doctor: MemberKey, slot: SlotKey) -> bytes:
        random = self._random
        context = RequestContext(FIRST_EPOCH, base_mul(self.theta).encode(), doctor.W_bytes, slot.E)
        until = START_MS + _HOUR_MS
        credential = self._credential(random(4)[0])
        draft = RequestDraft.begin(self.genesis.domain(), credential, doctor.name, slot.sn, context, until, random)
        digest = random(32)
        keep = until + self.genesis.core.constants.retention_ms
        receipt = sign_upload(self.network, self._cloud, digest, 1000, keep, random)
        request, _ = draft.finish(digest, 1000, receipt, random(32), random)
        return request.encode()


@lru_cache(maxsize=4)
def ledger_parties(nodes: int, seats: int) -> LedgerParties:
    """The parties of a network of this size, made once in a process."""
    return LedgerParties(nodes, seats)
