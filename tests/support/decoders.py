"""Decoders of bytes that are not one message: each with what it must hold, and a valid input to start from.

A decoder may refuse with one of the project's own errors and with nothing else. Where an encoder exists, what was accepted
must be its encoding, byte for byte.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

from salus._native import KeyPrefixes
from salus.abpre.capsules import Capsule, DeltaCapsule
from salus.abpre.keys import SecretKey
from salus.abpre.language import parse_canonical
from salus.abpre.parameters import PublicParameters
from salus.abpre.policy import Policy
from salus.abpre.rekeys import ReKey, decode_transformed, encode_transformed
from salus.codec import encode
from salus.consensus.block import Block
from salus.consensus.pbft.checks import decode_block
from salus.consensus.pbft.messages import MESSAGES, decode_message
from salus.consensus.pbft.records import ViewRecord, decode_record
from salus.consultation.envelope import pack_sender, unpack_sender
from salus.consultation.published.messages import Transaction2
from salus.consultation.published.parties import decode_transaction as decode_printed
from salus.consultation.rehearsal.chain import decode_transaction as decode_rehearsed
from salus.consultation.reply import ConsultationReply
from salus.consultation.tracing import SenderEvidence
from salus.errors import CodecError, SalusError
from salus.groups.bls12_381 import G1, G2, Fr, decode_fr, decode_g1, decode_g2, decode_gt, pairing
from salus.groups.ristretto255 import Scalar, base_mul, decode_point, decode_scalar
from salus.ledger.evidence import decode_evidence
from salus.ledger.export import ExportEnd, ExportHeader, read_export_stream
from salus.ledger.kinds.all import REGISTRY
from salus.ledger.snapshots import SnapshotHeader, frame, leaves, read_header
from salus.ledger.storage.runs import decode_page, encode_page, unpack_prefixes
from salus.network.answers import Answer, open_answer
from salus.network.printed.messages import Ordered, decode_ordered
from salus.records.crypt4gh_keys import format_public_key, parse_private_key, parse_public_key
from salus.records.file import recognise_bytes
from salus.records.info import RecordInfo
from salus.records.waveform import Header, parse_header
from salus.search.extraction import Extraction, extract_bytes
from salus.terminal.sealed import SealedFile
from salus.terminal.sealed import parse as parse_sealed
from salus.terminal.wallet import WalletContent, decode_content
from support.smallest import smallest
from support.sources import ROOT

Decode = Callable[[bytes], Any]


def canonical(decode: Decode, again: Callable[[Any], bytes]) -> Decode:
    """What ``decode`` accepts must be what ``again`` makes of it."""

    def run(data: bytes) -> None:
        try:
            decoded = decode(data)
        except SalusError:
            return
        if again(decoded) != data:
            raise AssertionError("accepted bytes that are not the encoding of what they decode to")

    return run


def gives(decode: Decode, kind: type) -> Decode:
    """``decode`` must refuse or give a ``kind``."""

    def run(data: bytes) -> None:
        try:
            decoded = decode(data)
        except SalusError:
            return
        if not isinstance(decoded, kind):
            raise AssertionError(f"gave a {type(decoded).__name__}")

    return run


def message(decode: Decode) -> Decode:
    """``decode`` gives some message, whose encoding is the input."""
    return canonical(decode, lambda decoded: bytes(decoded.encode()))


def read_export(data: bytes) -> list[Any]:
    return list(read_export_stream(io.BytesIO(data), bytes(32), bytes(32)))


def read_snapshot(data: bytes) -> list[Any]:
    read_header(data)
    return list(leaves(data))


def read_policy(data: bytes) -> Policy:
    """A policy's text where it is decoded: in UTF-8, canonical."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise CodecError("not UTF-8") from None
    return parse_canonical(text)


def golden_abpre(name: str) -> bytes:
    return (ROOT / "tests" / "golden" / "abpre" / f"{name}.bin").read_bytes()


FHIR = b'{"resourceType":"Patient","name":[{"family":"A"}]}'
FHIR_XML = b'<Basic xmlns="http://hl7.org/fhir"><code><coding><code value="a"/></coding></code></Basic>'
VCF = b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n1\t2\trs3\tG\tA\t.\t.\tGENE=HFE\n"
HL7 = b"MSH|^~\\&|A|B|C|D|20310304||ORU^R01|1|P|2.5\rPID|1||7^^^X||B^C\rOBX|1|NM|8867-4^Rate||72\r"
CCDA = b'<ClinicalDocument xmlns="urn:hl7-org:v3"><title>x</title></ClinicalDocument>'
DICOM = bytes(128) + b"DICM\x02\x00\x00\x00UL\x04\x00\x00\x00\x00\x00\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\x00"
FORMATS = {"FHIR": FHIR, "FHIR in XML": FHIR_XML, "HL7 v2": HL7, "C-CDA": CCDA, "DICOM": DICOM, "VCF": VCF}
BLOCK: Block = smallest(Block)
C4GH_PRIVATE = (
    b"-----BEGIN CRYPT4GH PRIVATE KEY-----\n"
    + base64.b64encode(b"c4gh-v1" + b"".join(len(s).to_bytes(2, "big") + s for s in (b"none", b"none", bytes(range(32)))))
    + b"\n-----END CRYPT4GH PRIVATE KEY-----\n"
)

