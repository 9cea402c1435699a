"""An owner's records: put, list, open, re-policy, rotate, supersede, erase.

What a repetition needs is durable before a transaction leaves: after an interruption :meth:`OwnerTerminal.resume` submits the
same bytes. Steps: docs/protocol/sharing-ledger.md, "records".
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from salus.abpre.encapsulation import encapsulate
from salus.abpre.language import parse, parse_canonical
from salus.abpre.opening import decapsulate
from salus.abpre.policy import Policy, record_policy, split_record_policy
from salus.errors import Refused, refuse_unless
from salus.files import make_private_directory, read_bounded, write_atomic
from salus.ledger.kinds.sharing.committee_state import key_version
from salus.ledger.kinds.sharing.messages.common import UNSIGNED, signed_by_scope
from salus.ledger.kinds.sharing.messages.records import (
    RecordErase,
    RecordPut,
    RecordRepolicy,
    RecordRotate,
)
from salus.ledger.kinds.sharing.records import (
    BY_DIGEST,
    RECORDS,
    Record,
    digest_tag,
    find_record,
    record_aad,
)
from salus.ledger.reading import prove_owner
from salus.ledger.transactions import MAX_TRANSACTION_BYTES
from salus.records import clinical
from salus.records.info import printable
from salus.records.payload import safe_file_name
from salus.records.record import draw_key, draw_salt, record_id
from salus.records.scope import WHOLE_CATEGORY, year_of
from salus.search import keyword
from salus.search.extraction import Extraction, extract, extract_bytes
from salus.search.tags import WORDS_MAX, make_tags
from salus.symmetric import Random
from salus.terminal.bodies import OUTGOING, Payload, Progress, no_progress
from salus.terminal.sharing.bodies import RecordBodies
from salus.terminal.sharing.entries import ERASED, PROBLEM_BYTES_MAX, SENT, STORED, SUPERSEDED, RecordEntry
from salus.terminal.sharing.making import Making
from salus.terminal.sharing.nodes import Nodes
from salus.terminal.sharing.plaintexts import Imported, Plaintext, decrypted
from salus.terminal.sharing.reading import Opened, Reading, verified_capsule
from salus.terminal.sharing.scopes import OpenScope, Scopes
from salus.terminal.sharing.shelf import Shelf
from salus.terminal.sharing.words import Words

PROBLEM_CHARACTERS_MAX: Final = PROBLEM_BYTES_MAX // 4
CATEGORY_CODE: Final = "category"
"""A record's category is one of its keywords, so that readers can ask for it."""


class Putting(msgspec.Struct, frozen=True):
    """What an owner wants for a file.

    :ivar policy: sharing policy in any spelling, empty for none. :ivar category, period: None: as the file says.
    :ivar keywords: the owner's own words, in addition. :ivar discoverable: everybody who knows a word may find it.
    :ivar supersedes: rid of the record that it takes the place of. :ivar whole_category: one scope for the category, linkable.
    """

    policy: str = ""
    category: str | None = None
    period: str | None = None
    keywords: tuple[str, ...] = ()
    discoverable: bool = False
    supersedes: bytes | None = None
    whole_category: bool = False


class _Prepared(msgspec.Struct, frozen=True):
    path: Path
    category: str
    quarter: str
    found: Extraction
    sharing: Policy | None
    version: int
    imported: Imported | None

    def open(self) -> contextlib.AbstractContextManager[Plaintext]:
        return Payload(self.path) if self.imported is None else self.imported.open()


