"""What owners and institutions do in the sharing half, as commands with plain arguments and plain results."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from salus.errors import Refused, StorageError, refuse_unless
from salus.ledger.kinds.sharing.messages.shares import WAITING
from salus.ledger.kinds.sharing.share_state import DENIED, Share
from salus.records.crypt4gh_keys import read_public_key
from salus.terminal.sharing.access import Obstacle, told
from salus.terminal.sharing.desk import SharingDesk
from salus.terminal.sharing.entries import DelegationEntry, RecordEntry
from salus.terminal.sharing.owner import Putting
from salus.terminal.sharing.scopes import OWNER_SECRET
from salus.terminal.sharing.shelf import DIRECTORY

if TYPE_CHECKING:
    from salus.network.actors import Surroundings
    from salus.terminal.bodies import Progress
    from salus.terminal.wallet import Wallet

Result = dict[str, Any]
REFUSED_BY_OWNER: Final = "refused-by-owner"
PREFIX_MIN: Final = 8
"""Hexadecimal digits of an id that a person has to type at least."""


class _Sharing:
    """The desk of one wallet, put together when it is first needed."""

    _wallet: Wallet
    _around: Surroundings
    _progress: Progress

    @cached_property
    def _desk(self) -> SharingDesk:
        a = self._around
        return SharingDesk(self._wallet, a.ledger, a.transport, a.centre(), a.now_ms, a.random)

    @property
    def _shares(self) -> bool:
        """Whether this wallet was ever used in the sharing half."""
        return (self._wallet.directory / DIRECTORY).is_dir()


class OwnerCommands(_Sharing):
    """An owner of records: a patient or an institution."""

    # --- records ---

    def put_records(
        self,
        paths: list[str],
        policy: str = "",
        category: str = "",
        period: str = "",
        keywords: Sequence[str] = (),
        discoverable: bool = False,
        supersedes: str = "",
        whole_category: bool = False,
    ) -> Result:
        """Encrypt files, put them in clouds and their keys on the ledger, under a policy."""
        owner = self._desk.owner
        older = None
        if supersedes:
            older = resolve(supersedes, 16, (e.rid for e in owner.records()), "record")
        wanted = Putting(
            policy, category or None, period or None, tuple(keywords), discoverable, older, whole_category
        )  # fmt: skip
        return {"records": [_record(e) for e in owner.put([Path(p) for p in paths], wanted, self._progress)]}

    def list_records(self) -> Result:
        """This wallet's records."""
        return {"records": [_record(e) for e in self._desk.owner.records()]}

    def show_record(self, rid: str) -> Result:
        """One record, as this terminal and the ledger have it."""
        owner = self._desk.owner
        entry = owner.entry(self._rid(rid))
        found = owner.find(entry.rid)
        shown: Result = {**_record(entry), "on_ledger": found is not None}
        if found is not None:
            shown |= {
                "scope": found.scope.hex(),
                "ledger_version": found.version,
                "clouds": list(found.clouds),
                "put_tx": found.tx_hash.hex(),
                "changed_ms": found.changed_ms,
                "erased_ms": found.erased_ms,
                "superseded_by": found.superseded_by.hex() if found.superseded_by else None,
            }
        return shown

    def get_record(self, rid: str, out: str = "", start: int = 0, stop: int = 0) -> Result:
        """Fetch, verify and decrypt one's own record, or a range of its bytes."""
        owner = self._desk.owner
        opened = owner.open(self._rid(rid))
        if stop:
            path = Path(out) if out else self._received(f"{opened.record.rid.hex()[:8]}-{start}-{stop}")
            if path.exists():
                raise StorageError(f"{path} exists already; name a new file by --out")
            owner.reading.write_range(opened, start, stop, path)
        else:
            path = owner.reading.write(opened, Path(out) if out else None, self._progress)
        return {
            "rid": opened.record.rid.hex(), "path": str(path), "sha256": _sha256(path), "bytes": path.stat().st_size,
            "passed_over": dict(self._desk.bodies.passed_over),
        }  # fmt: skip

    def policy_record(self, rid: str, text: str) -> Result:
        """Put a record under another sharing policy."""
        return _record(self._desk.owner.repolicy(self._rid(rid), text))

    def rotate_record(self, rid: str) -> Result:
        """Give a record a new key and a new body."""
        return _record(self._desk.owner.rotate(self._rid(rid), self._progress))

    def erase_record(self, rid: str) -> Result:
        """Erase a record; a tombstone stays."""
        return _record(self._desk.owner.erase(self._rid(rid)))

    def export_record(self, rid: str, key: str, out: str = "") -> Result:
        """Write a record as a Crypt4GH file for one recipient."""
        owner, recipient = self._desk.owner, read_public_key(Path(key))
        opened = owner.open(self._rid(rid))
        path = Path(out) if out else self._received(f"{opened.record.rid.hex()[:8]}.c4gh")
        owner.reading.export_crypt4gh(opened, recipient, path, self._progress)
        return {"rid": opened.record.rid.hex(), "path": str(path), "bytes": path.stat().st_size}

    def _rid(self, text: str) -> bytes:
        return resolve(text, 16, (e.rid for e in self._desk.owner.records()), "record")

    def _received(self, name: str) -> Path:
        directory = self._wallet.directory / "received"
        directory.mkdir(mode=0o700, exist_ok=True)
        return directory / name

    # --- delegations ---

    def create_delegations(self, to: str, category: str, first: str, last: str, expires_ms: int) -> Result:
        """Delegate quarters of a category to a policy."""
        made = self._desk.delegating.create(to, category, first, last, expires_ms)
        return {"delegations": [_delegation(e) for e in made]}

    def list_delegations(self) -> Result:
        """This wallet's delegations."""
        return {"delegations": [_delegation(e) for e in self._desk.delegating.delegations()]}

    def show_delegation(self, id: str) -> Result:
        """One delegation, as this terminal and the ledger have it."""
        delegating = self._desk.delegating
        entry = delegating.entry(self._delegation_id(id))
        found = delegating.find(entry.delegation)
        shown: Result = {**_delegation(entry), "on_ledger": found is not None}
        if found is not None:
            deleted_by = delegating.deleted_by(entry.delegation) if found.receipt is not None else ()
            shown |= {
                "scope": found.scope.hex(),
                "emergency": found.is_emergency(),
                "created_ms": found.created_ms,
                "revoked_ms": found.revoked_ms,
                "deleted_by": list(deleted_by or ()),
            }
        return shown

    def revoke_delegation(self, id: str) -> Result:
        """Revoke a delegation and check the nodes' receipt."""
        revoked = self._desk.delegating.revoke(self._delegation_id(id))
        receipt = bool(revoked.deleted_by)
        return {**_delegation(revoked.entry), "deleted_by": list(revoked.deleted_by), "receipt_verified": receipt}

    def _delegation_id(self, text: str) -> bytes:
        return resolve(text, 32, (e.delegation for e in self._desk.delegating.delegations()), "delegation")

    # --- inbox ---

    def consent_list(self) -> Result:
        """Requests for this wallet's records: what waits for consent, and every other one with what became of it."""
        found = []
        for one in self._desk.inbox.asked():
            name = one.record.file_name if one.record is not None else ""
            about = {
                "file_name": name,
                "category": one.scope.category,
                "period": one.scope.period,
                "emergency_reason": one.reason,
            }
            found.append({**_share(one.id, one.share), **about})
        return {"requests": found}

    def consent_grant(self, id: str, to: str = "", expires_ms: int = 0) -> Result:
        """Let a waiting request through."""
        done = self._desk.inbox.grant(self._share_id(id), to, expires_ms)
        made = _delegation(done.made) if done.made is not None else None
        return {"id": done.share.hex(), "delegation": done.delegation.hex(), "made": made}

    def consent_refuse(self, id: str) -> Result:
        """Refuse a waiting request."""
        share = self._share_id(id)
        self._desk.inbox.refuse(share)
        return {"id": share.hex(), "refused": True}

    def _share_id(self, text: str) -> bytes:
        return resolve(text, 32, (one.id for one in self._desk.inbox.asked()), "request")

    # --- search, interruption ---

    def search_records(self, words: list[str], category: str = "", thorough: bool = False) -> Result:
        """Search among one's own records; no value node is asked, so ``thorough`` changes nothing."""
        found = self._desk.own_search.search(words, category)
        own: Result = {"own": [_record(e) for e in found], "readable": [], "discoverable": [], "scopes": 0, "more": False}
        return {**own, "attributes_without_key": [], "answered_by": [], "liars": dict(self._desk.words.liars)}

    def _resume_owner(self) -> list[Result]:
        """Finish puts and delegations that an interruption left."""
        if not self._shares and not self._wallet.content.setting(OWNER_SECRET):
            return []
        if not self._shares or self._desk.rescan.under_way:
            # the wallet was restored: what it owned is found again on the ledger
            self._desk.rescan.run(datetime.fromtimestamp(self._around.now_ms() / 1000, UTC).year)
        records, delegations = self._desk.owner.resume(), self._desk.delegating.resume()
        return [{"id": e.rid.hex()} for e in records] + [{"id": e.delegation.hex()} for e in delegations]


