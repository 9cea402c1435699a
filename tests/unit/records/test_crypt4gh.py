"""Crypt4GH files, both ways between us and the reference tool (PyPI ``crypt4gh``), and files that are not what they should be."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from salus.errors import Refused
from salus.records.body import BodySummary, encrypt_body
from salus.records.crypt4gh import (
    EDITS_MAX,
    Crypt4ghSource,
    export_crypt4gh,
    export_file,
    read_header,
    seal_header,
)
from salus.records.crypt4gh_keys import (
    format_public_key,
    parse_private_key,
    parse_public_key,
    public_key_of,
    read_private_key,
    read_public_key,
)
from salus.records.digest import SEALED_SEGMENT_BYTES as SEALED
from salus.records.digest import SEGMENT_BYTES

from .conftest import seeded

try:
    import crypt4gh.keys as tool_keys
    import crypt4gh.lib as tool
except ImportError:  # an optional peer
    tool = tool_keys = None

needs_tool = pytest.mark.skipif(tool is None, reason="the peer of this test is not installed: pip install crypt4gh")
KEY, CONTEXT = bytes(range(32)), ("network", b"rid", b"x")
SECRET = hashlib.sha256(b"reader").digest()
PUBLIC = public_key_of(SECRET)
SIZES = [0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 2 * SEGMENT_BYTES, 20 * SEGMENT_BYTES + 7]


def plain(size: int) -> bytes:
    return seeded(f"plain {size}")(size)


def encrypted(plaintext: bytes) -> tuple[bytes, BodySummary]:
    sink = io.BytesIO()
    summary = encrypt_body(io.BytesIO(plaintext), KEY, CONTEXT, sink, random=seeded("body"), suite="records-2")
    return sink.getvalue(), summary


def exported(plaintext: bytes, recipient: bytes = PUBLIC) -> bytes:
    body, summary = encrypted(plaintext)
    sink = io.BytesIO()
    export_crypt4gh(io.BytesIO(body), KEY, CONTEXT, summary, recipient, sink, random=seeded("header"))
    return sink.getvalue()


def imported(file: bytes, secret: bytes = SECRET, step: int = 10_000) -> bytes:
    source = Crypt4ghSource(io.BytesIO(file), secret)
    return b"".join(iter(lambda: source.read(step), b""))


def written_by_tool(plaintext: bytes, *recipients: bytes) -> bytes:
    sink = io.BytesIO()
    tool.encrypt([(0, seeded("writer")(32), recipient) for recipient in recipients], io.BytesIO(plaintext), sink)
    return sink.getvalue()


def read_by_tool(file: bytes, secret: bytes = SECRET) -> bytes:
    sink = io.BytesIO()
    tool.decrypt([(0, secret, None)], io.BytesIO(file), sink)
    return sink.getvalue()


# --- both ways ---


@needs_tool
@pytest.mark.parametrize("size", SIZES)
def test_the_tool_reads_what_we_export(size: int) -> None:
    assert read_by_tool(exported(plain(size))) == plain(size)


@needs_tool
@pytest.mark.parametrize("size", SIZES)
def test_we_read_what_the_tool_writes(size: int) -> None:
    other = public_key_of(bytes(range(1, 33)))
    assert imported(written_by_tool(plain(size), other, PUBLIC)) == plain(size)


@needs_tool
def test_a_file_of_the_tool_becomes_a_record_and_comes_back() -> None:
    """Made by the tool, put into a record, exported, read by the tool again."""
    plaintext = plain(3 * SEGMENT_BYTES + 11)
    source = Crypt4ghSource(io.BytesIO(written_by_tool(plaintext, PUBLIC)), SECRET)
    body = io.BytesIO()
    summary = encrypt_body(source, KEY, CONTEXT, body, suite="records-2")
    sink = io.BytesIO()
    export_crypt4gh(io.BytesIO(body.getvalue()), KEY, CONTEXT, summary, PUBLIC, sink)
    assert read_by_tool(sink.getvalue()) == plaintext


@needs_tool
@pytest.mark.parametrize(("start", "span"), [(0, 10), (70_000, 1), (65_530, 20), (SEGMENT_BYTES, SEGMENT_BYTES), (150_000, None)])
def test_edit_lists_of_the_tool(start: int, span: int | None) -> None:
    plaintext = plain(4 * SEGMENT_BYTES)
    sink = io.BytesIO()
    tool.rearrange([(0, SECRET, PUBLIC)], io.BytesIO(written_by_tool(plaintext, PUBLIC)), sink, start, span)
    assert read_header(io.BytesIO(sink.getvalue()), SECRET).edits is not None
    assert imported(sink.getvalue()) == plaintext[start:][:span]


@needs_tool
def test_the_command_of_the_tool(tmp_path: Path) -> None:
    """Key files and standard input, as a person uses them."""
    secret, public, out = tmp_path / "k.sec", tmp_path / "k.pub", tmp_path / "record.c4gh"
    environment = os.environ | {"C4GH_PASSPHRASE": ""}
    made = subprocess.run(
        [sys.executable, "-m", "crypt4gh.keys", "--nocrypt", "--sk", str(secret), "--pk", str(public)],
        env=environment,
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("this version of the tool makes keys otherwise")
    body, summary = encrypted(plain(100_000))
    export_file(io.BytesIO(body), KEY, CONTEXT, summary, read_public_key(public), out)
    with out.open("rb") as file:
        opened = subprocess.run(
            [sys.executable, "-m", "crypt4gh", "decrypt", "--sk", str(secret)], stdin=file, capture_output=True, check=True
        )
    assert opened.stdout == plain(100_000)
    assert read_private_key(secret) == tool_keys.get_private_key(str(secret), lambda: "")


@needs_tool
def test_key_files_of_the_tool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from crypt4gh.keys import c4gh

    for passphrase in (b"", b"open sesame"):
        secret, public = tmp_path / f"{len(passphrase)}.sec", tmp_path / f"{len(passphrase)}.pub"
        c4gh.generate(str(secret), str(public), passphrase, b"a comment")
        key = read_private_key(secret, passphrase.decode() or None)
        assert public_key_of(key) == read_public_key(public) == parse_public_key(format_public_key(public_key_of(key)))
    with pytest.raises(Refused, match="passphrase"):
        read_private_key(secret)
    with pytest.raises(Refused, match="passphrase"):
        read_private_key(secret, "guess")
    with pytest.raises(Refused, match="public one is needed"):
        read_public_key(secret)


# --- the format, by hand ---


def test_header_by_the_standard() -> None:
    """Sections 2.2 and 3.2 of GA4GH Crypt4GH 1.0, written out."""
    header = seal_header(b"D" * 32, PUBLIC, seeded("header"))
    secret = X25519PrivateKey.from_private_bytes(seeded("header")(32))
    own = secret.public_key().public_bytes_raw()
    assert header[:20] == b"crypt4gh" + (1).to_bytes(4, "little") * 2 + (108).to_bytes(4, "little")
    assert header[20:24] == bytes(4)
    assert header[24:56] == own
    nonce, sealed = header[56:68], header[68:]
    shared = secret.exchange(X25519PublicKey.from_public_bytes(PUBLIC))
    key = hashlib.blake2b(shared + PUBLIC + own).digest()[:32]
    assert ChaCha20Poly1305(key).decrypt(nonce, sealed, None) == bytes(8) + b"D" * 32
    assert len(header) == 124
    opened = read_header(io.BytesIO(header), SECRET)
    assert (opened.data_keys, opened.edits) == ((b"D" * 32,), None)
    assert "44" * 32 not in repr(opened)


def packet(inside: bytes, reader: bytes = PUBLIC, method: int = 0) -> bytes:
    """A header packet with any content."""
    sealed = seal_header(bytes(32), reader, seeded("hand"))
    secret = X25519PrivateKey.from_private_bytes(seeded("hand")(32))
    shared = secret.exchange(X25519PublicKey.from_public_bytes(reader))
    key = hashlib.blake2b(shared + reader + sealed[24:56]).digest()[:32]
    whole = method.to_bytes(4, "little") + sealed[24:56] + bytes(12) + ChaCha20Poly1305(key).encrypt(bytes(12), inside, None)
    return (4 + len(whole)).to_bytes(4, "little") + whole


def file_of(*packets: bytes, body: bytes = b"", count: int | None = None, version: int = 1) -> bytes:
    number = len(packets) if count is None else count
    return b"crypt4gh" + version.to_bytes(4, "little") + number.to_bytes(4, "little") + b"".join(packets) + body


def data_key(key: bytes) -> bytes:
    return packet(bytes(8) + key)


def edit_list(*lengths: int) -> bytes:
    numbers = b"".join(length.to_bytes(8, "little") for length in lengths)
    return packet((1).to_bytes(4, "little") + len(lengths).to_bytes(4, "little") + numbers)


def segment(key: bytes, plaintext: bytes, nonce: int = 0) -> bytes:
    drawn = nonce.to_bytes(12, "big")
    return drawn + ChaCha20Poly1305(key).encrypt(drawn, plaintext, None)


A, B = b"A" * 32, b"B" * 32


def test_several_data_keys() -> None:
    text = plain(3 * SEGMENT_BYTES)
    parts = [text[i : i + SEGMENT_BYTES] for i in range(0, len(text), SEGMENT_BYTES)]
    body = b"".join(segment(key, part, i) for i, (key, part) in enumerate(zip((A, B, B), parts, strict=True)))
    foreign = packet(bytes(8) + A, public_key_of(bytes(range(32))))
    assert imported(file_of(foreign, data_key(B), data_key(A), data_key(A), body=body)) == text


@pytest.mark.parametrize(
    ("edits", "kept"),
    [
        ((0, 5), [(0, 5)]),
        ((3,), [(3, 200_000)]),
        ((0,), [(0, 200_000)]),
        ((1, 2, 3, 4), [(1, 3), (6, 10)]),
        ((10, 70_000, 10), [(10, 70_010), (70_020, 200_000)]),
        ((0, 0, 199_999, 1), [(199_999, 200_000)]),
        ((65_536, 65_536), [(65_536, 131_072)]),
    ],
)
def test_edit_lists(edits: tuple[int, ...], kept: list[tuple[int, int]]) -> None:
    text = plain(200_000)
    body = b"".join(segment(A, text[i : i + SEGMENT_BYTES], i) for i in range(0, len(text), SEGMENT_BYTES))
    assert imported(file_of(data_key(A), edit_list(*edits), body=body)) == b"".join(text[a:b] for a, b in kept)


def test_files_that_are_none() -> None:
    good = file_of(data_key(A), body=segment(A, b"words"))
    assert imported(good) == b"words"
    bad: dict[str, bytes] = {
        "empty": b"",
        "another file": b"%PDF-1.7 and so on, and on",
        "version 2": file_of(data_key(A), version=2),
        "no packets": file_of(),
        "too many packets": file_of(data_key(A), count=1001),
        "fewer packets than said": file_of(data_key(A), count=2),
        "cut in the header": good[:100],
        "cut in the body": good[:-1],
        "cut to a few bytes of a segment": good + bytes(27),
        "another reader's": file_of(packet(bytes(8) + A, public_key_of(bytes(range(32))))),
        "a method of the header we do not read": file_of(packet(bytes(8) + A, method=1)),
        "a method of the body we do not read": file_of(packet((0).to_bytes(4, "little") + (1).to_bytes(4, "little") + A)),
        "an unknown packet": file_of(data_key(A), packet((2).to_bytes(4, "little") + bytes(36))),
        "a short data key": file_of(packet(bytes(8) + A[:31])),
        "a huge packet": file_of((1 << 31).to_bytes(4, "little") + bytes(200)),
        "a tiny packet": file_of((4).to_bytes(4, "little")),
        "two edit lists": file_of(data_key(A), edit_list(0, 1), edit_list(0, 1)),
        "an edit list only": file_of(edit_list(0, 1)),
        "an empty edit list": file_of(data_key(A), edit_list()),
        "an edit list longer than it says": file_of(
            data_key(A), packet((1).to_bytes(4, "little") + (1).to_bytes(4, "little") + bytes(16))
        ),
        "an edit list over the bound": file_of(data_key(A), edit_list(*range(EDITS_MAX + 1))),
        "an edit list past the end": file_of(data_key(A), edit_list(0, 6), body=segment(A, b"words")),
        "a skip past the end": file_of(data_key(A), edit_list(6, 1), body=segment(A, b"words")),
        "another key's segment": file_of(data_key(A), body=segment(B, b"words")),
        "writer's key of small order": file_of((108).to_bytes(4, "little") + bytes(4 + 32 + 12 + 56)),
    }
    assert {name: refusal(data) for name, data in bad.items()} == dict.fromkeys(bad, "bad-container")


def refusal(file: bytes) -> str:
    """Reason that a file is refused for; empty if it is read."""
    try:
        imported(file)
    except Refused as refused:
        return refused.reason
    return ""


def test_every_byte_of_an_exported_file_counts() -> None:
    file = exported(b"words")
    for position in range(len(file)):
        altered = bytearray(file)
        altered[position] ^= 1 << position % 8
        with pytest.raises(Refused, match="bad-container"):
            imported(bytes(altered))


def test_what_the_format_itself_does_not_notice() -> None:
    """Why a record is more than a Crypt4GH file: in that format, segments swap places and an end goes missing unseen."""
    text = plain(3 * SEGMENT_BYTES)
    file = exported(text)
    head, s = file[:124], [file[124 + i * SEALED : 124 + (i + 1) * SEALED] for i in range(3)]
    assert imported(head + s[1] + s[0]) == text[SEGMENT_BYTES : 2 * SEGMENT_BYTES] + text[:SEGMENT_BYTES]
    if tool is not None:
        assert read_by_tool(head + s[1] + s[0]) == imported(head + s[1] + s[0])


# --- export of what is not the record ---


def test_export_writes_nothing_that_is_not_the_record(tmp_path: Path) -> None:
    body, summary = encrypted(plain(2 * SEGMENT_BYTES))
    swapped = body[SEALED:] + body[:SEALED]
    bad = {"altered": body[:-1] + bytes([body[-1] ^ 1]), "cut": body[:SEALED], "longer": body + b"\0", "swapped": swapped}
    for data in bad.values():
        with pytest.raises(Refused, match="bad-body"):
            export_file(io.BytesIO(data), KEY, CONTEXT, summary, PUBLIC, tmp_path / "out")
    with pytest.raises(Refused, match="bad-body"):
        export_file(io.BytesIO(body), bytes(32), CONTEXT, summary, PUBLIC, tmp_path / "out")
    for key in (bytes(32), b"short"):
        with pytest.raises(Refused, match="bad-container"):
            export_file(io.BytesIO(body), KEY, CONTEXT, summary, key, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_each_export_has_its_own_writer_key() -> None:
    assert seal_header(A, PUBLIC)[24:56] != seal_header(A, PUBLIC)[24:56]


# --- key files ---


def private_file(*strings: bytes, magic: bytes = b"c4gh-v1") -> bytes:
    content = magic + b"".join(len(s).to_bytes(2, "big") + s for s in strings)
    return b"-----BEGIN CRYPT4GH PRIVATE KEY-----\n" + base64.b64encode(content) + b"\n-----END CRYPT4GH PRIVATE KEY-----\n"


def test_private_keys_by_hand() -> None:
    assert parse_private_key(private_file(b"none", b"none", SECRET)) == SECRET
    assert parse_private_key(private_file(b"none", b"none", SECRET, b"comment")) == SECRET
    salt, nonce = b"s" * 16, b"n" * 12
    for name, rounds, derived in (
        (b"scrypt", 0, hashlib.scrypt(b"pass", salt=salt, n=1 << 14, r=8, p=1, dklen=32)),
        (b"pbkdf2_hmac_sha256", 1000, hashlib.pbkdf2_hmac("sha256", b"pass", salt, 1000, 32)),
    ):
        sealed = nonce + ChaCha20Poly1305(derived).encrypt(nonce, SECRET, None)
        file = private_file(name, rounds.to_bytes(4, "big") + salt, b"chacha20_poly1305", sealed)
        assert parse_private_key(file, "pass") == SECRET
        for wrong in (None, "", "guess"):
            with pytest.raises(Refused, match="passphrase"):
                parse_private_key(file, wrong)


BAD_PRIVATE: dict[str, Any] = {
    "empty": b"",
    "public": format_public_key(PUBLIC),
    "version": private_file(b"none", b"none", SECRET, magic=b"c4gh-v2"),
    "short": private_file(b"none", b"none", SECRET[:31]),
    "cut": private_file(b"none", b"none"),
    "trailing": private_file(b"none", b"none", SECRET, b"comment", b"more"),
    "cipher": private_file(b"none", b"aes", SECRET),
    "kdf": private_file(b"rot13", bytes(20), b"chacha20_poly1305", bytes(60)),
    "bcrypt": private_file(b"bcrypt", bytes(20), b"chacha20_poly1305", bytes(60)),
    "rounds": private_file(b"pbkdf2_hmac_sha256", b"\xff" * 20, b"chacha20_poly1305", bytes(60)),
    "salt": private_file(b"scrypt", bytes(4), b"chacha20_poly1305", bytes(60)),
    "sealed": private_file(b"scrypt", bytes(20), b"chacha20_poly1305", bytes(5)),
    "mixed": format_public_key(PUBLIC).replace(b"END CRYPT4GH PUBLIC", b"END CRYPT4GH PRIVATE"),
    "base64": b"-----BEGIN CRYPT4GH PRIVATE KEY-----\nAAA\n-----END CRYPT4GH PRIVATE KEY-----\n",
    "large": b"-----BEGIN CRYPT4GH PRIVATE KEY-----\n" + b"A" * 20_000 + b"\n-----END CRYPT4GH PRIVATE KEY-----\n",
}


@pytest.mark.parametrize("name", list(BAD_PRIVATE))
def test_bad_private_keys(name: str) -> None:
    with pytest.raises(Refused, match="bad-container"):
        parse_private_key(BAD_PRIVATE[name], "pass")


def test_bad_public_keys() -> None:
    for data in (b"", b"ssh-ed25519 AAAA", format_public_key(PUBLIC[:31]), private_file(b"none", b"none", SECRET)):
        with pytest.raises(Refused, match="bad-container"):
            parse_public_key(data)
