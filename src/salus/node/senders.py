"""A node shows the sender of a request whose seal to the doctor is rubbish (docs/protocol/consultation.md, "tracing", step 4)."""

from __future__ import annotations

from salus.consultation.envelope import verify_opened
from salus.consultation.registration import Domain
from salus.consultation.request import open_at_node
from salus.consultation.tracing import SealEvidence, SenderEvidence, evidence_of, seal_is_rubbish
from salus.errors import Refused
from salus.ledger.kinds.consultations import REQUESTS
from salus.ledger.state import StateView
from salus.node.secrets import NodeSecrets


def show_sender(domain: Domain, secrets: NodeSecrets, view: StateView, evidence: SealEvidence) -> SenderEvidence:
    """Open S for a doctor who has proven that S_D opens to nobody.

    Only while the epoch's shared value is kept: a doctor complains within the epoch and its grace.

    :raises Refused: ``unknown-request``, ``bad-evidence`` (the proofs do not hold, or the seal opens), ``no-shared-value``.
    """
    request = evidence.request
    record = REQUESTS.get(view, request.tx_hash())
    if record is None:
        raise Refused("unknown-request", request.tx_hash().hex())
    context = record.context()
    if not seal_is_rubbish(domain, evidence, context):
        raise Refused("bad-evidence", "the seal opens: the doctor can show the sender")
    theta = secrets.theta(record.epoch, context.pk_BC)
    if theta is None:
        raise Refused("no-shared-value", f"the shared value of epoch {record.epoch} is not here, or was erased after its grace")
    opened = open_at_node(domain, request, context, theta)
    verify_opened(opened)
    return evidence_of(opened, request)
