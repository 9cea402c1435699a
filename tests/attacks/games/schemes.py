"""The two suites as :class:`games.challenger.Scheme`."""

from __future__ import annotations

from typing import Any

import msgspec

from games.challenger import Forgery, PublicUser, Session
from salus.bench.worlds import NOW_MS, VALID_MS, PublishedWorld, RepairedWorld
from salus.consultation.credentials import Credential, PidKeys, pid_digest
from salus.consultation.envelope import verify_opened
from salus.consultation.published import functions as published_functions
from salus.consultation.published.messages import Directory, PublicKey, Request
from salus.consultation.published.registration import verification_point
from salus.consultation.receipts import check_upload
from salus.consultation.registration import DOCTOR, NO_QUARTER, PATIENT, MemberKey, SecretValue, issue_partial_key, public_key
from salus.consultation.reply import ConsultationReply, ReplyDraft, check_reply, check_reply_matches, verify_reply
from salus.consultation.request import (
    ConsultationRequest,
    OpenedRequest,
    PendingRequest,
    RequestContext,
    RequestDraft,
    open_at_node,
    open_request,
)
from salus.errors import refuse_unless
from salus.groups.ristretto255 import Point, Scalar, base_mul, decode_point
from salus.symmetric import Random, h2, seal

PAYLOAD = b"pulse 71"
DIAGNOSIS = b"rest"


class PublishedScheme:
    """Suite mbpa-2019. Verifiers take public keys from the challenger, as the paper's game has it."""

    suite = "mbpa-2019"

    def __init__(self, random: Random) -> None:
        self._random = random
        self.world = PublishedWorld.make(random, nodes=4, doctors=2, patients=2)
        self.parameters = self.world.centre.parameters
        self._members = {m.identity: m for m in (*self.world.doctors, *self.world.patients)}
        self._keys = {name: member.keys.public for name, member in self._members.items()}

    def users(self) -> list[str]:
        return list(self._members)

    def public(self, user: str) -> PublicUser:
        member, key = self._members[user], self._keys[user]
        W = verification_point(self.parameters, key).encode()
        return PublicUser(user, member.role, key.P, key.Q, W, getattr(member, "pid", b""))

    def replace(self, user: str, P: bytes, Q: bytes) -> None:
        self._keys[user] = PublicKey(P, Q)

    def directory(self) -> Directory:
        """The public directory, with replaced keys in it."""
        directory = self.world.directory
        entries = tuple(
            msgspec.structs.replace(e, key=self._keys[e.identity]) if e.role == "doctor" else e for e in directory.entries
        )
        return msgspec.structs.replace(directory, entries=entries)

    def master(self) -> Scalar:
        return self.world.centre._master.w

    def secret_value(self, user: str) -> Scalar:
        return self._members[user].keys.x

    def partial_key(self, user: str) -> Scalar:
        return self._members[user].keys.y

    def send_request(self, patient: str, doctor: str, sn: int) -> tuple[Session, Scalar, bytes]:
        member = self._members[patient]
        request = Request.decode(member.request(self.directory(), doctor, sn, PAYLOAD))
        a = member._sent[doctor, sn].a
        W_DO = decode_point(self.public(doctor).W)
        return Session(patient, doctor, sn, request), a, W_DO.mul(member.keys.s + a).encode()

    def send_reply(self, session: Session) -> tuple[Session, Scalar, bytes]:
        doctor = self._members[session.doctor]
        data = doctor.treat(self.directory(), doctor.open(session.request.encode()), DIAGNOSIS)
        treatment = doctor._treated[session.sn]
        key = verification_point(self.parameters, session.request.pk_PA).mul(doctor.keys.s + treatment.a)
        assert treatment.transaction.encode() == data
        return with_changes(session, reply=treatment.transaction), treatment.a, key.encode()

    def node_accepts(self, forgery: Forgery) -> None:
        for node in self.world.nodes:
            node.verify(self.directory(), forgery.transaction.encode())
        self._names_the_victim(forgery)

    def partner_accepts(self, forgery: Forgery) -> None:
        self._names_the_victim(forgery)
        partner = self._members[forgery.partner]
        if forgery.kind == "request":
            partner.open(forgery.transaction.encode())
        else:
            partner.check(self.directory(), forgery.transaction.encode())

    def same(self, one: Any, two: Any) -> bool:
        return type(one) is type(two) and one.encode() == two.encode()

    def hash(self, label: str, *fields: Any) -> bytes:
        return published_functions.h2(label, *fields)

    def encrypt(self, key: Point, message: bytes) -> bytes:
        return published_functions.encrypt(key, message, self._random)

    def _names_the_victim(self, forgery: Forgery) -> None:
        if forgery.kind == "request":
            refuse_unless(forgery.transaction.pk_PA == self._keys[forgery.victim], "unknown-party", "another sender's key")
        else:
            refuse_unless(forgery.victim == forgery.transaction.ID_DO, "wrong-doctor")