class OwnerTerminal:
    """One owner: a patient or an institution.

    :param now_ms: clock, UTC milliseconds.
    """

    def __init__(
        self,
        directory: Path,
        shelf: Shelf,
        nodes: Nodes,
        scopes: Scopes,
        words: Words,
        bodies: RecordBodies,
        now_ms: Callable[[], int],
        random: Random,
    ) -> None:
        self._shelf = shelf
        self._nodes = nodes
        self._scopes = scopes
        self._words = words
        self._bodies = bodies
        self._now_ms = now_ms
        self._random = random
        self._outgoing = directory / OUTGOING
        self._making = Making(nodes, bodies, now_ms, random)
        self.reading = Reading(nodes, bodies, directory, random)

    # --- looking ---

    def records(self) -> list[RecordEntry]:
        """Every record of this wallet, oldest first."""
        return sorted(self._shelf.all("record-", RecordEntry), key=lambda e: (e.put_ms, e.rid))

    def entry(self, rid: bytes) -> RecordEntry:
        """One record of this wallet.

        :raises Refused: ``unknown-record``.
        """
        found = self._shelf.get(record_name(rid), RecordEntry)
        if found is None:
            raise Refused("unknown-record", f"{rid.hex()} is none of this wallet's; list them with: salus record list")
        return found

    def find(self, rid: bytes) -> Record | None:
        """What the ledger has of a record, tombstones too."""
        return RECORDS.get(self._nodes.view(), rid)

    def find_by_digest(self, digest: bytes) -> bytes:
        """The rid of this owner's record whose encrypted body has a digest, in any of its scopes.

        :param digest: of the encrypted body, 32 bytes, as a cloud stores it. :raises Refused: ``unknown-record``.
        """
        view, tag = self._nodes.view(), digest_tag(self._nodes.network, digest)
        for category, period in sorted({(entry.category, entry.period) for entry in self.records()}):
            found = BY_DIGEST.get(view, self._scopes.signer(category, period).scope + tag)
            if found is not None:
                return found.rid
        about = f"no record of this wallet has an encrypted body of digest {digest.hex()}; rotated and erased ones are not found"
        raise Refused("unknown-record", about)

    def open(self, rid: bytes) -> Opened:
        """Open one of this owner's records: its key by the scope's key, its metadata by its key.

        :raises Refused: ``unknown-record``, ``record-erased``, ..
        """
        entry = self.entry(rid)
        scope = self._scopes.open(entry.category, entry.period, self._now_ms())
        view = self._nodes.view()
        record = find_record(view, rid)
        key = decapsulate(self._nodes.parameters(view), scope.key, verified_capsule(view, self._nodes.network, record))
        return self.reading.open(
            view, record, key, lambda party: prove_owner(scope.signer, rid, party, self._now_ms(), self._random)
        )

    def described(self, entry: RecordEntry) -> RecordEntry:
        """An entry completed from the record's own metadata, after a restore.

        :raises Refused: it cannot be opened.
        """
        metadata = self.open(entry.rid).metadata
        return replace(
            entry,
            quarter=metadata.period,
            file_name=metadata.file_name,
            media_type=metadata.media_type,
            size_bytes=metadata.body.plain_bytes,
            version=metadata.version,
        )

    # --- putting ---

    def put(
        self, paths: Iterable[Path], wanted: Putting, progress: Progress = no_progress, crypt4gh_key: bytes | None = None
    ) -> list[RecordEntry]:
        """Put files under a policy; words that are new to this terminal are ordered for all of them at once.

        :param crypt4gh_key: the files are Crypt4GH files for this X25519 private key, 32 secret bytes; what is in them is put.
        :raises Refused: of the policy, category, words; ``quota``; what clouds and nodes refuse. Files before it are put.
        :raises TransportError: the outcome of one is open; :meth:`resume` finds out.
        """
        prepared = [self._prepare(path, wanted, crypt4gh_key) for path in paths]
        refuse_unless(bool(prepared), "bad-encoding", "name a file")
        refuse_unless(wanted.supersedes is None or len(prepared) == 1, "bad-encoding", "one file supersedes one record")
        self._words.tokens((word for one in prepared for word in one.found.keywords), self._now_ms())
        return [self._put(one, wanted, progress) for one in prepared]

    def _prepare(self, path: Path, wanted: Putting, crypt4gh_key: bytes | None) -> _Prepared:
        with Payload(path):  # it can be read, and is a regular file
            pass
        imported = None if crypt4gh_key is None else Imported(path, crypt4gh_key)
        today = datetime.fromtimestamp(self._now_ms() / 1000, UTC).date()
        facts = clinical.derive(path) if imported is None else clinical.derive_bytes(imported.head, imported.name)
        category, quarter = clinical.choose(facts, today, wanted.category, wanted.period)
        version = 1
        if wanted.supersedes is not None:
            older = self.entry(wanted.supersedes)
            reason = "record-erased" if older.state == ERASED else "record-superseded"
            about = f"record {wanted.supersedes.hex()} is {older.state}: nothing can take its place"
            refuse_unless(older.state == STORED, reason, about)
            category, quarter, version = older.category, older.quarter, older.version + 1
        sharing = parse(wanted.policy).require_no_owner().in_year(year_of(quarter)) if wanted.policy.strip() else None
        own = [keyword.code(CATEGORY_CODE, category)]
        for text in wanted.keywords:
            own += keyword.own_keywords(text)
        own = list(dict.fromkeys(own))
        refuse_unless(len(own) <= WORDS_MAX, "too-large", f"a record has at most {WORDS_MAX} keywords; {len(own)} are your own")
        found = extract(path, own) if imported is None else extract_bytes(imported.head, imported.name, own)
        return _Prepared(path, category, quarter, found, sharing, version, imported)

    def _put(self, one: _Prepared, wanted: Putting, progress: Progress) -> RecordEntry:
        whole = wanted.whole_category
        if wanted.supersedes is not None:
            whole = self.entry(wanted.supersedes).period == WHOLE_CATEGORY
        scope = self._scopes.open(one.category, WHOLE_CATEGORY if whole else one.quarter, self._now_ms())
        salt, key = draw_salt(self._random), draw_key(self._random)
        rid = record_id(self._nodes.network, scope.signer.scope, salt)
        with one.open() as payload:
            self._bodies.check_room(payload.file_name, payload.size_bytes)
            view = self._nodes.view()
            content = self._making.content(
                view, scope, rid, key, one.sharing, payload, one.quarter, one.version, wanted.supersedes, progress
            )
            media_type, file_name, size_bytes = payload.media_type, payload.file_name, payload.size_bytes
        tokens = self._words.tokens(one.found.keywords, self._now_ms())
        network, found = self._nodes.network, list(tokens.values())
        tags = make_tags(network, scope.signer.scope, rid, scope.index_key, found, wanted.discoverable, self._random)
        draft = RecordPut(
            rid, salt, scope.signer.scope, content, tags, wanted.supersedes, self._nodes.epoch(view), key_version(view), UNSIGNED
        )
        raw = signed_by_scope(draft, scope.signer, self._random).encode()
        entry = RecordEntry(
            rid=rid,
            state=SENT,
            category=scope.category,
            period=scope.period,
            quarter=one.quarter,
            policy=one.sharing.text if one.sharing else "",
            file_name=safe_file_name(file_name),
            media_type=media_type,
            size_bytes=size_bytes,
            keywords=len(one.found.keywords),
            left_out=one.found.left_out,
            keywords_problem=printable(one.found.problem, PROBLEM_CHARACTERS_MAX),
            discoverable=int(wanted.discoverable),
            version=one.version,
            supersedes=wanted.supersedes,
            put_ms=self._now_ms(),
            tx_hash=bytes(32),
        )
        make_private_directory(self._outgoing)
        write_atomic(self._outgoing / record_name(rid), raw)
        self._shelf.put(record_name(rid), entry)
        return self._submit(entry, raw, scope)

    def _submit(self, entry: RecordEntry, raw: bytes, scope: OpenScope) -> RecordEntry:
        try:
            accepted = self._nodes.submit_raw(raw)
        except Refused:
            self._forget(entry)
            raise
        stored = self._stored(entry, accepted.committed.hash)
        self._making.publish_index_key(scope, parse_canonical(entry.policy) if entry.policy else None)
        return stored

    def _stored(self, entry: RecordEntry, tx_hash: bytes) -> RecordEntry:
        stored = replace(entry, state=STORED, tx_hash=tx_hash)
        self._shelf.put(record_name(entry.rid), stored)
        if entry.supersedes is not None:
            older = self._shelf.get(record_name(entry.supersedes), RecordEntry)
            if older is not None:
                self._shelf.put(record_name(entry.supersedes), replace(older, state=SUPERSEDED))
        (self._outgoing / record_name(entry.rid)).unlink(missing_ok=True)
        return stored

    def _forget(self, entry: RecordEntry) -> None:
        self._shelf.remove(record_name(entry.rid))
        (self._outgoing / record_name(entry.rid)).unlink(missing_ok=True)

    # --- changing ---

    def repolicy(self, rid: bytes, text: str) -> RecordEntry:
        """Put a record under another sharing policy: a new capsule for the same key (records, step 5).

        :param text: any spelling; empty: the owner alone. :raises Refused: ``already-done`` if it is the record's policy.
        """
        entry = self.entry(rid)
        sharing = parse(text).require_no_owner().in_year(year_of(entry.quarter)) if text.strip() else None
        opened, scope = self.open(rid), self._scopes.open(entry.category, entry.period, self._now_ms())
        view = self._nodes.view()
        present = split_record_policy(verified_capsule(view, self._nodes.network, opened.record).capsule.policy)[1]
        refuse_unless(present != sharing, "already-done", "that is the record's policy")
        aad = record_aad(self._nodes.network, rid, scope.signer.scope)
        policy = record_policy(scope.signer.scope, sharing)
        capsule = encapsulate(self._nodes.parameters(view), policy, opened.key, aad, self._random).message()
        draft = RecordRepolicy(rid, opened.record.version + 1, capsule, UNSIGNED)
        accepted = self._nodes.submit(signed_by_scope(draft, scope.signer, self._random))
        changed = replace(entry, policy=sharing.text if sharing else "", tx_hash=accepted.committed.hash)
        self._shelf.put(record_name(rid), changed)
        self._making.publish_index_key(scope, sharing)
        return changed

    def rotate(self, rid: bytes, progress: Progress = no_progress) -> RecordEntry:
        """A new key and a new body: whoever opened the old one has no way to the new (records, step 6).

        The plaintext passes through memory alone (:mod:`.plaintexts`); an interrupted rotation leaves the record as it was.

        :raises Refused: ``bad-body``, ``missing-body``, and what clouds and nodes refuse.
        """
        entry, opened = self.entry(rid), self.open(rid)
        scope = self._scopes.open(entry.category, entry.period, self._now_ms())
        view = self._nodes.view()
        sharing = split_record_policy(verified_capsule(view, self._nodes.network, opened.record).capsule.policy)[1]
        self._bodies.check_room(entry.file_name or "the record", opened.metadata.body.plain_bytes, bodies=2)
        with self._bodies.staged() as ciphertext:
            self._bodies.fetch_to(opened.metadata, opened.prove, ciphertext, progress)
            with decrypted(ciphertext, opened) as plaintext:
                content = self._making.content(
                    view, scope, rid, draw_key(self._random), sharing, plaintext, entry.quarter, opened.metadata.version,
                    opened.metadata.supersedes, progress,
                )  # fmt: skip
        draft = RecordRotate(rid, opened.record.version + 1, content, UNSIGNED)
        accepted = self._nodes.submit(signed_by_scope(draft, scope.signer, self._random))
        changed = replace(entry, tx_hash=accepted.committed.hash)
        self._shelf.put(record_name(rid), changed)
        return changed

    def erase(self, rid: bytes) -> RecordEntry:
        """Erase a record: clouds and nodes delete body and sealed metadata, a tombstone stays (records, step 7).

        :raises Refused: ``record-erased`` if it is.
        """
        entry = self.entry(rid)
        record = find_record(self._nodes.view(), rid)
        signer = self._scopes.signer(entry.category, entry.period)
        draft = RecordErase(rid, record.version + 1, UNSIGNED)
        accepted = self._nodes.submit(signed_by_scope(draft, signer, self._random))
        erased = replace(entry, state=ERASED, tx_hash=accepted.committed.hash)
        self._shelf.put(record_name(rid), erased)
        return erased

    # --- going on after an interruption ---

    def resume(self) -> list[RecordEntry]:
        """Finish puts whose outcome was not known: the same bytes again. One that is refused now was never put: forgotten."""
        done = []
        for entry in self.records():
            if entry.state != SENT:
                continue
            placed = self.find(entry.rid)
            path = self._outgoing / record_name(entry.rid)
            if placed is not None:
                done.append(self._stored(entry, placed.tx_hash))
            elif path.exists():
                raw = read_bounded(path, MAX_TRANSACTION_BYTES, "an outgoing record")
                scope = self._scopes.open(entry.category, entry.period, self._now_ms())
                with contextlib.suppress(Refused):  # the entry is gone then, and the next put is a new one
                    done.append(self._submit(entry, raw, scope))
            else:
                self._forget(entry)
        self._drop_orphans()
        return done

    def _drop_orphans(self) -> None:
        """Transactions that were interrupted before their entry was written: they never left."""
        if self._outgoing.is_dir():
            known = {record_name(entry.rid) for entry in self.records() if entry.state == SENT}
            for path in self._outgoing.glob("record-*"):
                if path.name not in known:
                    path.unlink(missing_ok=True)


def record_name(rid: bytes) -> str:
    """Name of a record's entry on the shelf."""
    return f"record-{rid.hex()}"
