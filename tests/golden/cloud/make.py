"""Write the golden cloud again (only when a stored format changes its version): ``python tests/golden/cloud/make.py``.

A key file, and a directory with one body, one open upload, and an index that has filed one block.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "unit"))

from cloud.clouds import KEY, START_MS, begin, body, committed, open_gateway, part, request_naming, upload  # noqa: E402

from salus.cloud.key import save_cloud_key  # noqa: E402


def main() -> None:
    """The directory, as a gateway that was closed leaves it."""
    shutil.rmtree(HERE / "home", ignore_errors=True)
    save_cloud_key(HERE / "home" / "cloud.key", KEY)
    with open_gateway(HERE / "home") as gateway:
        data, summary = body(1000)
        request = request_naming(summary, upload(gateway, 1, data, summary))
        gateway.apply_committed(1, START_MS, committed(request))
        data, summary = body(3000, b"under way")
        begin(gateway, 2, summary)
        part(gateway, 2, 0, data[:1000])
    (HERE / "home" / "lock").unlink()


if __name__ == "__main__":
    main()
