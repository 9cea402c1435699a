"""mbpa-r1 with all its parties in one process: for study, the game harness, comparison and tests.

The ledger is a handful of sets here; services and storage are elsewhere (:mod:`salus.ledger`, :mod:`salus.network`).
"""

from salus.consultation.rehearsal.chain import Chain, Committed, decode_transaction
from salus.consultation.rehearsal.network import Rehearsal
from salus.consultation.rehearsal.parties import Centre, Cloud, Doctor, Node, Patient

__all__ = ["Centre", "Chain", "Cloud", "Committed", "Doctor", "Node", "Patient", "Rehearsal", "decode_transaction"]
