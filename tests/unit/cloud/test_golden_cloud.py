"""A cloud's directory written by the first release opens in every later one."""

import shutil
from pathlib import Path

from salus.cloud import messages as m
from salus.cloud.key import load_cloud_key
from salus.consultation.receipts import SealedReceipt

from .clouds import CENTRE, KEY, START_MS, ask, begin, body, find, finish, open_gateway, part, read

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "cloud" / "home"


def test_the_golden_cloud_opens(tmp_path):
    home = tmp_path / "home"
    shutil.copytree(GOLDEN, home)
    (home / "cloud.key").chmod(0o600)
    assert load_cloud_key(home / "cloud.key", CENTRE.Pub).W_bytes == KEY.W_bytes
    with open_gateway(home) as gateway:
        assert gateway.followed() == (1, START_MS)
        data, summary = body(1000)
        assert read(gateway, summary.digest) == data
        (filing,) = find(gateway, m.BY_DOCTOR, b"clinic/dr-1").filings
        assert (filing.digest, filing.held) == (summary.digest, 1)
        ask(gateway, m.STORAGE_RECEIPT, m.ReceiptRequest(filing.tx_hash), SealedReceipt)
        data, summary = body(3000, b"under way")
        assert begin(gateway, 2, summary).received_bytes == 1000
        part(gateway, 2, 1000, data[1000:])
        finish(gateway, 2)
        assert read(gateway, summary.digest) == data
