"""The gateway's index: which bodies it holds, which uploads it finished, which committed transactions it filed.

Everything in it can be made again from the object store and the ledger: a damaged index is moved away, and the gateway
adopts its bodies (hashing them) and follows the ledger from the first block. SQLite by default, any SQLAlchemy URL.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from salus.errors import DamagedFile, StorageError

SCHEMA: Final = "1"
INDEX_FILE: Final = "index.sqlite"
_TABLES: Final = sa.MetaData()
_META: Final = sa.Table("meta", _TABLES, sa.Column("key", sa.String(32), primary_key=True), sa.Column("value", sa.String(128)))
_BODIES: Final = sa.Table(
    "bodies",
    _TABLES,
    sa.Column("digest", sa.LargeBinary(32), primary_key=True),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("since_ms", sa.BigInteger, nullable=False),
    sa.Column("keep_until_ms", sa.BigInteger, nullable=False),
    sa.Column("named", sa.Integer, nullable=False),
    sa.Column("confirmed", sa.Integer, nullable=False),
)
_UPLOADS: Final = sa.Table(
    "uploads",
    _TABLES,
    sa.Column("upload", sa.LargeBinary(16), primary_key=True),
    sa.Column("finished_ms", sa.BigInteger, nullable=False, index=True),
    sa.Column("facts", sa.LargeBinary, nullable=False),
    sa.Column("receipt", sa.LargeBinary, nullable=False),
)
_FILINGS: Final = sa.Table(
    "filings",
    _TABLES,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("tx_hash", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("height", sa.BigInteger, nullable=False),
    sa.Column("pseudonym", sa.LargeBinary(1024), nullable=False, index=True),
    sa.Column("one_time_key", sa.LargeBinary(32), nullable=False, index=True),
    sa.Column("doctor", sa.String(128), nullable=False, index=True),
    sa.Column("digest", sa.LargeBinary(32), nullable=False, index=True),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("keep_until_ms", sa.BigInteger, nullable=False),
)


class BodyRow(msgspec.Struct, frozen=True):
    """A body that is held.

    :ivar since_ms: when it came. :ivar named: whether a committed transaction names it. :ivar confirmed: whether it was hashed
        again after a transaction named it.
    """

    digest: bytes
    size_bytes: int
    since_ms: int
    keep_until_ms: int
    named: bool
    confirmed: bool


class FilingRow(msgspec.Struct, frozen=True):
    """A committed transaction that names a body. ``number`` is given when it is filed."""

    kind: str
    tx_hash: bytes
    height: int
    pseudonym: bytes
    one_time_key: bytes
    doctor: str
    digest: bytes
    size_bytes: int
    keep_until_ms: int
    number: int = 0


class Index:
    """One database. Methods are safe to call from several threads; each is one transaction."""

    def __init__(self, url: str, network: bytes) -> None:
        """Open or make the index.

        :param url: SQLAlchemy URL. :param network: id of the network it belongs to.
        :raises DamagedFile: the database is damaged. :raises StorageError: of another network or version, or unreachable.
        """
        self._shown = ""
        self._engine = self._following = self._create_engine(url)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", partial(_sqlite_pragmas, "FULL"))
            # What is told from the ledger is told again from it: a loss of power may take the newest blocks that were filed
            # (docs/adr/0261-followers.md). What a receipt was signed for is fsynced, and everything before it with it.
            self._following = self._create_engine(url)
            event.listen(self._following, "connect", partial(_sqlite_pragmas, "NORMAL"))
        with self._writing() as db:
            if self._engine.dialect.name == "sqlite" and db.execute(sa.text("PRAGMA quick_check(1)")).scalar() != "ok":
                raise DamagedFile(self._damaged())
            _TABLES.create_all(db)
            known = {row.key: row.value for row in db.execute(sa.select(_META))}
            for key, value in (("schema", SCHEMA), ("network", network.hex())):
                if known.setdefault(key, value) != value:
                    raise StorageError(
                        f"the index {self._shown} has {key} {known[key]}, not {value}; name the right one or upgrade"
                    )
            if "height" not in known:
                rows = [{"key": k, "value": v} for k, v in {**known, "height": "0", "time_ms": "0"}.items()]
                db.execute(_META.insert(), rows)

    @classmethod
    def in_directory(cls, directory: Path, network: bytes) -> Index:
        """The default: SQLite in ``directory``."""
        return cls(f"sqlite:///{directory / INDEX_FILE}", network)

    def close(self) -> None:
        """Close all connections."""
        self._following.dispose()
        self._engine.dispose()

    # --- bodies ---

    def body(self, digest: bytes) -> BodyRow | None:
        """What is known of a body."""
        with self._reading() as db:
            row = db.execute(sa.select(_BODIES).where(_BODIES.c.digest == digest)).first()
        return None if row is None else _body(row)

    def put_body(self, row: BodyRow, finished: tuple[bytes, int, bytes, bytes] | None = None) -> None:
        """Record a body, with the upload it came by: (upload, finished_ms, facts, receipt)."""
        with self._writing() as db:
            db.execute(_BODIES.delete().where(_BODIES.c.digest == row.digest))
            db.execute(_BODIES.insert().values(**msgspec.structs.asdict(row)))
            if finished is not None:
                upload, finished_ms, facts, receipt = finished
                db.execute(_UPLOADS.insert().values(upload=upload, finished_ms=finished_ms, facts=facts, receipt=receipt))

    def set_confirmed(self, digest: bytes) -> None:
        """The body was hashed again and is right."""
        with self._following_writing() as db:
            db.execute(_BODIES.update().where(_BODIES.c.digest == digest).values(confirmed=1))

    def forget_body(self, row: BodyRow) -> bool:
        """The body is to go (expired) or gone (damaged, lost); ``False`` if its row has changed meanwhile."""
        same = [_BODIES.c[name] == value for name, value in msgspec.structs.asdict(row).items()]
        with self._writing() as db:
            return bool(db.execute(_BODIES.delete().where(*same)).rowcount == 1)

    def unconfirmed(self, limit: int) -> list[BodyRow]:
        """Bodies that a transaction names and that were not hashed again since."""
        query = sa.select(_BODIES).where(_BODIES.c.named == 1, _BODIES.c.confirmed == 0).limit(limit)
        with self._reading() as db:
            return [_body(row) for row in db.execute(query)]

    def expired(self, time_ms: int, unnamed_before_ms: int, limit: int) -> list[BodyRow]:
        """Bodies past their keep-until at block time ``time_ms``, and unnamed ones that came before ``unnamed_before_ms``."""
        over = sa.or_(
            _BODIES.c.keep_until_ms < time_ms,
            sa.and_(_BODIES.c.named == 0, _BODIES.c.since_ms < unnamed_before_ms),
        )
        with self._reading() as db:
            return [_body(row) for row in db.execute(sa.select(_BODIES).where(over).limit(limit))]

    def totals(self) -> tuple[int, int, int]:
        """Number of bodies, their bytes, number of filings."""
        with self._reading() as db:
            bodies, size = db.execute(sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(_BODIES.c.size_bytes), 0))).one()
            filings = db.execute(sa.select(sa.func.count()).select_from(_FILINGS)).scalar_one()
        return int(bodies), int(size), int(filings)

    # --- finished uploads ---

    def finished_upload(self, upload: bytes) -> tuple[bytes, bytes] | None:
        """(facts, receipt) of a finished upload."""
        with self._reading() as db:
            row = db.execute(sa.select(_UPLOADS.c.facts, _UPLOADS.c.receipt).where(_UPLOADS.c.upload == upload)).first()
        return None if row is None else (bytes(row.facts), bytes(row.receipt))

    def forget_uploads(self, before_ms: int) -> int:
        """Forget uploads that were finished before ``before_ms``."""
        with self._writing() as db:
            return int(db.execute(_UPLOADS.delete().where(_UPLOADS.c.finished_ms < before_ms)).rowcount)

    # --- the ledger ---

    def followed(self) -> tuple[int, int]:
        """Height and time (UTC milliseconds) of the last block that was filed; (0, 0) before the first."""
        with self._reading() as db:
            known = {row.key: row.value for row in db.execute(sa.select(_META))}
        return int(known["height"]), int(known["time_ms"])

    def maintained(self) -> int:
        """Block time of the last maintenance, 0 before the first."""
        with self._reading() as db:
            found = db.execute(sa.select(_META.c.value).where(_META.c.key == "maintained_ms")).scalar()
        return 0 if found is None else int(found)

    def set_maintained(self, time_ms: int) -> None:
        """Maintenance was done at this block time."""
        with self._writing() as db:
            db.execute(_META.delete().where(_META.c.key == "maintained_ms"))
            db.execute(_META.insert().values(key="maintained_ms", value=str(time_ms)))

    def file_block(self, height: int, time_ms: int, filings: Sequence[FilingRow]) -> bool:
        """File one block's transactions and mark their bodies as named, all or nothing; ``False`` if it was filed before."""
        with self._following_writing() as db:
            moved = db.execute(
                _META.update().where(_META.c.key == "height", _META.c.value == str(height - 1)).values(value=str(height))
            )
            if moved.rowcount != 1:
                return False
            db.execute(_META.update().where(_META.c.key == "time_ms").values(value=str(time_ms)))
            for filing in filings:
                values = msgspec.structs.asdict(filing)
                values.pop("number")
                db.execute(_FILINGS.insert().values(**values))
                keep = sa.case(
                    (_BODIES.c.keep_until_ms < filing.keep_until_ms, filing.keep_until_ms), else_=_BODIES.c.keep_until_ms
                )
                same = sa.and_(_BODIES.c.digest == filing.digest, _BODIES.c.size_bytes == filing.size_bytes)
                db.execute(_BODIES.update().where(same).values(named=1, keep_until_ms=keep))
        return True

    def file_late(self, filing: FilingRow) -> None:
        """File a transaction of a block that was filed before; again: nothing happens."""
        values = msgspec.structs.asdict(filing)
        values.pop("number")
        with self._writing() as db:
            known = db.execute(sa.select(_FILINGS.c.number).where(_FILINGS.c.tx_hash == filing.tx_hash)).first()
            if known is None:
                db.execute(_FILINGS.insert().values(**values))

    def filing(self, tx_hash: bytes) -> FilingRow | None:
        """The filing of one transaction."""
        with self._reading() as db:
            row = db.execute(sa.select(_FILINGS).where(_FILINGS.c.tx_hash == tx_hash)).first()
        return None if row is None else _filing(row)

    def naming(self, digest: bytes) -> list[FilingRow]:
        """Filings that name a body (at most one hundred)."""
        with self._reading() as db:
            return [_filing(row) for row in db.execute(sa.select(_FILINGS).where(_FILINGS.c.digest == digest).limit(100))]

    def find(self, by: str, value: bytes | str, after: int, limit: int) -> list[FilingRow]:
        """Filings by ``pseudonym``, ``one_time_key`` or ``doctor``, in order of number."""
        query = sa.select(_FILINGS).where(_FILINGS.c[by] == value, _FILINGS.c.number > after)
        with self._reading() as db:
            return [_filing(row) for row in db.execute(query.order_by(_FILINGS.c.number).limit(limit))]

    # --- plumbing ---

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._errors(), self._engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with self._errors(), self._engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def _following_writing(self) -> Iterator[sa.Connection]:
        """Of what the ledger tells; see the constructor."""
        with self._errors(), self._following.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            raise StorageError(f"the index {self._shown} fails ({error.orig}); check path, server and disk (full?)") from error
        except DatabaseError as error:
            raise DamagedFile(f"{self._damaged()} ({error.orig})") from error
        except SQLAlchemyError as error:
            raise StorageError(f"the index {self._shown} cannot be used: {type(error).__name__}") from error

    def _create_engine(self, url: str) -> sa.Engine:
        """The engine; errors show the URL without its password, and never the driver's own words about it."""
        try:
            parsed = sa.make_url(url)
            self._shown = parsed.set(query={}).render_as_string(hide_password=True)
            if parsed.get_backend_name() == "sqlite" and parsed.database:
                # made here, private: the files that SQLite puts beside it take over its mode
                os.close(os.open(parsed.database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            return sa.create_engine(parsed)
        except OSError as error:
            raise StorageError(f"the index {self._shown} cannot be opened: {error.strerror}; check the path") from None
        except (SQLAlchemyError, ImportError) as error:
            kind = type(error).__name__
            raise StorageError(
                f"the index {self._shown or 'URL'} cannot be used ({kind}); check the URL and its driver"
            ) from None

    def _damaged(self) -> str:
        return f"the index {self._shown} is damaged; move it away: it is made again from the bodies and the ledger"


def _sqlite_pragmas(synchronous: str, connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "busy_timeout=30000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _body(row: Any) -> BodyRow:
    return BodyRow(bytes(row.digest), row.size_bytes, row.since_ms, row.keep_until_ms, bool(row.named), bool(row.confirmed))


def _filing(row: Any) -> FilingRow:
    return FilingRow(
        row.kind,
        bytes(row.tx_hash),
        row.height,
        bytes(row.pseudonym),
        bytes(row.one_time_key),
        row.doctor,
        bytes(row.digest),
        row.size_bytes,
        row.keep_until_ms,
        row.number,
    )
