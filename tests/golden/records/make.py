"""Write the golden bodies again (only when the body format changes its version): ``python tests/golden/records/make.py``."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

from salus.records.body import encrypt_body

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


if __name__ == "__main__":
    main()
