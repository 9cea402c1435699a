"""A seeded world of mbpa-r1 for tests, and an adversary's workbench that builds transactions by its own equations.

``make_world()`` gives a :class:`World` around ``salus.consultation.rehearsal.Rehearsal``; ``refusal(call, ..)`` tells the
reason code of a refusal (None: accepted); :class:`Forgery` builds a request that departs from the protocol in named
places; :func:`weaken` takes a repair out of every module that uses it.
"""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec.structs import replace

from salus import labels
from salus.consultation import credentials as cr
from salus.consultation.envelope import SIGNATURE_BYTES, make_content, make_t0
from salus.consultation.registration import SUITE, Domain
from salus.consultation.rehearsal import Node, Rehearsal
from salus.consultation.reply import ConsultationReply
from salus.consultation.request import ConsultationRequest, PendingRequest, RequestContext
from salus.errors import Refused
from salus.groups.ristretto255 import Point, Scalar, base_mul, decode_point, hash_to_point, hash_to_scalar, random_scalar
from salus.records.payload import PayloadHeader, encrypt_payload
from salus.symmetric import h2, kdf, mac, seal, xor

NOW_MS = 1_760_000_000_000
DOCTOR = "hosp/dr-one"
OTHER_DOCTOR = "hosp/dr-two"


