"""A fresh process that has nothing but a genesis and an export: ``python -m salus.network.demonstration.fresh GENESIS EXPORT``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from salus.errors import SalusError
from salus.ledger.export import verify_export_file
from salus.network.home import read_genesis


def main(genesis: str, export: str) -> int:
    """Verify, and print what was proven as JSON."""
    try:
        proven = verify_export_file(read_genesis(Path(genesis)), Path(export))
    except SalusError as error:
        print(error, file=sys.stderr)
        return 1
    result = {
        "verified": proven.certified,
        "network": proven.network.hex(),
        "height": proven.height,
        "application_hash": proven.application_hash.hex(),
        "transactions": proven.transactions,
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:3]))
