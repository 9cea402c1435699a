"""Registration and revocation of doctors, nodes, institutions and clouds, and of patients' credentials.

The centre signs all of them. One live key per name: a second one is taken only after the first is revoked, so the centre
cannot quietly issue another key for a name. A revocation counts from the next transaction on, and for ever: registrations
are public, so without a memory of revoked keys anyone could submit an old one again.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec.structs import replace

from salus import labels
from salus.codec import Bytes32, Bytes64, Label, Message, Name, Size, encode
from salus.consensus.block import ValidatorSet
from salus.consultation.appointments import signed_part
from salus.consultation.node_record import NodeRecord, check_node_record
from salus.consultation.registration import (
    CLOUD,
    DOCTOR,
    INSTITUTION,
    NO_QUARTER,
    NODE,
    SUITE,
    CentreKey,
    CentreRecord,
    MemberRecord,
    check_name,
    check_possession,
)
from salus.errors import Refused, refuse_unless
from salus.groups.ristretto255 import Point, decode_point
from salus.ledger.epoch_state import node_revoked
from salus.ledger.expiry import due_ms_of, expiring, live
from salus.ledger.quarters import credentials_dead_ms
from salus.ledger.signatures import Claim
from salus.ledger.state import Overlay, StateView, Table
from salus.ledger.transactions import BlockContext, KindSpec, Transaction
from salus.symmetric import Random, h2

REVOKED_CREDENTIALS_MAX: Final = 256
"""Credential digests of one revocation: four quarters of 64, more than are ever issued and still accepted."""
LEVELS: Final = ("HL1", "HL2")
"""HL1 operates validators, HL2 check nodes."""
_UNSIGNED: Final = bytes(64)


class Party(Message, frozen=True):
    """A named member in the state.

    :ivar W: public key, computed once at registration. :ivar revoked_ms: block time of the revocation, 0 while it is live.
    """

    KIND = "state.party"
    role: Label
    name: Name
    display_name: Name
    P: Bytes32
    Q: Bytes32
    W: Bytes32
    registered_ms: int
    revoked_ms: int


class Institution(Message, frozen=True):
    """An institution's standing.

    :ivar level: HL1 or HL2. :ivar weight: voting weight.
    """

    KIND = "state.institution"
    name: Name
    level: Label
    weight: int


class Node(Message, frozen=True):
    """A node: who operates it, and the record that binds its keys."""

    KIND = "state.node"
    institution: Name
    record: NodeRecord


class Count(Message, frozen=True):
    """Length of a list in the state."""

    KIND = "state.count"
    count: int


class Entry(Message, frozen=True):
    """One element of a list of names in the state."""

    KIND = "state.entry"
    name: Name


PARTIES: Final = Table("party", Party)
INSTITUTIONS: Final = Table("institution", Institution)
NODES: Final = Table("node", Node)
DIRECTORY: Final = Table("directory", Entry)
DIRECTORY_COUNT: Final = Table("directory.count", Count)
CENTRE: Final = Table("centre", CentreRecord)
VALIDATORS: Final = Table("validators", ValidatorSet)
REVOKED_KEYS: Final = Table("revoked-key", Entry)
"""Raw key: digest of a public key that was revoked (:func:`key_digest`); content: the name it was registered under."""
REVOKED_CREDENTIAL: Final = "revoked-credential"
"""Kind of expiring values: raw key hp or the digest of an enrolment key; content: the quarter (8 bytes)."""


class PartyRegistration(Message, frozen=True):
    """The centre registers a doctor or a cloud.

    :ivar member: name, role, P and Q. :ivar possession: the member's proof of x, made for the centre.
    """

    KIND = "party.register"
    member: MemberRecord
    display_name: Name
    possession: Bytes64
    signature: Bytes64


class InstitutionRegistration(Message, frozen=True):
    """The centre registers an institution with its level and weight."""

    KIND = "party.register-institution"
    member: MemberRecord
    display_name: Name
    possession: Bytes64
    level: Label
    weight: int
    signature: Bytes64


class NodeRegistration(Message, frozen=True):
    """The centre registers a node; it gets a seat only by an election."""

    KIND = "party.register-node"
    record: NodeRecord
    institution: Name
    display_name: Name
    signature: Bytes64


class PartyRevocation(Message, frozen=True):
    """The centre ends a name's key.

    :ivar key_digest: :func:`key_digest` of the key that is live now, so that an old revocation cannot end a new key.
    """

    KIND = "party.revoke"
    role: Label
    name: Name
    key_digest: Bytes32
    signature: Bytes64


class PatientRevocation(Message, frozen=True):
    """The centre ends credentials of a patient: every hp of the quarters still accepted or already issued.

    :ivar quarter: the quarter of the last of them. :ivar digests: hp_i of credentials, or digests of enrolment keys, ascending.
    """

    KIND = "patient.revoke"
    quarter: int
    digests: Annotated[tuple[Bytes32, ...], Size(1, REVOKED_CREDENTIALS_MAX)]
    signature: Bytes64


CentreSigned = PartyRegistration | InstitutionRegistration | NodeRegistration | PartyRevocation | PatientRevocation


def party_key(role: str, name: str) -> bytes:
    """Raw state key of a party."""
    return encode((role, name))


def directory_key(role: str, index: int) -> bytes:
    """Raw state key of a role's list of names."""
    return encode((role, index))