class ReaderCommands(OwnerCommands):
    """An institution: an owner too, and a reader of what others share."""

    def attributes(self) -> Result:
        """Attributes that the centre has granted, and keys at hand."""
        institution = self._desk.institution
        held = [
            {"attribute": h.atom, "first_year": h.first_year, "last_year": h.last_year, "expires_ms": h.expires_ms}
            for h in institution.attributes()
        ]
        keys = [sorted(key.attributes) for key in institution.attribute_keys()]
        return {"institution": institution.name, "attributes": held, "keys": keys}

    def request_key(self, attributes: Sequence[str] = ()) -> Result:
        """Get a key of attributes from a quorum of nodes."""
        key = self._desk.institution.request_key(attributes)
        liars = sorted(self._desk.keys.liars)
        return {"institution": self._desk.institution.name, "attributes": sorted(key.attributes), "liars": liars}

    def share_request(self, rids: list[str], purpose: str, emergency: str = "", through: str = "") -> Result:
        """Ask for records, and wait until each is decided.

        :param through: id of a delegation, whole: ask through it and nothing else.
        """
        institution = self._desk.institution
        delegation = _hex(through, 32, "delegation") if through else None
        asked = institution.request([_hex(rid, 16, "record") for rid in rids], purpose, emergency, delegation)
        return {"shares": [self._explained(e.share, institution.decided(e.share)) for e in asked]}

    def share_list(self) -> Result:
        """Everything this institution asked for, with what became of it."""
        institution, found = self._desk.institution, []
        for entry in institution.shares():
            share = institution.share(entry.share)
            if share is not None:
                found.append(self._explained(entry.share, share))
        return {"shares": found}

    def _explained(self, id_: bytes, share: Share) -> Result:
        """A share, and for one that was not granted what stands in the way now."""
        closed = share.status in (DENIED, WAITING) and share.reason != REFUSED_BY_OWNER
        why = self._desk.institution.obstacles(share) if closed else ()
        return {**_share(id_, share), "why": [_obstacle(one) for one in why]}

    def share_get(self, id: str, out: str = "") -> Result:
        """Open a granted share and write the record."""
        institution = self._desk.institution
        share = resolve(id, 32, (e.share for e in institution.shares()), "share")
        got = institution.get(share, Path(out) if out else None, self._progress)
        metadata = got.opened.metadata
        return {
            **_share(share, got.share),
            "path": str(got.path),
            "received_sha256": _sha256(got.path),
            "bytes": got.path.stat().st_size,
            "category": metadata.category,
            "media_type": metadata.media_type,
            "file_name": metadata.file_name,
            "transformed_by": list(got.transformed_by),
            "liars": list(got.liars),
            "passed_over": dict(self._desk.bodies.passed_over),
        }

    def search_records(self, words: list[str], category: str = "", thorough: bool = False) -> Result:
        """Search wherever this institution may, among discoverable records, and among its own.

        Its first key of attributes is asked for on the way: without one it could open no scope's index key.
        """
        desk = self._desk
        without_key = desk.institution.attributes_without_key()
        if without_key and not desk.institution.attribute_keys():
            desk.institution.request_key()
            without_key = []
        found = desk.searching.search(words, category, thorough=thorough)
        own = desk.own_search.search(words, category)
        mine = {e.rid for e in own}
        return {
            "own": [_record(e) for e in own],
            "readable": [rid.hex() for rid in found.readable if rid not in mine],
            "discoverable": [rid.hex() for rid in found.discoverable if rid not in mine],
            "scopes": found.scopes,
            "more": found.more,
            "attributes_without_key": without_key,
            "answered_by": list(found.nodes),
            "liars": {**desk.words.liars, **found.liars},
        }

    def resume(self) -> Result:
        """Finish what an interruption left."""
        if self._shares:
            self._desk.institution.resume()
        return {"finished": self._resume_owner()}


