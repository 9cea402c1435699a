"""What owners and institutions do in the sharing half, as commands with plain arguments and plain results."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from salus.errors import StorageError
from salus.files import read_bounded
from salus.ledger.kinds.sharing.messages.shares import WAITING
from salus.ledger.kinds.sharing.share_state import DENIED, Share
from salus.network.sharing_results import (
    Result,
    delegation_result,
    obstacle_result,
    record_result,
    resolve,
    sha256_of,
    share_result,
    whole_id,
)
from salus.records.crypt4gh_keys import read_private_key, read_public_key
from salus.terminal.sharing.desk import SharingDesk
from salus.terminal.sharing.owner import Putting
from salus.terminal.sharing.scopes import OWNER_SECRET
from salus.terminal.sharing.shelf import DIRECTORY

if TYPE_CHECKING:
    from salus.network.actors import Surroundings
    from salus.terminal.bodies import Progress
    from salus.terminal.wallet import Wallet

DIGEST_BYTES: Final = 32
PASSPHRASE_FILE_BYTES_MAX: Final = 4096
REFUSED_BY_OWNER: Final = "refused-by-owner"


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
        crypt4gh_key: str = "",
        crypt4gh_passphrase_file: str = "",
    ) -> Result:
        """Encrypt files, put them in clouds and their keys on the ledger, under a policy.

        :param crypt4gh_key: file with the private key for which the files are Crypt4GH files.
        :param crypt4gh_passphrase_file: its first line opens that key.
        """
        owner = self._desk.owner
        older = None
        if supersedes:
            older = resolve(supersedes, 16, (e.rid for e in owner.records()), "record")
        wanted = Putting(
            policy, category or None, period or None, tuple(keywords), discoverable, older, whole_category
        )  # fmt: skip
        private = _private_key(crypt4gh_key, crypt4gh_passphrase_file) if crypt4gh_key else None
        put = owner.put([Path(p) for p in paths], wanted, self._progress, private)
        return {"records": [record_result(e) for e in put]}

    def list_records(self) -> Result:
        """This wallet's records."""
        return {"records": [record_result(e) for e in self._desk.owner.records()]}

    def show_record(self, rid: str) -> Result:
        """One record, as this terminal and the ledger have it.

        :param rid: or the digest of its encrypted body, 64 hexadecimal digits.
        """
        owner = self._desk.owner
        by_digest = len(rid) == 2 * DIGEST_BYTES
        entry = owner.entry(owner.find_by_digest(whole_id(rid, DIGEST_BYTES, "body")) if by_digest else self._rid(rid))
        found = owner.find(entry.rid)
        shown: Result = {**record_result(entry), "on_ledger": found is not None}
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
            "rid": opened.record.rid.hex(), "path": str(path), "sha256": sha256_of(path), "bytes": path.stat().st_size,
            "passed_over": dict(self._desk.bodies.passed_over),
        }  # fmt: skip

    def policy_record(self, rid: str, text: str) -> Result:
        """Put a record under another sharing policy."""
        return record_result(self._desk.owner.repolicy(self._rid(rid), text))

    def rotate_record(self, rid: str) -> Result:
        """Give a record a new key and a new body."""
        return record_result(self._desk.owner.rotate(self._rid(rid), self._progress))

    def erase_record(self, rid: str) -> Result:
        """Erase a record; a tombstone stays."""
        return record_result(self._desk.owner.erase(self._rid(rid)))

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
        return {"delegations": [delegation_result(e) for e in made]}

    def create_whole_delegation(self, to: str, category: str, year: int, expires_ms: int) -> Result:
        """Delegate the scope for all quarters of a category to a policy."""
        made = self._desk.delegating.create_whole(to, category, year, expires_ms)
        return {"delegations": [delegation_result(made)]}

    def list_delegations(self) -> Result:
        """This wallet's delegations."""
        return {"delegations": [delegation_result(e) for e in self._desk.delegating.delegations()]}

    def show_delegation(self, id: str) -> Result:
        """One delegation, as this terminal and the ledger have it."""
        delegating = self._desk.delegating
        entry = delegating.entry(self._delegation_id(id))
        found = delegating.find(entry.delegation)
        shown: Result = {**delegation_result(entry), "on_ledger": found is not None}
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
        return {**delegation_result(revoked.entry), "deleted_by": list(revoked.deleted_by), "receipt_verified": receipt}

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
            found.append({**share_result(one.id, one.share), **about})
        return {"requests": found}

    def consent_grant(self, id: str, to: str = "", expires_ms: int = 0) -> Result:
        """Let a waiting request through."""
        done = self._desk.inbox.grant(self._share_id(id), to, expires_ms)
        made = delegation_result(done.made) if done.made is not None else None
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
        own: Result = {"own": [record_result(e) for e in found], "readable": [], "discoverable": [], "scopes": 0, "more": False}
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

        :param rids: whole, or the beginning of one that an earlier search found or that was asked for.
        :param through: id of a delegation: ask through it and nothing else.
        """
        institution = self._desk.institution
        known = (*self._desk.searching.found_before(), *(entry.rid for entry in institution.shares()))
        named = [resolve(rid, 16, known, "record") for rid in rids]
        ways = (delegation for rid in named for delegation in institution.ways(rid))
        delegation = resolve(through, 32, ways, "delegation") if through else None
        asked = institution.request(named, purpose, emergency, delegation)
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
        return {**share_result(id_, share), "why": [obstacle_result(one) for one in why]}

    def share_get(self, id: str, out: str = "") -> Result:
        """Open a granted share and write the record."""
        institution = self._desk.institution
        share = resolve(id, 32, (e.share for e in institution.shares()), "share")
        got = institution.get(share, Path(out) if out else None, self._progress)
        metadata = got.opened.metadata
        return {
            **share_result(share, got.share),
            "path": str(got.path),
            "received_sha256": sha256_of(got.path),
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
            "own": [record_result(e) for e in own],
            "readable": [rid.hex() for rid in found.readable if rid not in mine],
            "discoverable": [rid.hex() for rid in found.discoverable if rid not in mine],
            "scopes": found.scopes,
            "more": found.more,
            "attributes_without_key": without_key,
            "answered_by": list(found.nodes),
            "liars": {**desk.words.liars, **found.liars},
        }

    def resume(self) -> Result:
        """Finish what an interruption left; a restored wallet finds its records and its requests again."""
        fresh = not self._shares
        finished = self._resume_owner()
        requests = self._desk.institution.requests
        if fresh or requests.finding:
            requests.find()
        requests.resume()
        return {"finished": finished}


def _private_key(file: str, passphrase_file: str) -> bytes:
    if not passphrase_file:
        return read_private_key(Path(file))
    lines = read_bounded(Path(passphrase_file), PASSPHRASE_FILE_BYTES_MAX, "the passphrase of the Crypt4GH key").splitlines()
    return read_private_key(Path(file), lines[0].decode(errors="replace") if lines else "")
