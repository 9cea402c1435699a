"""The validation role's secret checks: open sealed senders with theta and verify them, a batch in one native call.

The readable form of the same steps is :func:`salus.consultation.request.open_at_node` with
:mod:`salus.consultation.batch`; a test compares the two. Steps: docs/protocol/consultation.md, "envelope", 6 to 10.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

from salus._native import admit_requests
from salus.consultation.registration import Domain
from salus.consultation.request import ConsultationRequest
from salus.errors import Refused
from salus.groups.ristretto255 import Scalar
from salus.ledger.genesis import CONSTANTS
from salus.ledger.kinds.consultations import request_context
from salus.ledger.kinds.parties import credential_revoked
from salus.ledger.quarters import quarter_accepted
from salus.ledger.state import StateView
from salus.ledger.transactions import Transaction
from salus.node.secrets import NodeSecrets

REMEMBERED_MAX: Final = 32_768
"""Passes kept between pool and proposal: more than a full pool; 100 bytes each."""
BATCH_MAX: Final = 4096
"""Requests of one native call."""

Item = tuple[bytes, int, bytes, Scalar, bytes, bytes]


class Admission:
    """Implements :class:`salus.ledger.committed.SecretChecker` for consultation requests."""

    def __init__(self, domain: Domain, secrets: NodeSecrets) -> None:
        self._domain = domain
        self._secrets = secrets
        self._passed: OrderedDict[bytes, tuple[bytes, int]] = OrderedDict()

    def check(self, view: StateView, time_ms: int, transactions: Sequence[Transaction[Any]]) -> list[Refused | None]:
        """Open and verify; a pass is remembered by (hp, quarter), and these are checked again every time."""
        refusals: list[Refused | None] = [None] * len(transactions)
        places: list[int] = []
        items: list[Item] = []
        # what passes is held here until the end: remembering the new ones may make room by forgetting an old one of this call
        senders: dict[int, tuple[bytes, int]] = {}
        for place, tx in enumerate(transactions):
            known = self._passed.get(tx.hash)
            if known is not None:
                senders[place] = known
                continue
            try:
                items.append(self._item(view, time_ms, tx))
            except Refused as refused:
                refusals[place] = refused
                continue
            places.append(place)
        for start in range(0, len(items), BATCH_MAX):
            opened = admit_requests(items[start : start + BATCH_MAX], self._domain.network, self._domain.Pub)
            for place, result in zip(places[start : start + BATCH_MAX], opened, strict=True):
                if isinstance(result, str):
                    refusals[place] = Refused(result)
                else:
                    senders[place] = (result[0], result[1])
                    self._remember(transactions[place].hash, result[0], result[1])
        constants = CONSTANTS.need(view, b"")
        for place, (hp, quarter) in senders.items():
            if not quarter_accepted(quarter, time_ms, constants):
                refusals[place] = Refused("wrong-quarter")
            elif credential_revoked(view, hp, time_ms):
                refusals[place] = Refused("revoked")
        return refusals

    def _item(self, view: StateView, time_ms: int, tx: Transaction[Any]) -> Item:
        request = tx.message
        if not isinstance(request, ConsultationRequest):
            raise Refused("unknown-kind", f"no secret check for {request.KIND}")
        context = request_context(view, request, time_ms)
        theta = self._secrets.theta(request.epoch, context.pk_BC)
        if theta is None:
            raise Refused("no-shared-value", f"epoch {request.epoch}")
        return (tx.raw, context.epoch, context.pk_BC, theta, context.W_D, context.E_sn)

    def _remember(self, tx_hash: bytes, hp: bytes, quarter: int) -> None:
        self._passed[tx_hash] = (hp, quarter)
        if len(self._passed) > REMEMBERED_MAX:
            self._passed.popitem(last=False)

    def __repr__(self) -> str:
        return "Admission()"
