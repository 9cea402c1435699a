"""Write the golden encodings again (only when a format changes its version): ``python tests/golden/threshold/make.py``.

They are what the ledger and the nodes keep, taken from the vectors, one file each.
"""

from __future__ import annotations

import json
from pathlib import Path

HERE = Path(__file__).parent
VECTORS = HERE.parents[1] / "vectors" / "thresholds.json"


def encodings() -> dict[str, bytes]:
    """File name -> bytes."""
    v = json.loads(VECTORS.read_text())
    first = next(iter(v["nodes"].values()))
    issuing, moved = v["issuing"], v["transformation"]
    texts = {
        "committee": v["committee"],
        "sharing-secret": first["e_er"],
        "alpha-deal": v["alpha"]["deals"][0],
        "alpha-sharing": v["alpha"]["sharing"],
        "point-share": v["alpha"]["shares"]["1"],
        "z-deal": v["z"]["deals"][0],
        "z-sharing": v["z"]["sharing"],
        "z-share": v["z"]["shares"]["1"],
        "oprf-sharing": v["oprf"]["sharing"],
        "oprf-share": v["oprf"]["shares"]["1"],
        "key-request": issuing["request"],
        "one-time-key": issuing["er"],
        "partial-key": issuing["partials"][0],
        "key-demand": issuing["demand"],
        "key-evidence": issuing["evidence"],
        "delegation": moved["delegation"],
        "c": moved["c"],
        "partial": moved["partials"][0],
        "partial-claim": moved["claim"],
        "deletion": v["revocation"]["deletions"][0],
        "receipt": v["revocation"]["receipt"],
    }
    return {f"{name}.bin": bytes.fromhex(text) for name, text in texts.items()}


if __name__ == "__main__":
    for name, data in encodings().items():
        (HERE / name).write_bytes(data)
