"""The validation role's secret checks: open sealed senders with theta and verify them, a batch in one native call.

Consultation requests are a kind of their own in the extension; envelopes of any other kind are put together by their messages.

The readable form of the same steps is :func:`salus.consultation.request.open_at_node` with
:mod:`salus.consultation.batch`; a test compares the two. Steps: docs/protocol/consultation.md, "envelope", 6 to 10.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any, Final

from salus._native import admit_requests
from salus.consultation.admission import admit_envelopes
from salus.consultation.envelope import Statement
from salus.consultation.registration import Domain
from salus.consultation.request import ConsultationRequest
from salus.errors import Refused
from salus.groups.ristretto255 import Scalar
from salus.ledger.epoch_state import accepted_epoch
from salus.ledger.genesis import CONSTANTS
from salus.ledger.kinds.consultations import request_context
from salus.ledger.kinds.parties import credential_revoked
from salus.ledger.kinds.sharing.envelopes import statement_of
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
    """Implements :class:`salus.ledger.committed.SecretChecker` for every kind in an anonymous envelope."""

    def __init__(self, domain: Domain, secrets: NodeSecrets) -> None:
        self._domain = domain
        self._secrets = secrets
        self._passed: OrderedDict[bytes, tuple[bytes, int]] = OrderedDict()

    def check(self, view: StateView, time_ms: int, transactions: Sequence[Transaction[Any]]) -> list[Refused | None]:
        """Open and verify; a pass is remembered by (hp, quarter), and these are checked again every time."""
        refusals: list[Refused | None] = [None] * len(transactions)
        places: list[int] = []
        items: list[Item] = []
        others: list[tuple[int, Statement, Scalar]] = []
        # what passes is held here until the end: remembering the new ones may make room by forgetting an old one of this call
        senders: dict[int, tuple[bytes, int]] = {}
        for place, tx in enumerate(transactions):
            known = self._passed.get(tx.hash)
            if known is not None:
                senders[place] = known
                continue
            try:
                if isinstance(tx.message, ConsultationRequest):
                    items.append(self._item(view, time_ms, tx.message, tx.raw))
                    places.append(place)
                else:
                    others.append((place, *self._statement(view, time_ms, tx.message)))
            except Refused as refused:
                refusals[place] = refused
        for place, passed in [*self._open_requests(places, items), *self._open_others(others)]:
            if isinstance(passed, Refused):
                refusals[place] = passed
            else:
                senders[place] = passed
                self._remember(transactions[place].hash, *passed)
        constants = CONSTANTS.need(view, b"")
        for place, (hp, quarter) in senders.items():
            if not quarter_accepted(quarter, time_ms, constants):
                refusals[place] = Refused("wrong-quarter")
            elif credential_revoked(view, hp, time_ms):
                refusals[place] = Refused("revoked")
        return refusals

    def _open_requests(self, places: Sequence[int], items: Sequence[Item]) -> Iterator[tuple[int, Refused | tuple[bytes, int]]]:
        for start in range(0, len(items), BATCH_MAX):
            opened = admit_requests(list(items[start : start + BATCH_MAX]), self._domain.network, self._domain.Pub)
            for place, result in zip(places[start : start + BATCH_MAX], opened, strict=True):
                yield place, Refused(result) if isinstance(result, str) else (result[0], result[1])

    def _open_others(self, others: Sequence[tuple[int, Statement, Scalar]]) -> Iterator[tuple[int, Refused | tuple[bytes, int]]]:
        for start in range(0, len(others), BATCH_MAX):
            batch = others[start : start + BATCH_MAX]
            verified = admit_envelopes(self._domain, [(statement, theta) for _, statement, theta in batch])
            for (place, _, _), passed in zip(batch, verified, strict=True):
                yield place, passed if isinstance(passed, Refused) else (passed.hp, passed.quarter)

    def _item(self, view: StateView, time_ms: int, request: ConsultationRequest, raw: bytes) -> Item:
        context = request_context(view, request, time_ms)
        theta = self._theta(request.epoch, context.pk_BC)
        return (raw, context.epoch, context.pk_BC, theta, context.W_D, context.E_sn)

    def _statement(self, view: StateView, time_ms: int, message: Any) -> tuple[Statement, Scalar]:
        statement = statement_of(view, self._domain, message, time_ms)
        record = accepted_epoch(view, message.envelope().epoch, time_ms)
        assert record.pk_BC is not None  # it has started
        return statement, self._theta(record.epoch, record.pk_BC)

    def _theta(self, epoch: int, pk_BC: bytes) -> Scalar:
        theta = self._secrets.theta(epoch, pk_BC)
        if theta is None:
            raise Refused("no-shared-value", f"epoch {epoch}")
        return theta

    def _remember(self, tx_hash: bytes, hp: bytes, quarter: int) -> None:
        self._passed[tx_hash] = (hp, quarter)
        if len(self._passed) > REMEMBERED_MAX:
            self._passed.popitem(last=False)

    def __repr__(self) -> str:
        return "Admission()"
