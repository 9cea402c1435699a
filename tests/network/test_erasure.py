"""Erasure on disk: after the reply and the check-up, a thief of every file opens nothing of the consultation.

The thief copies the whole home, knows every passphrase, and runs the adversary's equations over all keys it finds.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from salus import labels
from salus.cloud.key import KEY_FILE, CloudKeyFile
from salus.consultation.appointments import SlotKey
from salus.consultation.credentials import Credential, pid_digest
from salus.consultation.registration import SUITE
from salus.consultation.reply import ConsultationReply, derive_reply_keys, make_t0_reply, reply_mac
from salus.consultation.request import (
    ConsultationRequest,
    PendingRequest,
    derive_request_keys,
    open_doctor_seal,
    request_mac,
    request_statement,
)
from salus.errors import Refused
from salus.files import read_key_file
from salus.groups.ristretto255 import Point, Scalar, base_mul, decode_point, decode_scalar
from salus.ledger.client import LedgerClient
from salus.ledger.constants import Constants
from salus.network.actors import DoctorActor
from salus.network.embedded import EmbeddedNetwork
from salus.network.home import Home
from salus.node.secrets import NodeKeyFile
from salus.symmetric import kdf, unseal
from salus.terminal.doctor import _PendingReply
from salus.terminal.wallet import Wallet
from support.embedded import DAY, PASSPHRASE, Clock, enrolled_doctor, enrolled_patient, found_network
from support.interposed import Interposed

CONSTANTS = Constants()
DIAGNOSIS = "a diagnosis in seven words for canaries"


class Consultation:
    """What everybody can read on the ledger of one consultation, and what the thief is granted: W, the sender's public key."""

    def __init__(self, ledger: LedgerClient, request_tx: bytes, W: bytes) -> None:
        self.domain = ledger.domain
        self.request = ConsultationRequest.decode(ledger.transaction(request_tx).raw)
        self.context = ledger.request(request_tx).context()
        self.statement = request_statement(self.domain, self.request, self.context)
        answer = ledger.answer(request_tx)
        found = None if answer is None or answer.reply_tx is None else ledger.transaction(answer.reply_tx)
        self.reply = None if found is None else ConsultationReply.decode(found.raw)
        self.W = W


