"""Terminals that do what honest ones never do, so that the demonstration can show what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from salus.consultation.credentials import Credential
from salus.consultation.published.against_r1 import BodyReference, Victim, forge_request
from salus.consultation.reply import ConsultationReply
from salus.consultation.request import RequestContext
from salus.errors import Refused
from salus.network.actors import ACTORS, Actor, PatientActor, Result
from salus.network.demonstration.sharing_cheats import InsistingInstitution
from salus.records.payload import PayloadHeader
from salus.terminal.bodies import Payload
from salus.terminal.patient import PatientTerminal


class _Reusing(PatientTerminal):
    """A terminal that keeps a copy of the credential it used, and uses it again."""

    kept: list[bytes]

    def _take_credential(self) -> Credential:
        if not self.kept:
            self.kept.append(super()._take_credential().export_secret())
        return Credential.from_secret(self.kept[0])


class CheatingPatient(PatientActor):
    """A patient whose terminal was tampered with: replays, reuses credentials, forges in another's name."""

    _kept: list[bytes] | None = None

    def try_request(self, doctor: str, day: str, path: str) -> Result:
        """Send a record; says why it was refused, if it was."""
        return _attempt(lambda: self.request(doctor, day, path))

    def try_reusing(self, doctor: str, day: str, path: str) -> Result:
        """Send a record with the credential of the last such attempt."""
        a = self._around
        terminal = _Reusing(self._wallet, a.ledger, a.centre(), a.bodies(self._wallet.directory), a.now_ms, a.random)
        self._kept = terminal.kept = [] if self._kept is None else self._kept
        return _attempt(lambda: terminal.request(doctor, day, Path(path)))

    def try_replay(self, tx: str) -> Result:
        """Send a committed transaction once more, byte for byte, as anybody who saw it can."""
        ledger = self._around.ledger
        return _attempt(lambda: ledger.offer(ledger.transaction(bytes.fromhex(tx)).raw))

    def try_forgery(self, doctor: str, day: str, path: str) -> Result:
        """Forge a request in this patient's own name by the key-cancelling equations, without its secret key.

        The victim is this wallet's next credential: the forger knows all its public parts, and nothing else.
        """
        a = self._around
        terminal = self._terminal()
        ledger = a.ledger
        ledger.refresh()
        victim = Victim.of(terminal._take_credential())
        slot = ledger.free_slots(doctor, day)[0]
        epoch = ledger.epoch()
        context = RequestContext(epoch.number, epoch.pk_BC, ledger.member_key("doctor", doctor), slot.E)
        valid_until = ledger.time_ms + ledger.constants.valid_until_max_ms // 2
        with Payload(Path(path)) as payload:
            header = PayloadHeader(victim.pid, a.now_ms(), payload.media_type, payload.file_name, payload.size_bytes)
            keep_until = valid_until + 2 * ledger.constants.retention_ms
            sealed, receipt = a.bodies(self._wallet.directory).send(header, payload, a.random(32), ("forged",), keep_until)
        body = BodyReference(sealed.body.digest, sealed.body.size_bytes, receipt)
        forged = forge_request(ledger.domain, victim, doctor, slot.sn, context, valid_until, body, a.random)
        return _attempt(lambda: ledger.offer(forged.encode()))

    def try_read(self, id: str) -> Result:
        """Read a reply; says why it was refused, if it was."""
        return _attempt(lambda: self.read(id))

    def reply_digest(self, id: str) -> Result:
        """Digest of the body of a committed reply, as everybody can read it on the ledger."""
        ledger = self._around.ledger
        answer = ledger.answer(self._wallet.content.consultation(id).tx_hash)
        if answer is None or answer.reply_tx is None:
            raise Refused("not-committed", id)
        return {"digest": ConsultationReply.decode(ledger.transaction(answer.reply_tx).raw).digest.hex()}


def _attempt(send: Callable[[], object]) -> Result:
    try:
        send()
    except Refused as refused:
        return {"refused": refused.reason, "detail": refused.detail}
    return {"refused": None}


CHEATS: Final[dict[str, type[Actor]]] = {**ACTORS, "patient": CheatingPatient, "institution": InsistingInstitution}