OTHER_DECODERS: dict[str, tuple[Decode, bytes]] = {
    "point": (canonical(decode_point, lambda p: p.encode()), base_mul(Scalar.from_int(7)).encode()),
    "scalar": (canonical(decode_scalar, lambda s: s.encode()), Scalar.from_int(7).encode()),
    "G1": (canonical(decode_g1, lambda p: p.encode()), G1.generator().encode()),
    "G2": (canonical(decode_g2, lambda p: p.encode()), G2.generator().encode()),
    "GT": (canonical(decode_gt, lambda p: p.encode()), pairing([(G1.generator(), G2.generator())]).encode()),
    "Fr": (canonical(decode_fr, lambda s: s.encode()), Fr.from_int(7).encode()),
    "policy": (canonical(read_policy, lambda p: p.text.encode()), b"(a:x and b:y) or 2 of (c:z, d:u, e:v@2026)"),
    "public parameters": (canonical(PublicParameters.decode, lambda p: p.encode()), golden_abpre("parameters")),
    "attribute key": (canonical(SecretKey.decode, lambda k: k.encode()), golden_abpre("key")),
    "capsule": (canonical(Capsule.decode, lambda c: c.encode()), golden_abpre("capsule")),
    "delta capsule": (canonical(DeltaCapsule.decode, lambda c: c.encode()), golden_abpre("delta")),
    "re-encryption key": (canonical(ReKey.decode, lambda k: k.encode()), golden_abpre("rekey")),
    "transformed capsule": (canonical(decode_transformed, encode_transformed), golden_abpre("transformed")),
    "message between replicas": (message(decode_message), smallest(next(iter(MESSAGES.values()))).encode()),
    "record of the vote log": (message(decode_record), smallest(ViewRecord).encode()),
    "transaction": (canonical(REGISTRY.decode, lambda t: t.message.encode()), smallest(REGISTRY.kinds()[0].message).encode()),
    "block": (message(lambda data: decode_block(data, BLOCK.header.id(), 0)), BLOCK.encode()),
    "transaction of the printed suite": (message(decode_printed), smallest(Transaction2).encode()),
    "transaction in rehearsal": (message(decode_rehearsed), smallest(ConsultationReply).encode()),
    "ordered transaction": (message(decode_ordered), smallest(Ordered).encode()),
    "prefixes": (canonical(unpack_prefixes, KeyPrefixes.encode), bytes(range(8))),
    "evidence": (message(decode_evidence), smallest(SenderEvidence).encode()),
    "sealed sender": (canonical(unpack_sender, pack_sender), bytes(136)),
    "page of a run": (canonical(decode_page, encode_page), encode(((bytes(32), b"v"), (bytes(32), None)))),
    "snapshot": (gives(read_snapshot, list), frame(smallest(SnapshotHeader).encode()) + frame(encode(((bytes(32), b"v"),)))),
    "export": (gives(read_export, list), frame(smallest(ExportHeader).encode()) + frame(smallest(ExportEnd).encode())),
    "answer": (gives(lambda data: open_answer("p", "m", data), bytes), smallest(Answer).encode()),
    "wallet content": (message(lambda data: decode_content(data, "w")), smallest(WalletContent).encode()),
    "sealed file": (canonical(lambda data: parse_sealed(data, "w"), lambda f: f.to_bytes()), smallest(SealedFile).to_bytes()),
    "public key of Crypt4GH": (gives(parse_public_key, bytes), format_public_key(bytes(range(32)))),
    "private key of Crypt4GH": (gives(parse_private_key, bytes), C4GH_PRIVATE),
    "waveform header": (gives(parse_header, Header), b"r 1 250 10\nr.dat 16 200 16 0 0 0 0 ECG\n"),
    **{
        f"record, {name}": (gives(recognise_bytes, RecordInfo), seed)
        for name, seed in {**FORMATS, "other": b"%PDF-1.4\n"}.items()
    },
    **{f"keywords, {name}": (gives(extract_bytes, Extraction), seed) for name, seed in FORMATS.items()},
}
"""Name -> how to try it, and a valid input."""