class SeededRandom:
    """A deterministic source of random bytes: SHAKE-256 of seed and call number."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._calls = 0

    def __call__(self, count: int, /) -> bytes:
        self._calls += 1
        return hashlib.shake_256(f"{self._seed}/{self._calls}".encode()).digest(count)


def refusal(call: Callable[..., Any], *args: Any, **kwargs: Any) -> str | None:
    """The reason code that ``call`` refuses with, or None if it accepts."""
    try:
        call(*args, **kwargs)
    except Refused as error:
        return error.reason
    return None


def weaken(monkeypatch: pytest.MonkeyPatch, function: Callable[..., Any], replacement: Callable[..., Any]) -> None:
    """Replace ``function`` wherever a module of salus refers to it: takes one repair out."""
    found = 0
    for name, module in list(sys.modules.items()):
        if name.startswith("salus."):
            for attribute, value in list(vars(module).items()):
                if value is function:
                    monkeypatch.setattr(module, attribute, replacement)
                    found += 1
    assert found, f"{function} is nowhere in use"


@dataclass
class World:
    """A network with four nodes, two doctors, a cloud and patients; :attr:`now_ms` is its clock."""

    seed: str = "world"
    network: str = "net-1"
    patients: tuple[str, ...] = ("alice", "bob", "victim", "mallory")
    now_ms: int = NOW_MS
    r: Rehearsal = field(init=False)

    def __post_init__(self) -> None:
        self.random = SeededRandom(self.seed)
        self.r = Rehearsal(self.random, lambda: self.now_ms, self.network)
        for i in range(4):
            self.r.register("node", f"org{i}/node")
        for name in (DOCTOR, OTHER_DOCTOR):
            self.r.register("doctor", name)
        for name in self.patients:
            self.r.register("patient", name)
        self.r.share_value()

    @property
    def domain(self) -> Domain:
        return self.r.domain

    @property
    def chain(self):
        return self.r.chain

    @property
    def node(self) -> Node:
        return self.r.nodes[0]

    @property
    def theta(self) -> Scalar:
        """What every node knows of the current epoch."""
        return self.node.theta[self.r.epoch]

    @property
    def pk_BC(self) -> bytes:
        return self.chain.epochs[self.r.epoch]

    def doctor(self, name: str = DOCTOR):
        return self.r.doctors[name]

    def credential(self, patient: str = "alice", quarter: int | None = None, index: int | None = None) -> cr.Credential:
        """A fresh credential of a patient."""
        who = self.r.patients[patient]
        quarter = self.chain.quarters[1] if quarter is None else quarter
        used = {i for (name, q, i) in self.r.centre.spent if (name, q) == (patient, quarter)}
        index = next(i for i in range(64) if i not in used) if index is None else index
        who.renew(self.domain, self.r.centre, quarter, [index])
        return who.credentials.pop()

    def free_slot(self, doctor: str = DOCTOR) -> int:
        taken = self.chain.taken | self._handed_out
        free = [sn for name, sn in self.chain.slots if name == doctor and (doctor, sn) not in taken]
        if not free:
            self.r.open_slots(doctor, 64)
            return self.free_slot(doctor)
        sn = min(free)
        self._handed_out.add((doctor, sn))
        return sn

    @property
    def _handed_out(self) -> set[tuple[str, int]]:
        return self.__dict__.setdefault("_slots_handed_out", set())

    def context(self, doctor: str, sn: int, epoch: int | None = None) -> RequestContext:
        return self.chain.context(doctor, sn, self.r.epoch if epoch is None else epoch)

    def request(
        self,
        patient: str = "alice",
        doctor: str = DOCTOR,
        payload: bytes = b"pulse 71",
        credential: cr.Credential | None = None,
        sn: int | None = None,
    ) -> ConsultationRequest:
        """An honest request in the next free slot."""
        who = self.r.patients[patient]
        credential = credential or self.credential(patient)
        sn = self.free_slot(doctor) if sn is None else sn
        return who.request(self.chain, self.r.cloud, credential, doctor, sn, self.r.epoch, payload)

    def pending(self, request: ConsultationRequest) -> PendingRequest:
        """What the patient kept of a request."""
        h1 = request.tx_hash()
        return next(p.pending[h1] for p in self.r.patients.values() if h1 in p.pending)

    def commit(self, transaction: ConsultationRequest | ConsultationReply) -> None:
        self.r.commit(transaction.encode())

    def at_node(self, transaction: ConsultationRequest | ConsultationReply, node: int = 0) -> str | None:
        """Reason a node refuses a transaction for; None if it accepts."""
        return refusal(self.r.nodes[node].check, self.chain, transaction.encode())

    def doctor_reads(self, request: ConsultationRequest, doctor: str = DOCTOR) -> bytes:
        """The doctor opens a request with its body: the payload."""
        who = self.doctor(doctor)
        context = self.context(doctor, request.sn, request.epoch)
        opened = who.open(self.chain, request, context)
        return who.read(opened, self.r.cloud.fetch(request.digest), self.now_ms)[0]

    def at_doctor(self, request: ConsultationRequest, doctor: str = DOCTOR) -> str | None:
        """Reason the doctor refuses a request for (body included); None if it accepts."""
        return refusal(self.doctor_reads, request, doctor)

    def answer(self, request: ConsultationRequest, diagnosis: bytes = b"healthy", doctor: str = DOCTOR) -> ConsultationReply:
        """The doctor's reply to a request (not yet chained)."""
        who = self.doctor(doctor)
        opened = who.open(self.chain, request, self.context(doctor, request.sn, request.epoch))
        _, m_pa = who.read(opened, self.r.cloud.fetch(request.digest), self.now_ms)
        return who.reply(self.domain.network, opened, m_pa, diagnosis, self.r.cloud, self.now_ms)

    def patient_reads(self, patient: str, reply: ConsultationReply, proven: bytes | None = None) -> bytes:
        """The patient checks a reply; ``proven`` defaults to what the chain holds for that request."""
        if proven is None:
            committed = self.chain.replies.get(reply.h1)
            proven = committed.tx_hash() if committed else b""
        return self.r.patients[patient].check_up(self.chain, self.r.cloud, reply, proven)

    def at_patient(self, patient: str, reply: ConsultationReply, proven: bytes | None = None) -> str | None:
        """Reason the patient refuses a reply for; None if it accepts."""
        return refusal(self.patient_reads, patient, reply, proven)

    def consult(self, patient: str = "alice", payload: bytes = b"pulse 71", diagnosis: bytes = b"healthy"):
        """A whole honest visit, chained: (request, reply)."""
        request = self.request(patient, payload=payload)
        self.commit(request)
        reply = self.answer(request, diagnosis)
        self.commit(reply)
        return request, reply


def make_world(seed: str = "world", **options: Any) -> World:
    """A fresh seeded world."""
    return World(seed, **options)


