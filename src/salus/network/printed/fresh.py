"""``python -m salus.network.printed.fresh GENESIS EXPORT``: verify a printed ledger from two files alone, print the result."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from salus.errors import SalusError
from salus.network.printed.audit import verify_export
from salus.network.printed.messages import Export, Genesis


def main(arguments: list[str]) -> int:
    """Verify and print; the exit status."""
    if len(arguments) != 2:
        print("usage: python -m salus.network.printed.fresh GENESIS EXPORT", file=sys.stderr)
        return 2
    genesis, export = (Path(argument).read_bytes() for argument in arguments)
    try:
        report = verify_export(Genesis.decode(genesis), Export.decode(export))
    except SalusError as error:
        print(error, file=sys.stderr)
        return 1
    found = {
        "verified": True,
        "height": report.height,
        "transactions": report.transactions,
        "application_hash": report.application_hash.hex(),
        "proven_height": report.proven_height,
    }
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
