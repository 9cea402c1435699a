"""What the centre remembers, in one SQLite file (WAL, synchronous=FULL).

None of it is consulted when a patient is authenticated: nodes verify credentials by arithmetic alone. The tables say
which enrolment codes are open, which index of which quarter is spent, and keep each patient's signed issuing requests,
without which no trace counts.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from salus.errors import DamagedFile, Refused, StorageError, refuse_unless

_SCHEMA_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE codes (code_digest BLOB PRIMARY KEY, role TEXT NOT NULL, subject TEXT NOT NULL, display_name TEXT NOT NULL,
                    expires_ms INTEGER NOT NULL, spent INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE answers (call_digest BLOB PRIMARY KEY, answer BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE patients (identity TEXT NOT NULL, serial INTEGER NOT NULL, F BLOB NOT NULL, statement BLOB NOT NULL,
                       live INTEGER NOT NULL, PRIMARY KEY (identity, serial)) WITHOUT ROWID;
CREATE UNIQUE INDEX one_live_key ON patients (identity) WHERE live = 1;
CREATE UNIQUE INDEX patient_by_key ON patients (F);
CREATE TABLE issued (identity TEXT NOT NULL, quarter INTEGER NOT NULL, position INTEGER NOT NULL,
                     request BLOB NOT NULL, answer BLOB NOT NULL, PRIMARY KEY (identity, quarter, position)) WITHOUT ROWID;
CREATE TABLE members (name TEXT NOT NULL, role TEXT NOT NULL, display_name TEXT NOT NULL, transaction_bytes BLOB NOT NULL,
                      state TEXT NOT NULL, PRIMARY KEY (name, role)) WITHOUT ROWID;
"""


class EnrolmentCode(msgspec.Struct, frozen=True):
    """An open enrolment code: what it may enrol. The code itself is stored as its digest only."""

    role: str
    subject: str
    display_name: str
    expires_ms: int


class Patient(msgspec.Struct, frozen=True):
    """A patient's live enrolment key."""

    identity: str
    serial: int
    F: bytes


class Member(msgspec.Struct, frozen=True):
    """A named party. ``state``: ``pending`` (not on the ledger yet), ``live`` or ``revoked``."""

    name: str
    role: str
    display_name: str
    transaction: bytes
    state: str