def resolve(text: str, size: int, known: Iterable[bytes], what: str) -> bytes:
    """An id in hexadecimal: whole, or enough of its beginning to tell it from the others that this wallet knows.

    :raises Refused: ``bad-encoding`` if it is none, ``not-found`` if it begins no id or several.
    """
    if len(text) == 2 * size:
        return _hex(text, size, what)
    digits = len(text) >= PREFIX_MIN and all(c in "0123456789abcdef" for c in text)
    refuse_unless(digits, "bad-encoding", f"the id of a {what} has {2 * size} hexadecimal digits; write {PREFIX_MIN} at least")
    matching = [one for one in known if one.hex().startswith(text)]
    refuse_unless(len(matching) == 1, "not-found", f"{len(matching)} ids of a {what} begin with {text[:64]}")
    return matching[0]


def _hex(text: str, size: int, what: str) -> bytes:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != size or raw.hex() != text:
        raise Refused("bad-encoding", f"the id of a {what} has {2 * size} lower-case hexadecimal digits")
    return raw


def _record(entry: RecordEntry) -> Result:
    return {
        "rid": entry.rid.hex(),
        "state": entry.state,
        "category": entry.category,
        "period": entry.period,
        "quarter": entry.quarter,
        "policy": entry.policy,
        "file_name": entry.file_name,
        "media_type": entry.media_type,
        "bytes": entry.size_bytes,
        "keywords": entry.keywords,
        "keywords_left_out": entry.left_out,
        "keywords_problem": entry.keywords_problem,
        "discoverable": bool(entry.discoverable),
        "version": entry.version,
        "supersedes": entry.supersedes.hex() if entry.supersedes else None,
        "put_ms": entry.put_ms,
        "tx": entry.tx_hash.hex(),
    }


def _delegation(entry: DelegationEntry) -> Result:
    return {
        "id": entry.delegation.hex(),
        "state": entry.state,
        "to": entry.policy,
        "category": entry.category,
        "period": entry.period,
        "expires_ms": entry.expires_ms,
        "made_ms": entry.made_ms,
        "tx": entry.tx_hash.hex(),
    }


def _share(id_: bytes, share: Share) -> Result:
    return {
        "id": id_.hex(),
        "rid": share.rid.hex(),
        "reader": share.institution,
        "purpose": share.purpose,
        "status": share.status,
        "via": share.via,
        "reason": share.reason,
        "emergency": bool(share.emergency),
        "delegation": share.delegation.hex() if share.delegation else None,
        "asked_ms": share.asked_ms,
        "decided_ms": share.decided_ms,
    }


def _obstacle(obstacle: Obstacle) -> Result:
    return {
        "way": obstacle.way,
        "reason": obstacle.reason,
        "delegation": obstacle.delegation.hex() if obstacle.delegation else None,
        "missing": list(obstacle.missing),
        "remarks": list(obstacle.remarks),
        "told": told(obstacle),
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