class Thief:
    """Copies a home and collects every secret scalar in it."""

    def __init__(self, home: Path, to: Path, Pub: Point) -> None:
        shutil.copytree(home, to)
        self.home = Home(to)
        self.secrets: dict[str, Scalar] = {}
        self.sealed: list[bytes] = []
        for directory in self.home.nodes():
            self._take(f"{directory.name} s", NodeKeyFile.decode(read_key_file(directory / "node.key", "")).s)
            for path in (directory / "epochs").iterdir():
                self._take(f"{directory.name} {path.name}", path.read_bytes())
        self._take("cloud s", CloudKeyFile.decode(read_key_file(self.home.cloud / KEY_FILE, "")).secret)
        for i, part in enumerate(("w", "signing", "sealing")):
            self._take(f"centre {part}", read_key_file(self.home.centre / "centre.key", "")[32 * i : 32 * i + 32])
        for _, directory in self.home.persons():
            with Wallet.open(directory, PASSPHRASE) as wallet:
                self._wallet(directory.name, wallet)

    def _take(self, what: str, secret: bytes) -> None:
        self.secrets[what] = decode_scalar(secret, what)

    def _wallet(self, who: str, wallet: Wallet) -> None:
        content = wallet.content
        self.sealed.append(content.encode())
        if content.member is not None:
            self._take(f"{who} s", content.member.secret)
        if content.patient is not None:
            self._take(f"{who} f", content.patient.enrolment_secret)
        for entry in content.credentials:
            if entry.secret:
                self._take(f"{who} credential {entry.index}", Credential.from_secret(entry.secret).s.encode())
        for name in wallet.one_time.names():
            secret = wallet.one_time.get(name)
            self.sealed.append(secret)
            if name.startswith("slot-"):
                self._take(f"{who} e_sn {name}", SlotKey.from_secret(int(name[5:]), secret).e.encode())
            elif name.startswith("reply-"):
                self._take(f"{who} a_D {name}", _PendingReply.decode(secret).a_D)
            elif name.startswith("consultation-"):
                pending = PendingRequest.from_secret(secret)
                self._take(f"{who} a", pending.a.encode())
                self._take(f"{who} s_i", pending.credential.s.encode())

    def files(self) -> Iterator[Path]:
        return (p for p in self.home.directory.rglob("*") if p.is_file() and "received" not in p.parts)

    def _products(self, *points: bytes) -> list[Point]:
        return [decode_point(p).mul(s) for s in self.secrets.values() for p in points]

    # --- the adversary's equations ---

    def opens_sender(self, c: Consultation) -> bool:
        """S under theta*A, or any other product."""
        r = c.request
        aad = (c.statement.t0, r.cm, r.nf)
        return any(
            _opens(kdf(labels.NODE_SEAL, SUITE, [x.encode()], aad), r.S, aad) for x in self._products(r.A, c.context.pk_BC)
        )

    def opens_doctor_seal(self, c: Consultation) -> bool:
        """S_D under (s_D*A, e_sn*A), or any two products."""
        for x, y in itertools.product(self._products(c.request.A, c.context.W_D, c.context.E_sn), repeat=2):
            try:
                sender, pid = open_doctor_seal(c.statement, c.request, x, y)
            except Refused:
                continue
            return pid_digest(pid) == sender.hp
        return False

    def opens_record(self, c: Consultation) -> bool:
        """k_enc of C: M2 tells a right guess; the third secret s_D*W is granted."""
        r = c.request
        for W_secret in self._products(c.W, c.context.W_D):
            for x, y in itertools.product(self._products(r.A, c.context.W_D, c.context.E_sn), repeat=2):
                keys = derive_request_keys(x, y, W_secret, c.statement.t0, r.cm, r.S_D, c.W)
                if request_mac(keys.k_mac, c.statement.t0, r.cm, r.S_D, r.PID1, r.digest, r.size_bytes) == r.M2:
                    return True
        return False

    def opens_reply(self, c: Consultation) -> bool:
        """k_enc' of C_D by M_k2, s_D*W among the products."""
        reply = c.reply
        assert reply is not None
        t0 = make_t0_reply(c.domain.network, reply.ID_D, c.context.W_D, reply.sn, reply.h1, reply.A_D)
        shared = self._products(reply.A_D, c.W, c.request.A)
        for third in self._products(c.W, c.context.W_D):
            for x, y in itertools.product(shared, repeat=2):
                keys = derive_reply_keys(x, y, third, t0, c.W)
                if reply_mac(keys.k_mac, t0, reply.PID2, reply.digest, reply.size_bytes) == reply.M_k2:
                    return True
        return False

    def only(self, *names: str) -> Thief:
        """The same thief with some of its secrets: trying all of them is slow, and these are those that could matter."""
        fewer = object.__new__(Thief)
        fewer.home, fewer.sealed = self.home, self.sealed
        fewer.secrets = {what: s for what, s in self.secrets.items() if any(name in what for name in names)}
        return fewer


def _opens(key: bytes, box: bytes, aad: object) -> bool:
    try:
        unseal(key, box, aad, "bad-seal")
    except Refused:
        return False
    return True


