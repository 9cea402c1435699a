"""Parties of a simulated network that shares: a committee deals its keys on the chain, a hospital puts records and reads them.

Nothing here depends on what the deals fix: capsules and delegations are checked against their own parts.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from salus.abpre.encapsulation import encapsulate
from salus.abpre.language import parse
from salus.abpre.parameters import PublicParameters, setup
from salus.abpre.policy import any_of, attribute, record_policy
from salus.abpre.threshold.alpha import make_alpha_deal
from salus.abpre.threshold.approvals import approve_shares
from salus.abpre.threshold.box import BoxKey
from salus.abpre.threshold.committee import Committee, make_committee
from salus.abpre.threshold.epoch_keys import SharingSecret, make_seat, publish_sharing_key
from salus.abpre.threshold.groups import OPRF, Z
from salus.abpre.threshold.key_issuing import make_key_request
from salus.abpre.threshold.scalar_deals import make_scalar_deal
from salus.ledger.genesis import GenesisCore, SharingGenesisCore
from salus.ledger.kinds.sharing import attachments, attributes, records, scopes
from salus.ledger.kinds.sharing.constants import SHARING_VERSION, SharingConstants
from salus.ledger.kinds.sharing.messages import attributes as grants
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_member, signed_by_scope
from salus.ledger.kinds.sharing.messages.keys import KeyAsked, SharingFix
from salus.ledger.kinds.sharing.messages.records import RecordContent, RecordErase, RecordPut
from salus.ledger.kinds.sharing.messages.scopes import InstitutionScope
from salus.ledger.kinds.sharing.messages.shares import ShareItem, ShareRequest
from salus.ledger.kinds.sharing.scope_keys import ScopeKey
from salus.records.record import record_id
from salus.sim.ledger_parties import LedgerParties
from salus.sim.scenario import START_MS

_HOUR_MS: Final = 3600 * 1000
_EPOCH: Final = 1
CONSTANTS: Final = SharingConstants(
    # Every seat is awaited, however long faults go on, so that the committee is known beforehand.
    key_turn_ms=24 * _HOUR_MS,
    deal_window_ms=24 * _HOUR_MS,
    # Approvals end it.
    complaint_window_ms=24 * _HOUR_MS,
)
POLICY: Final = "role:doctor@2023"


class SharingParties(LedgerParties):
    """Keys and transactions of a network in protocol version 2."""

    def _core(self, core: GenesisCore) -> SharingGenesisCore:
        fields = {name: getattr(core, name) for name in core.__struct_fields__}
        return SharingGenesisCore(**{**fields, "protocol_version": SHARING_VERSION}, sharing=CONSTANTS)

    def _transactions(self) -> tuple[list[tuple[bytes, ...]], list[bytes]]:
        _, forbidden = super()._transactions()
        self._parameters: PublicParameters = setup(self._random)[0]
        keys = [SharingSecret.generate(_EPOCH, self._random) for _ in range(self._seats)]
        committee, posted = self._committee(keys)
        threshold = committee.threshold
        seated = self._nodes[: self._seats]
        made = [*posted]
        made += [make_alpha_deal(self.network, committee, n, self._random).encode() for n in seated[:threshold]]
        for purpose in (Z, OPRF):
            deals = [make_scalar_deal(self.network, committee, purpose, n, self._random) for n in seated]
            names = [deal.digest() for deal in deals]
            approvals = [approve_shares(self.network, committee, purpose, names, n, self._random) for n in seated]
            made += [message.encode() for message in (*deals, *approvals)]
        made += [SharingFix(_EPOCH, purpose).encode() for purpose in (Z, OPRF)]
        wishes: list[tuple[bytes, ...]] = [(raw,) for raw in made]
        owner, reader = self._institutions[0], self._institutions[1]
        scope = ScopeKey.derive(self.network, self._random(32), "lab", "2023Q4")
        victim = ScopeKey.derive(self.network, self._random(32), "lab", "2023Q4")
        for key in (scope, victim):
            draft = InstitutionScope(key.V, scopes.possession_by_institution(key, owner.name, self._random), owner.name, UNSIGNED)
            wishes.append((signed_by_member(self.network, draft, owner, self._random).encode(),))
        wishes.append((self._grant(reader.name),))
        first, second, third = (self._record(committee, scope) for _ in range(3))
        # Two records under one rid exclude each other.
        rival = self._record(committee, scope, third.salt)
        wishes += [(first.encode(),), (second.encode(),), (third.encode(), rival.encode())]
        wishes += [(self._key_request(reader.name),), (self._share_request(reader.name, first.rid),)]
        erase = signed_by_scope(RecordErase(second.rid, 2, UNSIGNED), scope, self._random)
        wishes.append((erase.encode(),))
        stranger = signed_by_scope(RecordErase(first.rid, 2, UNSIGNED), victim, self._random)
        return wishes, [*forbidden, self._escape(committee, scope, victim).encode(), stranger.encode()]

    def _committee(self, secrets: list[SharingSecret]) -> tuple[Committee, list[bytes]]:
        seats, posted = [], []
        for index, secret in enumerate(secrets, 1):
            node = self._nodes[index - 1]
            message = publish_sharing_key(self.network, node, secret, self._random)
            posted.append(message.encode())
            seats.append(make_seat(index, message, node.W_bytes))
        return make_committee(_EPOCH, len(seats), seats), posted

    def _grant(self, institution: str) -> bytes:
        draft = grants.AttributeGrant(institution, ("role:doctor",), 2023, 2024, START_MS + 24 * _HOUR_MS, 1, UNSIGNED)
        return attributes.grant_attributes(self.network, "salus/centre", self._centre, draft, self._random).encode()

    def _record(self, committee: Committee, key: ScopeKey, salt: bytes = b"", victim: ScopeKey | None = None) -> RecordPut:
        random, salt = self._random, salt or self._random(16)
        rid = record_id(self.network, key.scope, salt)
        policy = record_policy(key.scope, parse(POLICY))
        if victim is not None:
            policy = any_of(policy, attribute(victim.attribute))
        aad = records.record_aad(self.network, rid, key.scope)
        capsule = encapsulate(self._parameters, policy, random(32), aad, random).message()
        metadata, tag = random(32), records.digest_tag(self.network, random(32))
        keep_until = START_MS + 24 * _HOUR_MS
        upload = records.sign_record_upload(self.network, self._cloud, rid, tag, metadata, keep_until, random)
        nodes = {seat.name: self._bls[seat.index - 1] for seat in committee.seats[: committee.threshold]}
        about = (attachments.METADATA, rid, metadata)
        signed = {
            name: attachments.sign_attachment(self.network, _EPOCH, bls.export_secret(), *about) for name, bls in nodes.items()
        }
        public = {name: bls.public for name, bls in nodes.items()}
        kept = attachments.gather_receipts(self.network, committee, public, *about, signed)
        content = RecordContent(capsule, metadata, kept, tag, (upload,))
        tags = b"".join(sorted(random(16) for _ in range(8)))
        draft = RecordPut(rid, salt, key.scope, content, tags, None, _EPOCH, _EPOCH, UNSIGNED)
        return signed_by_scope(draft, key, random)

    def _escape(self, committee: Committee, attacker: ScopeKey, victim: ScopeKey) -> RecordPut:
        """A record of one owner whose policy names another's scope."""
        return self._record(committee, attacker, victim=victim)

    def _key_request(self, institution: str) -> bytes:
        member = next(m for m in self._institutions if m.name == institution)
        core = make_key_request(_EPOCH, institution, [POLICY], BoxKey.generate(self._random))
        return signed_by_member(self.network, KeyAsked(core, UNSIGNED), member, self._random).encode()

    def _share_request(self, institution: str, rid: bytes) -> bytes:
        member = next(m for m in self._institutions if m.name == institution)
        Er = BoxKey.generate(self._random).Er
        draft = ShareRequest(institution, None, (ShareItem(rid, None, None),), "treatment", Er, UNSIGNED)
        return signed_by_member(self.network, draft, member, self._random).encode()


@lru_cache(maxsize=4)
def sharing_parties(nodes: int, seats: int) -> SharingParties:
    """The parties of a network of this size, made once in a process."""
    return SharingParties(nodes, seats)