# --- the adversary's workbench: the protocol's equations written down once more, each replaceable ---


def nullifier_point(world: World, P: bytes, Q: bytes, hp: bytes, quarter: int) -> Point:
    """B of a credential."""
    return hash_to_point(labels.NULLIFIER, SUITE, world.domain.network, P, Q, hp, quarter)


def sigma_challenge(world: World, f: Forgery, I: bytes, R1: bytes, R2: bytes, content: Any) -> Scalar:
    return hash_to_scalar(labels.SIG, SUITE, world.domain.network, "patient", f.P, f.Q, f.hp, f.quarter, I, R1, R2, content)


def alpha_of(world: World, P: bytes, Q: bytes, hp: bytes, quarter: int) -> Scalar:
    return hash_to_scalar(labels.ALPHA, SUITE, "patient", hp, quarter, P, Q, world.domain.Pub_bytes)


def W_of(world: World, P: bytes, Q: bytes, hp: bytes, quarter: int) -> Point:
    return decode_point(P) + world.domain.Pub.mul(alpha_of(world, P, Q, hp, quarter)) + decode_point(Q)


Signer = Callable[["Forgery", Any], bytes]


@dataclass
class Forgery:
    """A request built part by part from the sender's own equations; set a part to depart from the protocol.

    Defaults are honest for the credential whose public parts and secret ``s`` are given; ``s`` may be any scalar.
    ``sign`` makes the 128 bytes of M1's plaintext from the content. ``sW`` is the third secret of the request's keys
    (``s*W_D``; a thief of s_D computes it as ``s_D*W``). ``doctor_secrets`` are (a*W_D, a*E_sn).
    """

    world: World
    P: bytes
    Q: bytes
    pid: bytes
    quarter: int
    s: Scalar
    doctor: str = DOCTOR
    sn: int | None = None
    epoch: int | None = None
    hp: bytes = b""
    a: Scalar | None = None
    A: bytes = b""
    g: bytes = b""
    I: bytes = b""
    nf: bytes = b""
    cm: bytes = b""
    seal_secret: Point | None = None
    sW: Point | None = None  # noqa: N815
    doctor_secrets: tuple[Point, Point] | None = None
    S_D: bytes = b""
    payload: bytes = b"forged"
    sign: Signer | None = None
    valid_ms: int = 60_000

    @classmethod
    def with_credential(cls, world: World, credential: cr.Credential, **parts: Any) -> Forgery:
        """Honest defaults for a credential."""
        return cls(world, credential.P, credential.Q, credential.pid, credential.quarter, credential.s, **parts)

    @classmethod
    def of_victim(cls, world: World, credential: cr.Credential, **parts: Any) -> Forgery:
        """What somebody knows who saw a victim's P, Q and pid but not s: ``s`` is a wrong guess."""
        return cls(world, credential.P, credential.Q, credential.pid, credential.quarter, random_scalar(world.random), **parts)

    def complete(self) -> None:
        """Fill in every part that was not set, honestly."""
        w, random = self.world, self.world.random
        self.sn = w.free_slot(self.doctor) if self.sn is None else self.sn
        self.epoch = w.r.epoch if self.epoch is None else self.epoch
        self.context = w.context(self.doctor, self.sn, self.epoch)
        self.hp = self.hp or cr.pid_digest(self.pid)
        self.a = self.a or random_scalar(random)
        self.A = self.A or base_mul(self.a).encode()
        self.g = self.g or random(32)
        self.B = nullifier_point(w, self.P, self.Q, self.hp, self.quarter)
        self.I = self.I or self.B.mul(self.s).encode()
        self.nf = self.nf or h2(labels.NULLIFIER_HASH, SUITE, self.I)
        self.cm = self.cm or h2(labels.COMMITMENT, SUITE, self.P, self.Q, self.hp, self.quarter, self.g)
        W_D, E = decode_point(self.context.W_D), decode_point(self.context.E_sn)
        self.seal_secret = self.seal_secret or decode_point(self.context.pk_BC).mul(self.a)
        self.doctor_secrets = self.doctor_secrets or (W_D.mul(self.a), E.mul(self.a))
        self.sW = self.sW or W_D.mul(self.s)

    def build(self) -> ConsultationRequest:
        """The request, with an uploaded body."""
        self.complete()
        w = self.world
        own = (self.doctor, self.context.W_D, self.context.E_sn, self.sn)
        valid = w.now_ms + self.valid_ms
        t0 = make_t0(ConsultationRequest.KIND, w.domain.network, self.epoch, self.context.pk_BC, self.A, valid, own)
        sender = (t0, self.cm, self.nf)
        quarter = self.quarter.to_bytes(8, "big")
        plaintext = self.P + self.Q + self.hp + quarter + self.g
        S = seal(kdf(labels.NODE_SEAL, SUITE, [self.seal_secret.encode()], sender), plaintext, sender)
        secrets = [p.encode() for p in self.doctor_secrets]
        key = kdf(labels.DOCTOR_SEAL, SUITE, secrets, (t0, self.cm))
        S_D = self.S_D or seal(key, self.P + self.Q + self.pid + quarter + self.g, (t0, self.cm))
        W = W_of(w, self.P, self.Q, self.hp, self.quarter).encode()
        keys = kdf(labels.REQUEST, SUITE, [*secrets, self.sW.encode()], (t0, self.cm, S_D, W), 156)
        PID1 = xor(self.pid, keys[64:])
        summary, U = encrypt_and_upload(w, self.pid, self.payload, keys[:32], (t0, self.cm, S_D, PID1))
        M2 = mac(keys[32:64], t0, self.cm, S_D, PID1, summary.digest, summary.size_bytes)
        body = (PID1, summary.digest, summary.size_bytes, M2, S_D, U.to_value())
        self.content = make_content(t0, self.cm, self.nf, S, body)
        signature = (self.sign or honest_sigma)(self, self.content)
        assert len(signature) == SIGNATURE_BYTES
        M1 = seal(kdf(labels.KDF_SIG, SUITE, [self.g], self.content), signature, self.content)
        return ConsultationRequest(
            PID1,
            self.doctor,
            self.A,
            summary.digest,
            summary.size_bytes,
            M1,
            M2,
            self.sn,
            S,
            S_D,
            self.cm,
            self.nf,
            self.epoch,
            valid,
            U,
        )