def test_a_thief_of_everything(tmp_path: Path) -> None:
    clock = Clock()
    home = tmp_path / "home"
    record, diagnosis = tmp_path / "record.txt", tmp_path / "diagnosis.txt"
    record.write_text("pulse 71\n")
    diagnosis.write_text(DIAGNOSIS)
    with found_network(home, now_ms=clock) as network:
        Pub = network.genesis.domain().Pub
        doctor = enrolled_doctor(network, slots=2)
        patient = enrolled_patient(network, "anna")
        sent = patient.request(doctor.name, DAY, str(record))
        request_tx = bytes.fromhex(sent["request_tx"])
        pending = PendingRequest.from_secret(patient._wallet.one_time.get(f"consultation-{sent['id']}"))
        W = pending.credential.W
        assert base_mul(pending.credential.s).encode() == W
        slot = SlotKey.from_secret(sent["sn"], doctor._wallet.one_time.get(f"slot-{sent['sn']}"))
        gone = {"a": pending.a.encode(), "s_i": pending.credential.s.encode(), "e_sn": slot.e.encode()}
        everyone = ("doctor", "patient", "cloud", "centre", "node-0")

        # 1. the doctor has not treated yet: everything opens, by either side's one-time keys
        asked = Consultation(network.client(), request_tx, W)
        thief = Thief(home, tmp_path / "before", Pub)
        assert thief.only("theta").opens_sender(asked)
        assert thief.only("doctor").opens_doctor_seal(asked)
        assert thief.only("patient").opens_doctor_seal(asked)
        assert thief.only("doctor").opens_record(asked)
        assert thief.only("patient").opens_record(asked)
        assert not thief.only("centre", "cloud", "node").opens_record(asked)
        assert contains(thief, gone) == {"a", "s_i", "e_sn"}

        # 2. treated, not read: the patient's one-time keys open reply and request, the doctor's are gone
        kept: list[bytes] = []
        keep_a_D(network, doctor, kept)
        doctor.treat(sent["id"], str(diagnosis))
        gone["a_D"] = kept[0]
        asked = Consultation(network.client(), request_tx, W)
        thief = Thief(home, tmp_path / "unread", Pub)
        assert thief.only("patient").opens_reply(asked)
        assert thief.only("patient").opens_record(asked)
        assert not thief.only("doctor", "cloud", "centre", "node-0").opens_doctor_seal(asked)
        assert not thief.only("doctor", "cloud", "centre", "node-0").opens_record(asked)
        assert not thief.only("doctor", "cloud").opens_reply(asked)
        assert contains(thief, gone) == {"a", "s_i"}

        # 3. read: nothing opens any more; the nodes still see the sender until the epoch's grace is over
        assert patient.read(sent["id"])["accepted"]
        thief = Thief(home, tmp_path / "read", Pub)
        assert not thief.only(*everyone).opens_doctor_seal(asked)
        assert not thief.only(*everyone).opens_record(asked)
        assert not thief.only("doctor", "patient", "theta").opens_reply(asked)
        assert thief.only("theta").opens_sender(asked)
        assert contains(thief, gone) == set()

        # 4. the epoch is over
        theta = network.nodes[0].secrets.theta(asked.context.epoch, asked.context.pk_BC)
        assert theta is not None
        gone["theta"] = theta.encode()
        end_epoch(network, clock, doctor)
        thief = Thief(home, tmp_path / "after", Pub)
        assert not thief.opens_sender(asked)
        assert not thief.only(*everyone).opens_record(asked)
        assert contains(thief, gone) == set()
        for person in ("patient-anna", "doctor-st-anne.dr-test"):
            assert not list((thief.home.directory / person / "staging").iterdir())
            assert not list((thief.home.directory / person / "outgoing").iterdir())


def end_epoch(network: EmbeddedNetwork, clock: Clock, doctor: DoctorActor) -> None:
    """A new epoch starts, and the grace of the one before it passes."""
    clock.advance(CONSTANTS.epoch_length_ms)
    doctor.publish(DAY, 1)
    for node in network.nodes:
        node.attend()
    network.settle()
    clock.advance(CONSTANTS.epoch_grace_ms)
    doctor.publish(DAY, 1)


def keep_a_D(network: EmbeddedNetwork, doctor: object, kept: list[bytes]) -> None:
    """Look at the doctor's pending reply when it is sent."""

    def stand(_party: str, body: bytes, forward: object) -> bytes:
        wallet: Wallet = doctor._wallet  # type: ignore[attr-defined]
        for name in wallet.one_time.names():
            if name.startswith("reply-"):
                kept.append(_PendingReply.decode(wallet.one_time.get(name)).a_D)
        return forward(body)  # type: ignore[operator, no-any-return]

    doctor._around = network.surroundings(Interposed(network.transport, {"node.submit": stand}))  # type: ignore[attr-defined]


def contains(thief: Thief, secrets: dict[str, bytes]) -> set[str]:
    """Which of the secrets stand in any file, as they are or inside a sealed one."""
    found = set()
    for data in [*(p.read_bytes() for p in thief.files()), *thief.sealed]:
        found |= {what for what, secret in secrets.items() if secret in data}
    return found


@pytest.mark.parametrize("party", ["node", "cloud"])
def test_no_party_ever_holds_what_opens_a_consultation(tmp_path: Path, party: str) -> None:
    """Even before anything is erased, the keys of all nodes, or of the cloud, open no record and no reply."""
    record = tmp_path / "record.txt"
    record.write_text("pulse 71\n")
    with found_network(tmp_path / "home") as network:
        doctor = enrolled_doctor(network, slots=1)
        patient = enrolled_patient(network, "anna")
        sent = patient.request(doctor.name, DAY, str(record))
        pending = PendingRequest.from_secret(patient._wallet.one_time.get(f"consultation-{sent['id']}"))
        doctor.treat(sent["id"], str(record))
        asked = Consultation(network.client(), bytes.fromhex(sent["request_tx"]), pending.credential.W)
        thief = Thief(tmp_path / "home", tmp_path / "stolen", network.genesis.domain().Pub)
        assert not thief.only(party).opens_doctor_seal(asked)
        assert not thief.only(party).opens_record(asked)
        assert not thief.only("theta" if party == "node" else party).opens_reply(asked)
        assert thief.only(party).opens_sender(asked) is (party == "node")
