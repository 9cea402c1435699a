"""Crypt4GH at the command line, both ways with the reference tool: exported records open in it, its files become records."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.command_line import Terminal

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("crypt4gh") is None, reason="the peer of this test is not installed: pip install crypt4gh"
)
ALICE = ("--as", "alice")
HOSPITAL = ("--as", "st-anne/board")
PASSPHRASE = "of the key alone"
HEADER = "##fileformat=VCFv4.2\n##fileDate=20250912\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
VCF = HEADER + "1\t1000\t.\tA\tG\t50\tPASS\t.\n" * 9000


class Tool:
    """The PyPI tool at its own command line, with two key pairs: ``plain`` and, under a passphrase, ``locked``."""

    def __init__(self, directory: Path) -> None:
        import crypt4gh.keys.c4gh as keys

        self.directory = directory
        for name, passphrase in (("plain", b""), ("locked", PASSPHRASE.encode())):
            public, secret = self.public(name), self.secret(name)
            keys.generate(str(secret), str(public), passphrase, b"")

    def public(self, name: str) -> Path:
        return self.directory / f"{name}.pub"

    def secret(self, name: str) -> Path:
        return self.directory / f"{name}.sec"

    def run(self, source: Path, out: Path, *arguments: str) -> None:
        with source.open("rb") as stdin, out.open("wb") as stdout:
            subprocess.run([sys.executable, "-m", "crypt4gh", *arguments], stdin=stdin, stdout=stdout, check=True, timeout=60)

    def decrypt(self, source: Path, out: Path) -> bytes:
        self.run(source, out, "decrypt", "--sk", str(self.secret("plain")))
        return out.read_bytes()

    def encrypt(self, source: Path, out: Path, recipient: str) -> Path:
        self.run(source, out, "encrypt", "--sk", str(self.secret("plain")), "--recipient_pk", str(self.public(recipient)))
        return out


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    return Tool(tmp_path)


@pytest.fixture
def vcf(tmp_path: Path) -> Path:
    path = tmp_path / "exome.vcf"
    path.write_text(VCF)
    return path


def test_an_exported_record_opens_in_the_tool(salus: Terminal, tool: Tool, vcf: Path, tmp_path: Path) -> None:
    rid = salus.good(*ALICE, "record", "put", vcf)["records"][0]["rid"]
    out = tmp_path / "exome.c4gh"
    done = salus(*ALICE, "record", "export", rid, "--crypt4gh", tool.public("plain"), "--out", out)
    assert done.out == f"Wrote {out} ({out.stat().st_size / 1024:.1f} KiB) for the holder of plain.pub.\n"
    assert tool.decrypt(out, tmp_path / "decrypted") == vcf.read_bytes()
    assert "exists already" in salus.bad(
        *ALICE, "record", "export", rid, "--crypt4gh", tool.public("plain"), "--out", out, reason="storage"
    )
    text = tmp_path / "text"
    text.write_text("no key\n")
    for wrong in (tool.secret("plain"), text):
        salus.bad(*ALICE, "record", "export", rid, "--crypt4gh", wrong, "--out", tmp_path / "no", reason="bad-container")
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("recipient", ["plain", "locked"])
def test_a_file_of_the_tool_is_put_and_read_by_an_institution(
    salus: Terminal, tool: Tool, vcf: Path, tmp_path: Path, recipient: str
) -> None:
    file = tool.encrypt(vcf, tmp_path / "exome.vcf.c4gh", recipient)
    passphrase = tmp_path / "passphrase"
    passphrase.write_text(f"{PASSPHRASE}\n")
    opens = ("--crypt4gh-passphrase-file", passphrase) if recipient == "locked" else ()
    put = (*ALICE, "record", "put", file, "--policy", "role:doctor", "--crypt4gh-key", tool.secret(recipient))
    (record,) = salus.good(*put, *opens)["records"]
    # category, quarter and name are those of what is in the file
    assert (record["category"], record["quarter"], record["file_name"]) == ("genomics", "2025Q3", "exome.vcf")
    assert record["bytes"] == vcf.stat().st_size
    salus.good("attribute", "grant", "st-anne/board", "role:doctor", "--years", "2025")
    share = salus.good(*HOSPITAL, "share", "request", record["rid"], "--purpose", "research")["shares"][0]["id"]
    got = salus.good(*HOSPITAL, "share", "get", share, "--out", tmp_path / "got")
    assert Path(got["path"]).read_bytes() == vcf.read_bytes()


def test_a_file_that_does_not_open_is_not_put(salus: Terminal, tool: Tool, vcf: Path, tmp_path: Path) -> None:
    file = tool.encrypt(vcf, tmp_path / "exome.vcf.c4gh", "locked")
    damaged = tmp_path / "damaged.c4gh"
    data = bytearray(tool.encrypt(vcf, damaged, "plain").read_bytes())
    data[-1000] ^= 1
    cut = tmp_path / "cut.c4gh"
    cut.write_bytes(damaged.read_bytes()[:-70_000])
    damaged.write_bytes(data)
    put = (*ALICE, "record", "put")
    plain = ("--crypt4gh-key", tool.secret("plain"))
    assert "no packet of the header is meant for this key" in salus.bad(*put, file, *plain, reason="bad-container")
    assert "does not open" in salus.bad(*put, damaged, *plain, reason="bad-container")
    salus.bad(*put, cut, *plain, reason="bad-container")
    assert "no Crypt4GH file" in salus.bad(*put, vcf, *plain, reason="bad-container")
    assert "passphrase" in salus.bad(*put, file, "--crypt4gh-key", tool.secret("locked"), reason="bad-container")
    assert "private" in salus.bad(*put, file, "--crypt4gh-key", tool.public("plain"), reason="bad-container")
    salus.bad(*put, file, "--crypt4gh-key", tmp_path / "none", reason="storage")
    assert salus.good(*ALICE, "record", "list")["records"] == []
    shutil.rmtree(tool.directory)