def honest_sigma(f: Forgery, content: Any) -> bytes:
    """I || R1 || R2 || z by the signer's equations with ``f.s``."""
    k = random_scalar(f.world.random)
    R1, R2 = base_mul(k).encode(), f.B.mul(k).encode()
    return f.I + R1 + R2 + (k + sigma_challenge(f.world, f, f.I, R1, R2, content) * f.s).encode()


def simulated_sigma(f: Forgery, content: Any) -> bytes:
    """The best anyone can do without s: choose z and c first, and hope that the hash gives that c."""
    z, c = random_scalar(f.world.random), random_scalar(f.world.random)
    R1 = base_mul(z) - W_of(f.world, f.P, f.Q, f.hp, f.quarter).mul(c)
    R2 = f.B.mul(z) - decode_point(f.I).mul(c)
    return f.I + R1.encode() + R2.encode() + z.encode()


def encrypt_and_upload(world: World, pid: bytes, payload: bytes, key: bytes, context: Any):
    """A body under ``key``, uploaded: (summary, upload receipt)."""
    header = PayloadHeader(pid, world.now_ms, "application/octet-stream", "record", len(payload))
    body = io.BytesIO()
    encrypt_payload(header, io.BytesIO(payload), key, context, body, random=world.random)
    return world.r.cloud.upload(body.getvalue(), world.now_ms + 10_000_000)


def altered(message: Any, **changes: Any) -> Any:
    """A copy of a message with some fields replaced."""
    return replace(message, **changes)


def flip(data: bytes, index: int, bit: int | None = None) -> bytes:
    """``data`` with one bit of one byte flipped."""
    changed = bytearray(data)
    changed[index] ^= 1 << (index % 8 if bit is None else bit)
    return bytes(changed)
