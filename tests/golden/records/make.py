"""Write the golden bodies again (only when the body format changes its version): ``python tests/golden/records/make.py``."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from salus.records.body import encrypt_body
from salus.records.record import RecordMetadata, RecordPlace, encrypt_record, metadata_hash, seal_metadata

HERE = Path(__file__).parent
SIZES = {"empty": 0, "one-segment": 300, "three-segments": 2 * 65_536 + 1000}


def main() -> None:
    """Bodies of a repeated line under the key 00 01 .. 1f, each with its digest in hex."""
    for name, size in SIZES.items():
        plaintext = (b"Salus golden body. " * (size // 19 + 1))[:size]
        stream = hashlib.shake_256(f"golden {name}".encode())
        sink = io.BytesIO()
        summary = encrypt_body(io.BytesIO(plaintext), bytes(range(32)), ("network", b"rid", 7), sink, random=stream.digest)
        (HERE / f"body-{name}.bin").write_bytes(sink.getvalue())
        (HERE / f"body-{name}.digest").write_text(summary.digest.hex() + "\n")
    make_record()


def make_record() -> None:
    """A record of repeated words under the same key, its sealed metadata, its digest and its metadata's hash in hex."""
    key, place = bytes(range(32)), RecordPlace(b"N" * 32, b"rid-of-a-record!", b"x" * 32)
    sink = io.BytesIO()
    body_random, metadata_random = (hashlib.shake_256(f"golden {name}".encode()).digest for name in ("record", "metadata"))
    body = encrypt_record(io.BytesIO(b"Salus golden record. " * 4000), key, place, sink, random=body_random)
    metadata = RecordMetadata(
        ("store/a", "store/b"),
        body.digest,
        body.size_bytes,
        body.suite,
        1_758_000_000_000,
        "lab",
        "2025Q3",
        "application/dicom",
        "scan.dcm",
    )
    sealed = seal_metadata(metadata, key, place, metadata_random)
    (HERE / "record-body.bin").write_bytes(sink.getvalue())
    (HERE / "record-metadata.bin").write_bytes(sealed)
    hashes = (body.digest, metadata_hash(place.network, place.rid, sealed))
    (HERE / "record.hashes").write_text("".join(f"{value.hex()}\n" for value in hashes))


if __name__ == "__main__":
    main()