def key_digest(W: bytes) -> bytes:
    """What a revocation names: H2 of the public key."""
    return h2(labels.SIG_REVOKE, SUITE, W)


def live_party(view: StateView, role: str, name: str) -> Party:
    """The live registration of a name.

    :raises Refused: ``unknown-party`` if there is none, ``revoked`` if it was ended.
    """
    party = PARTIES.get(view, encode((role, name)))
    if party is None:
        raise Refused("unknown-party", f"{role} {name}")
    if party.revoked_ms:
        raise Refused("revoked", f"{role} {name}")
    return party


def credential_revoked(view: StateView, digest: bytes, time_ms: int) -> bool:
    """Whether hp (or the digest of an enrolment key) is revoked at block time ``time_ms``."""
    return live(view, REVOKED_CREDENTIAL, digest, time_ms) is not None


def revoked_seats(view: StateView) -> int:
    """How many members of the validator set are revoked nodes."""
    return sum(not is_live_node(view, m.name) for m in VALIDATORS.need(view, b"").members)


def is_live_node(view: StateView, name: str) -> bool:
    """Whether a node's registration is live."""
    party = PARTIES.get(view, party_key(NODE, name))
    return party is not None and not party.revoked_ms


def add_party(state: Overlay, time_ms: int, member: MemberRecord, display_name: str, W: bytes) -> None:
    """Write a registration, and the name into its role's list if it is new."""
    raw = party_key(member.role, member.name)
    if PARTIES.get(state, raw) is None:
        count = DIRECTORY_COUNT.get(state, member.role.encode()) or Count(0)
        DIRECTORY.put(state, directory_key(member.role, count.count), Entry(member.name))
        DIRECTORY_COUNT.put(state, member.role.encode(), Count(count.count + 1))
    PARTIES.put(state, raw, Party(member.role, member.name, display_name, member.P, member.Q, W, time_ms, 0))


def sign_by_centre(network: bytes, centre_name: str, centre: CentreKey, draft: CentreSigned, random: Random) -> CentreSigned:
    """Put the centre's signature into a registration or revocation."""
    return replace(draft, signature=centre.sign(network, centre_name, labels.SIG_CENTRE, signed_part(draft), random))


class _Register:
    def check(self, view: StateView, context: BlockContext, tx: Transaction[PartyRegistration]) -> list[Claim]:
        member = tx.message.member
        refuse_unless(member.role in (DOCTOR, CLOUD), "bad-encoding", f"the role {member.role} is registered otherwise")
        _check_member(view, context, member, tx.message.possession)
        return [_by_centre(view, context, tx.message)]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[PartyRegistration]) -> None:
        message = tx.message
        W = message.member.public_key(decode_point(context.Pub, "Pub")).encode()
        add_party(state, context.time_ms, message.member, message.display_name, W)
        context.emit("party.registered", party_key(message.member.role, message.member.name))


class _RegisterInstitution:
    def check(self, view: StateView, context: BlockContext, tx: Transaction[InstitutionRegistration]) -> list[Claim]:
        message = tx.message
        refuse_unless(message.member.role == INSTITUTION, "bad-encoding", f"an institution with the role {message.member.role}")
        refuse_unless(message.level in LEVELS, "bad-encoding", f"level {message.level}")
        refuse_unless(message.weight < 1 << 32, "bad-encoding", "weights are below 2^32")
        _check_member(view, context, message.member, message.possession)
        return [_by_centre(view, context, message)]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[InstitutionRegistration]) -> None:
        message = tx.message
        W = message.member.public_key(decode_point(context.Pub, "Pub")).encode()
        add_party(state, context.time_ms, message.member, message.display_name, W)
        name = message.member.name
        INSTITUTIONS.put(state, name.encode(), Institution(name, message.level, message.weight))
        context.emit("party.registered", party_key(INSTITUTION, name))


class _RegisterNode:
    def check(self, view: StateView, context: BlockContext, tx: Transaction[NodeRegistration]) -> list[Claim]:
        record = tx.message.record
        _check_free(view, record.member)
        live_party(view, INSTITUTION, tx.message.institution)
        for member in VALIDATORS.need(view, b"").members:
            # else the centre revokes a seat's node and takes its place in the next epoch with a key of its own
            elected = member.name != record.member.name
            refuse_unless(elected, "not-authorised", f"the seat of {member.name} waits for an election")
            refuse_unless(member.public_key != record.consensus_key, "used-key", f"{member.name} has that consensus key")
        _check_never_revoked(view, check_node_record(context.network, record, decode_point(context.Pub, "Pub")))
        return [_by_centre(view, context, tx.message)]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[NodeRegistration]) -> None:
        record = tx.message.record
        W = record.member.public_key(decode_point(context.Pub, "Pub")).encode()
        add_party(state, context.time_ms, record.member, tx.message.display_name, W)
        NODES.put(state, record.member.name.encode(), Node(tx.message.institution, record))
        context.emit("party.registered", party_key(NODE, record.member.name))


