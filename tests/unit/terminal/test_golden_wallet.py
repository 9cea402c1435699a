"""Wallets, one-time secrets and backups written by the first release open in every later one."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from salus.terminal.recovery import RESTORED, restore, without_used_secrets
from salus.terminal.sealed import CHEAP_COST
from salus.terminal.wallet import Wallet

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "wallet"


@pytest.fixture
def make():
    spec = importlib.util.spec_from_file_location("golden_wallet", GOLDEN / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_golden_wallet_opens_by_passphrase_and_phrase(tmp_path, make):
    shutil.copytree(GOLDEN / "wallet", tmp_path / "w")
    phrase = (GOLDEN / "recovery-phrase.txt").read_text()
    for opened in (
        lambda: Wallet.open(tmp_path / "w", b"golden passphrase", network=make.NETWORK),
        lambda: Wallet.open_with_phrase(tmp_path / "w", phrase, network=make.NETWORK),
    ):
        with opened() as wallet:
            assert wallet.content == make.content()
            assert wallet.one_time.get("consultation-one") == b"golden one-time secret"


def test_the_golden_backup_restores(tmp_path, make):
    restored = restore(tmp_path / "r", GOLDEN / "backup.sealed", passphrase=b"golden passphrase", cost=CHEAP_COST)
    with restored.wallet as wallet:
        assert restored.made_ms == make.NOW_MS
        assert wallet.content == without_used_secrets(make.content()).with_setting(RESTORED, str(make.NOW_MS))


def test_the_golden_files_are_what_this_version_writes(tmp_path, make, monkeypatch):
    monkeypatch.setattr(make, "HERE", tmp_path)
    make.main()
    written = {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    kept = {p.relative_to(GOLDEN): p.read_bytes() for p in GOLDEN.rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")}
    assert written == kept