class RepairedScheme:
    """Suite mbpa-r1. A patient is one credential; its identity is hp, whatever (P, Q) a forger seals beside it.

    The challenger counts a request as the victim's if its opened sender bears the victim's hp, which favours the
    adversary. Doctors' keys are looked up, so a replaced one is what nodes and patients use.
    """

    suite = "mbpa-r1"

    def __init__(self, random: Random) -> None:
        self._random = random
        self.world = RepairedWorld.make(random, doctors=2, slots=8)
        world = self.world
        self._x: dict[str, Scalar] = {}
        self._y: dict[str, Scalar] = {}
        self._public: dict[str, PublicUser] = {}
        self.credentials: dict[str, Credential] = {}
        self.doctors: dict[str, MemberKey] = {}
        for k in range(2):
            self._register_doctor(f"clinic/doctor-{k}")
            self._register_patient(f"ward/patient-{k}", k)
        self.slots = {(name, slot.sn): slot for name in self.doctors for (_, _), slot in world.slots.items()}
        self._pending: dict[bytes, PendingRequest] = {}

    def users(self) -> list[str]:
        return list(self._public)

    def public(self, user: str) -> PublicUser:
        return self._public[user]

    def replace(self, user: str, P: bytes, Q: bytes) -> None:
        old = self._public[user]
        self._public[user] = self._public_user(user, old.role, P, Q, old.pid)

    def master(self) -> Scalar:
        return self.world.w

    def secret_value(self, user: str) -> Scalar:
        return self._x[user]

    def partial_key(self, user: str) -> Scalar:
        return self._y[user]

    def context(self, doctor: str, sn: int) -> RequestContext:
        """What the chain says, replaced keys included."""
        return RequestContext(7, self.world.pk_BC, self._public[doctor].W, self.slots[doctor, sn].E)

    def send_request(self, patient: str, doctor: str, sn: int) -> tuple[Session, Scalar, bytes]:
        world, digest = self.world, h2("m_PA", self.suite, PAYLOAD)
        context = self.context(doctor, sn)
        draft = RequestDraft.begin(world.domain, self.credentials[patient], doctor, sn, context, NOW_MS + VALID_MS, self._random)
        request, pending = draft.finish(digest, len(PAYLOAD), world.receipt(digest, len(PAYLOAD)), digest, self._random)
        self._pending[request.tx_hash()] = pending
        return Session(patient, doctor, sn, request), pending.a, draft.body_key

    def open(self, request: ConsultationRequest) -> OpenedRequest:
        """As the doctor does."""
        key = self.doctors[request.ID_D]
        return open_request(
            self.world.domain, request, self.context(request.ID_D, request.sn), key, self.slots[request.ID_D, request.sn]
        )

    def send_reply(self, session: Session) -> tuple[Session, Scalar, bytes]:
        draft = ReplyDraft.begin(
            self.world.domain.network, self.doctors[session.doctor], self.open(session.request), self._random
        )
        digest = h2("m_PA", self.suite, DIAGNOSIS)
        reply = draft.finish(digest, len(DIAGNOSIS), self.world.receipt(digest, len(DIAGNOSIS)), self._random)
        return with_changes(session, reply=reply), draft.a_D, draft.body_key

    def node_accepts(self, forgery: Forgery) -> None:
        t, world = forgery.transaction, self.world
        check_upload(world.domain.network, t.U, t.digest, t.size_bytes, world.cloud.W)
        if isinstance(t, ConsultationReply):
            assert forgery.session is not None
            check_reply_matches(t, forgery.session.request, forgery.session.request.tx_hash())
            verify_reply(world.domain.network, t, self._public[forgery.victim].W)
            refuse_unless(forgery.victim == t.ID_D, "wrong-doctor")
            return
        opened = open_at_node(world.domain, t, self.context(t.ID_D, t.sn), world.theta)
        verified = verify_opened(opened)
        refuse_unless(verified.hp == pid_digest(self._public[forgery.victim].pid), "unknown-party", "another sender")

    def partner_accepts(self, forgery: Forgery) -> None:
        t = forgery.transaction
        if isinstance(t, ConsultationReply):
            assert forgery.session is not None
            pending = self._pending[forgery.session.request.tx_hash()]
            check_reply(self.world.domain.network, pending, t, t.tx_hash())
            return
        opened = self.open(t)
        refuse_unless(opened.pid == self._public[forgery.victim].pid, "unknown-party", "another sender")

    def same(self, one: Any, two: Any) -> bool:
        return type(one) is type(two) and one.encode() == two.encode()

    def hash(self, label: str, *fields: Any) -> bytes:
        return h2(label, self.suite, *fields)

    def encrypt(self, key: Point, message: bytes) -> bytes:
        return seal(h2("E", self.suite, key.encode()), message, None)

    def _register_doctor(self, name: str) -> None:
        secret = SecretValue.draw(self._random)
        x = secret.x
        partial = issue_partial_key(self.world.w, DOCTOR, name, NO_QUARTER, secret.P, self._random)
        self._x[name], self._y[name] = x, Scalar.decode(partial.y)
        self._public[name] = self._public_user(name, DOCTOR, secret.P, partial.Q, b"")
        self.doctors[name] = MemberKey.finish(DOCTOR, name, secret, partial, self.world.domain.Pub)

    def _register_patient(self, name: str, index: int) -> None:
        world = self.world
        pid = PidKeys(world.w, world.domain.network).seal(name, world.quarter, index)
        secret = SecretValue.draw(self._random)
        partial = issue_partial_key(world.w, PATIENT, pid_digest(pid), world.quarter, secret.P, self._random)
        self._x[name], self._y[name] = secret.x, Scalar.decode(partial.y)
        self._public[name] = self._public_user(name, PATIENT, secret.P, partial.Q, pid)
        self.credentials[name] = Credential(secret.P, partial.Q, pid, world.quarter, index, self._x[name] + self._y[name])
        assert base_mul(self.credentials[name].s).encode() == self._public[name].W

    def _public_user(self, name: str, role: str, P: bytes, Q: bytes, pid: bytes) -> PublicUser:
        world = self.world
        identity = pid_digest(pid) if role == PATIENT else name
        quarter = world.quarter if role == PATIENT else NO_QUARTER
        W = public_key(role, identity, quarter, P, Q, world.domain.Pub).encode()
        return PublicUser(name, role, P, Q, W, pid, quarter)


def with_changes(session: Session, **changes: Any) -> Session:
    """A session with fields replaced."""
    return Session(**{**{f: getattr(session, f) for f in ("patient", "doctor", "sn", "request", "reply")}, **changes})
