"""An owner's scopes: keys derived from one secret of the wallet, opened on the ledger at first use.

``V = KDF(owner secret, category, period)*P``; the index key of a scope is derived from the same secret, so that a backup of the
wallet, however old, opens and finds every record put since. Steps: docs/protocol/sharing-ledger.md, "scopes".
"""

from __future__ import annotations

from typing import Final

import msgspec

from salus import labels
from salus.abpre.keys import SecretKey
from salus.abpre.threshold.key_issuing import KeyRequest
from salus.consultation.credentials import Credential
from salus.consultation.envelope import EnvelopeDraft, Topic
from salus.consultation.registration import MemberKey, quarter_of
from salus.errors import Refused, WalletError
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member, signed_by_scope
from salus.ledger.kinds.sharing.messages.keys import KeyAsked
from salus.ledger.kinds.sharing.messages.scopes import InstitutionScope, ScopeOpening, own_fields
from salus.ledger.kinds.sharing.scope_keys import SUITE, ScopeKey
from salus.ledger.kinds.sharing.scopes import SCOPES, possession_by_envelope, possession_by_institution
from salus.ledger.quarters import quarter_accepted
from salus.symmetric import KEY_BYTES, Random, kdf
from salus.terminal.membership import Membership
from salus.terminal.sharing.entries import PendingOpening, ScopeEntry
from salus.terminal.sharing.keys import KeyDesk
from salus.terminal.sharing.nodes import Nodes
from salus.terminal.sharing.shelf import Shelf
from salus.terminal.wallet import Wallet
from salus.terminal.wallet_content import IN_USE, SPENT

OWNER_SECRET: Final = "sharing.owner-secret"
"""Setting of the wallet: the owner's secret in hex."""
VALID_MS: Final = 3600 * 1000
"""How long an envelope stays valid; shorter than any network's bound on it."""
RETRY: Final = frozenset({"wrong-epoch", "used-key", "used-credential", "expired"})
"""Refusals after which the next credential is tried; the last one is of an envelope that waited through an interruption."""
TRIES: Final = 4


class OpenScope(msgspec.Struct, frozen=True):
    """A scope that can be used.

    :ivar signer: its signing key. :ivar key: for its attribute. :ivar index_key: 32 bytes.
    """

    category: str
    period: str
    signer: ScopeKey
    key: SecretKey
    index_key: bytes

    def __repr__(self) -> str:
        return f"OpenScope({self.signer!r})"