class CentreStore:
    """Durable tables of the centre.

    :param path: SQLite file; created with mode 0600.
    :raises DamagedFile: the file is not the centre's database or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            if not path.exists():
                path.touch(mode=0o600)
        except OSError as error:
            raise StorageError(f"{path} cannot be made ({error.strerror}); free space, or check its permissions") from None
        with self._explained():
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            with self.transaction():
                for statement in _SCHEMA.split(";\n"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
        elif version != _SCHEMA_VERSION:
            raise StorageError(
                f"{path} has schema {version}; this release reads {_SCHEMA_VERSION}: use the release that wrote it"
            )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What the database says inside the block, as an error that names the file.

        :raises DamagedFile: it is no database, or damaged. :raises StorageError: the disk is full or failed.
        """
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise DamagedFile(f"{self._path} is damaged ({error}); restore the centre's directory from its backup") from None
            raise StorageError(
                f"{self._path} cannot be written ({error}); free space or repair the disk, then try again"
            ) from None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All statements of the block become durable together, or none does.

        :raises StorageError: the disk is full or failed; nothing of the block is kept.
        """
        with self._explained():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk may have rolled it back already
                    self._db.execute("ROLLBACK")
                raise

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        with self._explained():
            return self._db.execute(statement, values).fetchall()

    def add_code(self, code_digest: bytes, code: EnrolmentCode) -> None:
        """Open an enrolment code."""
        with self.transaction():
            self._db.execute(
                "INSERT INTO codes (code_digest, role, subject, display_name, expires_ms) VALUES (?, ?, ?, ?, ?)",
                (code_digest, code.role, code.subject, code.display_name, code.expires_ms),
            )

    def spend_code(self, code_digest: bytes, time_ms: int) -> EnrolmentCode:
        """Spend a code inside the caller's transaction.

        :raises Refused: ``bad-code`` if it is unknown, spent or expired.
        """
        rows = self._rows("SELECT role, subject, display_name, expires_ms, spent FROM codes WHERE code_digest = ?", code_digest)
        if not rows:
            raise Refused("bad-code")
        *fields, spent = rows[0]
        code = EnrolmentCode(*fields)
        refuse_unless(not spent and time_ms <= code.expires_ms, "bad-code")
        self._db.execute("UPDATE codes SET spent = 1 WHERE code_digest = ?", (code_digest,))
        return code

    def answer(self, call_digest: bytes) -> bytes | None:
        """The sealed answer given to this very call before, if any: a repeated call gets the same bytes."""
        rows = self._rows("SELECT answer FROM answers WHERE call_digest = ?", call_digest)
        return bytes(rows[0][0]) if rows else None

    def keep_answer(self, call_digest: bytes, answer: bytes) -> None:
        """Keep a sealed answer, inside the caller's transaction, before it leaves."""
        self._db.execute("INSERT INTO answers VALUES (?, ?)", (call_digest, answer))

    def patient(self, F: bytes) -> Patient | None:
        """The patient whose live enrolment key is F."""
        rows = self._rows("SELECT identity, serial, F FROM patients WHERE F = ? AND live = 1", F)
        return Patient(*rows[0]) if rows else None

    def patient_by_identity(self, identity: str) -> Patient | None:
        """The live enrolment of an identity."""
        rows = self._rows("SELECT identity, serial, F FROM patients WHERE identity = ? AND live = 1", identity)
        return Patient(*rows[0]) if rows else None

    def statement(self, F: bytes) -> bytes:
        """The encoded statement on an enrolment key.

        :raises Refused: ``not-found``.
        """
        rows = self._rows("SELECT statement FROM patients WHERE F = ?", F)
        if not rows:
            raise Refused("not-found", "no statement was made on that enrolment key")
        return bytes(rows[0][0])

    def knows_enrolment_key(self, F: bytes) -> bool:
        """Whether a statement was ever made on an enrolment key, live or not."""
        return bool(self._rows("SELECT 1 FROM patients WHERE F = ?", F))

    def next_serial(self, identity: str) -> int:
        """Serial number of the next enrolment of an identity: 0, then one more after each lost wallet."""
        return int(self._rows("SELECT count(*) FROM patients WHERE identity = ?", identity)[0][0])

    def add_patient(self, patient: Patient, statement: bytes) -> None:
        """Enrol, inside the caller's transaction; no earlier key of the identity may be live."""
        self._db.execute("INSERT INTO patients VALUES (?, ?, ?, ?, 1)", (patient.identity, patient.serial, patient.F, statement))

    def retire_patient(self, identity: str) -> None:
        """Revoked: the enrolment key gets no more credentials."""
        with self.transaction():
            self._db.execute("UPDATE patients SET live = 0 WHERE identity = ?", (identity,))

    def spend_index(self, identity: str, quarter: int, index: int, request: bytes, answer: bytes) -> None:
        """Spend credential ``index`` of a quarter, inside the caller's transaction, and keep the signed request and its answer.

        :raises Refused: ``quota`` if the index is spent already.
        """
        try:
            self._db.execute("INSERT INTO issued VALUES (?, ?, ?, ?, ?)", (identity, quarter, index, request, answer))
        except sqlite3.IntegrityError:
            raise Refused(
                "quota", f"credential {index} of quarter {quarter} was issued already; ask for the next index"
            ) from None

    def issued_answer(self, identity: str, quarter: int, index: int, request: bytes) -> bytes | None:
        """The answer given to this very request before: repeated, for two different answers would be two credentials."""
        rows = self._rows(
            "SELECT answer FROM issued WHERE identity = ? AND quarter = ? AND position = ? AND request = ?",
            identity, quarter, index, request,
        )  # fmt: skip
        return bytes(rows[0][0]) if rows else None

    def issuing_requests(self, identity: str) -> list[bytes]:
        """Every signed issuing request of an identity (for a trace)."""
        rows = self._rows("SELECT request FROM issued WHERE identity = ? ORDER BY quarter, position", identity)
        return [bytes(row[0]) for row in rows]

    def identities(self) -> list[str]:
        """Every identity ever enrolled, revoked ones too (for a trace without a pid)."""
        return [str(row[0]) for row in self._rows("SELECT DISTINCT identity FROM patients ORDER BY identity")]

    def issued_quarters(self, identity: str) -> list[int]:
        """Quarters in which an identity got credentials (for a revocation)."""
        rows = self._rows("SELECT DISTINCT quarter FROM issued WHERE identity = ? ORDER BY quarter", identity)
        return [int(row[0]) for row in rows]

    def put_member(self, member: Member) -> None:
        """Record a named party, inside the caller's transaction."""
        self._db.execute(
            "INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?, ?)",
            (member.name, member.role, member.display_name, member.transaction, member.state),
        )

    def set_member_state(self, name: str, role: str, state: str) -> None:
        """``pending`` -> ``live`` -> ``revoked``."""
        with self.transaction():
            self._db.execute("UPDATE members SET state = ? WHERE name = ? AND role = ?", (state, name, role))

    def members(self, name: str | None = None) -> list[Member]:
        """Named parties, all or those of one name."""
        rows = self._rows(
            "SELECT name, role, display_name, transaction_bytes, state FROM members WHERE ?1 IS NULL OR name = ?1 ORDER BY name",
            name,
        )
        return [Member(*row) for row in rows]

    def patients(self) -> list[Patient]:
        """Live enrolments (the centre alone sees this list)."""
        rows = self._rows("SELECT identity, serial, F FROM patients WHERE live = 1 ORDER BY identity")
        return [Patient(*row) for row in rows]

    def close(self) -> None:
        """Close the file."""
        self._db.close()
