"""What both suites offer alike: a rehearsal of all twelve phases between parties that exchange encoded messages.

``mbpa-r1`` is rehearsed by :class:`salus.consultation.rehearsal.Rehearsal`; the printed suite by
:mod:`salus.consultation.published`. The game harness, the bench and comparisons are written against this interface; the
network's services are built on the protocol modules themselves.
"""

from __future__ import annotations

from typing import Protocol


class Suite(Protocol):
    """One network of one suite, with its parties. Phases are the paper's.

    :ivar name: ``mbpa-r1`` or ``mbpa-2019``.
    """

    name: str

    def register(self, role: str, identity: str) -> None:
        """Phases 2-4: a patient, doctor or node registers with the centre (phase 1 is the making of the network).

        :raises Refused: ``already-registered``, ``bad-possession``.
        """

    def share_value(self) -> None:
        """Phase 5: the registered nodes come to share a value."""

    def request(self, patient: str, doctor: str, payload: bytes) -> bytes:
        """Phase 6: an encoded Transaction 1."""

    def commit(self, transaction: bytes) -> None:
        """Phases 7 and 10: every node verifies a transaction; then it is chained.

        :raises Refused: the first node's reason.
        """

    def store(self, transaction: bytes) -> None:
        """Phases 8 and 11: the cloud files a chained transaction and its sender checks the cloud's answer.

        :raises Refused: ``bad-receipt``.
        """

    def treat(self, doctor: str, request: bytes, diagnosis: bytes) -> tuple[bytes, bytes]:
        """Phase 9: the doctor opens a request and answers it: (payload received, encoded Transaction 2).

        :raises Refused: what the doctor refuses the request for.
        """

    def check_up(self, patient: str, reply: bytes) -> bytes:
        """Phase 12: the patient checks a reply and gets the diagnosis.

        :raises Refused: what the patient refuses the reply for.
        """

    def trace(self, doctor: str, request: bytes) -> str:
        """The identity behind a request, from its doctor's evidence, by the centre.

        :raises Refused: ``bad-evidence``, ``bad-pseudonym``.
        """