class Anonymous:
    """Anonymous transactions of a patient, each for one credential.

    :param time_ms: about when a block made now is stamped.
    """

    def __init__(self, wallet: Wallet, nodes: Nodes, membership: Membership, random: Random) -> None:
        self._wallet = wallet
        self._nodes = nodes
        self._membership = membership
        self._random = random

    def draft(self, kind: str, own: tuple[object, ...], now_ms: int) -> tuple[EnvelopeDraft, Credential]:
        """Begin an envelope; the credential is marked used before anything leaves.

        :raises Refused: ``quota``, ``not-started``.
        """
        ledger = self._nodes.ledger
        epoch = ledger.epoch()
        time_ms = max(ledger.time_ms, now_ms)
        credential = self._take(time_ms)
        valid_ms = min(VALID_MS, ledger.constants.valid_until_max_ms // 2)
        topic = Topic(kind, epoch.number, epoch.pk_BC, time_ms + valid_ms, own)
        return EnvelopeDraft.begin(ledger.domain, credential, topic, self._random), credential

    def spent(self, quarter: int, index: int) -> None:
        """The envelope is committed: its credential's secret is not needed any more."""
        self._wallet.update(lambda c: c.with_credential_state(quarter, index, SPENT))

    def _take(self, time_ms: int) -> Credential:
        quarter, constants = quarter_of(time_ms), self._nodes.ledger.constants
        accepted = [q for q in (quarter, quarter - 1) if quarter_accepted(q, time_ms, constants)]
        unused = [c for q in accepted for c in self._wallet.content.unused_credentials(q)]
        if not unused:
            self._membership.renew(quarter)
            unused = list(self._wallet.content.unused_credentials(quarter))
        if not unused:
            raise Refused(
                "quota", "no credential of this quarter is left; a first use of a scope and an order of words take one each"
            )
        taken = unused[0]
        self._wallet.update(lambda c: c.with_credential_state(taken.quarter, taken.index, IN_USE))
        return Credential.from_secret(taken.secret)


class Scopes:
    """The scopes of one owner.

    :param member: an institution's key; or
    :param anonymous: a patient's anonymous transactions.
    """

    def __init__(
        self,
        wallet: Wallet,
        shelf: Shelf,
        nodes: Nodes,
        keys: KeyDesk,
        random: Random,
        *,
        member: MemberKey | None = None,
        anonymous: Anonymous | None = None,
    ) -> None:
        if (member is None) == (anonymous is None):
            raise WalletError("an owner is an institution or a patient")
        self._wallet = wallet
        self._shelf = shelf
        self._nodes = nodes
        self._keys = keys
        self._random = random
        self._member = member
        self._anonymous = anonymous

    def signer(self, category: str, period: str) -> ScopeKey:
        """The signing key of a scope, open or not.

        :raises Refused: ``bad-category``, ``bad-period``.
        """
        return ScopeKey.derive(self._nodes.network, self._secret(), category, period)

    def index_key(self, category: str, period: str) -> bytes:
        """The index key of a scope, 32 bytes."""
        context = (self._nodes.network, category, period)
        return kdf(labels.OWNER_INDEX_KEY, SUITE, [self._secret()], context, KEY_BYTES)

    def known(self) -> list[ScopeEntry]:
        """Scopes that this terminal has opened."""
        return self._shelf.all("scope-", ScopeEntry)

    def open(self, category: str, period: str, now_ms: int) -> OpenScope:
        """A scope, opened on the ledger if it is not yet, with the key for its attribute.

        :raises Refused: ``quota``; what nodes refuse. :raises TransportError: the outcome is open; again is safe.
        """
        signer = self.signer(category, period)
        name = f"scope-{category}-{period.lower()}"
        entry = self._shelf.get(name, ScopeEntry)
        if entry is None or entry.key is None:
            opening = f"opening-{category}-{period.lower()}"
            if SCOPES.get(self._nodes.view(), signer.scope) is None:
                self._open(signer, opening, now_ms)
            else:
                self._opened(opening, self._shelf.get(opening, PendingOpening))
            self._shelf.put(name, ScopeEntry(category, period, None))
            entry = ScopeEntry(category, period, self._own_key(signer).message())
            self._shelf.put(name, entry)
        assert entry.key is not None
        return OpenScope(category, period, signer, SecretKey.from_message(entry.key), self.index_key(category, period))

    def _own_key(self, signer: ScopeKey) -> SecretKey:
        def sign(core: KeyRequest) -> KeyAsked:
            return signed_by_scope(KeyAsked(core, UNSIGNED), signer, self._random)

        return self._keys.ask(signer.attribute, [signer.attribute], sign)

    def _open(self, signer: ScopeKey, name: str, now_ms: int) -> None:
        if self._member is not None:
            possession = possession_by_institution(signer, self._member.name, self._random)
            draft = InstitutionScope(signer.V, possession, self._member.name, UNSIGNED)
            self._nodes.submit(signed_by_member(self._nodes.network, draft, self._member, self._random))
            return
        assert self._anonymous is not None
        lost: Refused | None = None
        pending = self._shelf.get(name, PendingOpening)  # an interruption may have left one
        for _ in range(TRIES):
            if pending is None:
                envelope, credential = self._anonymous.draft(ScopeOpening.KIND, own_fields(signer.V), now_ms)
                possession = possession_by_envelope(signer, envelope.nf, self._random)
                opening = ScopeOpening(signer.V, possession, envelope.sign((possession,), self._random))
                credential.wipe()
                pending = PendingOpening(opening.encode(), credential.quarter, credential.index)
                self._shelf.put(name, pending)
            try:
                self._nodes.ledger.submit(pending.raw)
            except Refused as refused:
                self._shelf.remove(name)
                pending = None
                if refused.reason not in RETRY:
                    raise
                lost = refused
            else:
                self._opened(name, pending)
                return
        raise lost or Refused("internal", "the scope was not opened")

    def _opened(self, name: str, pending: PendingOpening | None) -> None:
        if pending is not None and self._anonymous is not None:
            self._anonymous.spent(pending.quarter, pending.index)
            self._shelf.remove(name)

    def _secret(self) -> bytes:
        """The owner's secret, made at first use; durable before anything depends on it."""
        kept = self._wallet.content.setting(OWNER_SECRET)
        if not kept:
            fresh = self._random(32).hex()
            kept = self._wallet.update(lambda c: c.with_setting(OWNER_SECRET, fresh)).setting(OWNER_SECRET)
        return bytes.fromhex(kept)