class _Revoke:
    def check(self, view: StateView, context: BlockContext, tx: Transaction[PartyRevocation]) -> list[Claim]:
        message = tx.message
        party = live_party(view, message.role, message.name)
        refuse_unless(key_digest(party.W) == message.key_digest, "not-found", f"another key is live for {message.name}")
        if message.role == NODE:
            _check_seats_left(view, message.name)
        return [_by_centre(view, context, message)]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[PartyRevocation]) -> None:
        raw = party_key(tx.message.role, tx.message.name)
        party = PARTIES.need(state, raw)
        PARTIES.put(state, raw, replace(party, revoked_ms=context.time_ms))
        REVOKED_KEYS.put(state, key_digest(party.W), Entry(party.name))
        if tx.message.role == NODE:
            _seat_revoked(state, context, tx.message.name)
        context.emit("party.revoked", raw)


class _RevokePatient:
    def check(self, view: StateView, context: BlockContext, tx: Transaction[PatientRevocation]) -> list[Claim]:
        message = tx.message
        ascending = all(a < b for a, b in zip(message.digests, message.digests[1:], strict=False))
        refuse_unless(ascending, "bad-encoding", "digests must ascend")
        dead = credentials_dead_ms(message.quarter, context.constants)
        refuse_unless(dead > context.time_ms, "wrong-quarter", "the credentials of that quarter are dead already")
        fresh = any(_revoked_until_ms(view, digest) < dead for digest in message.digests)
        refuse_unless(fresh, "already-done", "all of these are revoked for as long already")
        return [_by_centre(view, context, message)]

    def apply(self, state: Overlay, context: BlockContext, tx: Transaction[PatientRevocation]) -> None:
        dead = credentials_dead_ms(tx.message.quarter, context.constants)
        value = expiring(dead, tx.message.quarter.to_bytes(8, "big"))
        for digest in tx.message.digests:
            if _revoked_until_ms(state, digest) < dead:  # a revocation is never shortened
                state.put(REVOKED_CREDENTIAL, digest, value)
                context.expire(dead, REVOKED_CREDENTIAL, digest)


def _check_member(view: StateView, context: BlockContext, member: MemberRecord, possession: bytes) -> None:
    _check_free(view, member)
    check_possession(context.network, member.role, member.name, NO_QUARTER, 0, member.P, possession)
    _check_never_revoked(view, member.public_key(decode_point(context.Pub, "Pub")))


def _check_free(view: StateView, member: MemberRecord) -> None:
    check_name(member.name)
    known = PARTIES.get(view, party_key(member.role, member.name))
    free = known is None or known.revoked_ms != 0
    refuse_unless(free, "already-registered", f"{member.role} {member.name}")


def _check_never_revoked(view: StateView, W: Point) -> None:
    """A revoked key stays revoked: the registration that once made it live is on the ledger for anyone to submit again."""
    refuse_unless(REVOKED_KEYS.get(view, key_digest(W.encode())) is None, "revoked", "that key was revoked; register another")


def _revoked_until_ms(view: StateView, digest: bytes) -> int:
    value = view.get(REVOKED_CREDENTIAL, digest)
    return 0 if value is None else due_ms_of(value)


def _check_seats_left(view: StateView, name: str) -> None:
    """The centre alone can have at most f seats revoked; the others wait for an election."""
    validators = VALIDATORS.need(view, b"")
    if any(m.name == name for m in validators.members):
        left = revoked_seats(view) < validators.faulty
        refuse_unless(left, "not-authorised", f"{validators.faulty} seats are revoked already; an election comes first")


def _seat_revoked(state: Overlay, context: BlockContext, name: str) -> None:
    if any(m.name == name for m in VALIDATORS.need(state, b"").members):
        node_revoked(state, name, context.time_ms)


def _by_centre(view: StateView, context: BlockContext, message: Any) -> Claim:
    centre = CENTRE.need(view, b"")
    fields = (context.network, centre.name, centre.signing_key)
    signed = signed_part(message)
    return Claim(labels.SIG_CENTRE, SUITE, centre.signing_key, fields, signed, message.signature, what="the centre")


KINDS: Final = (
    KindSpec(PartyRegistration, _Register()),
    KindSpec(InstitutionRegistration, _RegisterInstitution()),
    KindSpec(NodeRegistration, _RegisterNode()),
    KindSpec(PartyRevocation, _Revoke()),
    KindSpec(PatientRevocation, _RevokePatient()),
)
