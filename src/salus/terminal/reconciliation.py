"""A restored wallet is compared with the ledger: what was used, asked and published since the backup was made.

The backup holds no one-time keys, so replies under way can no longer be opened and slots no longer be served. Both are
listed, the first as ``unreadable``, the second to be cancelled or declined.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from salus.codec import decode
from salus.consultation.registration import DOCTOR
from salus.consultation.request import ConsultationRequest
from salus.ledger.client import SLOTS_LOOKED_AT, LedgerClient
from salus.ledger.kinds.sharing.messages.scopes import ScopeOpening
from salus.ledger.kinds.sharing.messages.searches import AnonymousTokenRequest
from salus.ledger.kinds.slots import CANCELLED as LEDGER_CANCELLED
from salus.ledger.kinds.slots import Slot
from salus.terminal.doctor import OPEN, TAKEN
from salus.terminal.recovery import RESTORED, UNREADABLE, Reconciled, nullifier_of, reconcile, slot_file, to_reconcile
from salus.terminal.wallet import Wallet
from salus.terminal.wallet_content import ConsultationEntry, SlotEntry

_CLOCK_MARGIN_MS: Final = 24 * 3600 * 1000
"""How far the clock of the device that made the backup may have been off."""
_ANONYMOUS: Final[dict[str, type[ScopeOpening] | type[AnonymousTokenRequest]]] = {
    kind.KIND: kind for kind in (ScopeOpening, AnonymousTokenRequest)
}
Counted = Callable[[int, int], None]
"""Told (blocks looked at, blocks in all)."""


def not_counted(done: int, total: int) -> None:
    """Tell nobody."""


def needs_reconciling(wallet: Wallet) -> bool:
    """Whether the wallet was restored and not yet compared with the ledger."""
    return bool(wallet.content.setting(RESTORED))


def reconcile_with_ledger(wallet: Wallet, ledger: LedgerClient, counted: Counted = not_counted) -> Reconciled:
    """Compare and change the wallet; may be repeated.

    :raises TransportError: the ledger cannot be read now; the wallet stays marked as restored.
    """
    ledger.refresh()
    requests, others = _made_since(wallet, ledger, counted)
    found = reconcile(wallet, requests.get, others.__contains__)
    lost = _slots_without_key(wallet, ledger) if wallet.content.role == DOCTOR else ()
    wallet.update(lambda c: c.with_slots(lost).without_setting(RESTORED))
    return msgspec.structs.replace(found, slots=lost)


def _made_since(wallet: Wallet, ledger: LedgerClient, counted: Counted) -> tuple[dict[bytes, ConsultationEntry], set[bytes]]:
    """Committed requests by nullifier, and nullifiers of other anonymous transactions: first uses of scopes, orders of words.

    No node is asked about a nullifier: most of them are of visits to come, and a node that was shown them together would know
    those visits for one patient's. The ledger since the backup is gone through here instead.
    """
    wanted: set[bytes] = set()
    for _, credential in to_reconcile(wallet).credentials:
        wanted.add(nullifier_of(wallet.content.network, credential))
        credential.wipe()
    found: dict[bytes, ConsultationEntry] = {}
    others: set[bytes] = set()
    start = ledger.height_before(int(wallet.content.setting(RESTORED, "0")) - _CLOCK_MARGIN_MS) if wanted else 0
    for verified in ledger.follow(start) if wanted else ():
        counted(verified.block.header.height, ledger.height)
        for raw in verified.block.transactions:
            kind = decode(raw)[0]
            if kind == ConsultationRequest.KIND:
                request = ConsultationRequest.decode(raw)
                if request.nf in wanted:
                    found[request.nf] = _entry(request)
            elif kind in _ANONYMOUS:
                others.add(_ANONYMOUS[kind].decode(raw).envelope().nf)
        if len(found) + len(others & wanted) == len(wanted):
            break
    return found, others & wanted


def _entry(request: ConsultationRequest) -> ConsultationEntry:
    tx_hash = request.tx_hash()
    return ConsultationEntry(
        id=tx_hash.hex()[:16],
        state=UNREADABLE,
        doctor=request.ID_D,
        day="",
        sn=request.sn,
        tx_hash=tx_hash,
        nullifier=request.nf,
        quarter=0,
        index=0,
        deadline_ms=request.valid_until_ms,
        body_digest=request.digest,
        body_size_bytes=request.size_bytes,
        file_name="",
    )


def _slots_without_key(wallet: Wallet, ledger: LedgerClient) -> tuple[SlotEntry, ...]:
    """A doctor's slots on the ledger that are open, or hold an unanswered request, and whose e_sn is gone."""
    content = wallet.content
    party = ledger.party(DOCTOR, content.name)
    if content.member is None or party is None or party.revoked_ms:
        return ()
    after = ledger.next_sn(content.name)
    sns = [sn for sn in range(max(0, after - SLOTS_LOOKED_AT), after) if not wallet.one_time.has(slot_file(sn))]
    slots = [s for s in ledger.slots(content.name, sns) if s is not None and party.W == s.W_D and s.status != LEDGER_CANCELLED]
    answered = ledger.answers([s.h1 for s in slots if s.h1 is not None])
    done = {s.h1 for s, answer in zip([s for s in slots if s.h1 is not None], answered, strict=True) if answer is not None}
    return tuple(_slot_entry(s) for s in slots if s.h1 is None or s.h1 not in done)


def _slot_entry(slot: Slot) -> SlotEntry:
    return SlotEntry(slot.sn, slot.day, slot.E, OPEN if slot.h1 is None else TAKEN, slot.h1, None)
