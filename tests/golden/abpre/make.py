"""Write the golden encodings again (only when a format changes its version): ``python tests/golden/abpre/make.py``.

They are the encodings of the vectors, one file each, as they are stored and sent.
"""

from __future__ import annotations

import json
from pathlib import Path

from salus.abpre.rekeys import encode_transformed
from salus.groups.bls12_381 import decode_gt

HERE = Path(__file__).parent
VECTORS = HERE.parents[1] / "vectors" / "abpre_scheme.json"


def encodings() -> dict[str, bytes]:
    """File name -> bytes."""
    scheme = json.loads(VECTORS.read_text())
    return {
        "parameters.bin": bytes.fromhex(scheme["setup"]["encoded"]),
        "key.bin": bytes.fromhex(scheme["key_gen"]["doctor"]["encoded"]),
        "capsule.bin": bytes.fromhex(scheme["encapsulate"]["encoded"]),
        "delta.bin": bytes.fromhex(scheme["encapsulate_delta"]["encoded"]),
        "rekey.bin": bytes.fromhex(scheme["rekey_gen"]["encoded"]),
        "transformed.bin": encode_transformed(decode_gt(bytes.fromhex(scheme["re_encrypt"]["A4"]))),
    }


if __name__ == "__main__":
    for name, data in encodings().items():
        (HERE / name).write_bytes(data)
