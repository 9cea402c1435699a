"""Bodies of records between a terminal and clouds: encrypted to a staging file, kept by several clouds, fetched for who may read.

No cloud is believed: receipts are checked against its key, bodies against the digest in the sealed metadata while they are
decrypted. Staging files hold ciphertext only. Steps: docs/protocol/records.md, "putting" and "reading".
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from salus import labels
from salus.cloud import messages as m
from salus.cloud import sharing_messages as sm
from salus.consultation.registration import CLOUD, verify_member_signature
from salus.errors import Refused, StorageError, TransportError, refuse_unless
from salus.files import make_private_directory, remove_leftovers
from salus.ledger.client import LedgerClient
from salus.ledger.kinds.sharing.messages.records import RecordUpload
from salus.ledger.kinds.sharing.records import digest_tag
from salus.ledger.sharing_api import ReadProof
from salus.records.digest import SEALED_SEGMENT_BYTES, BodyDigester, BodySummary, RangeProof, encrypted_size, verify_range
from salus.records.record import RecordMetadata, metadata_hash
from salus.symmetric import Random
from salus.terminal.bodies import Progress, no_progress
from salus.terminal.cloud_client import CloudClient, RemoteBody, Retry
from salus.transport import PART_BYTES, Transport

STAGING: Final = "staging"
RECEIVED: Final = "received"
CLOUDS_WANTED: Final = 2
"""Independently run clouds that keep a body, where the network has them."""
BRIEFLY: Final = Retry(attempts=3)
"""Patience with a cloud that is silent, where another one keeps the body too."""
Prove = Callable[[str], ReadProof]
"""Shows one cloud or node, by name, who reads."""


class RecordBodies:
    """Moves bodies of records for one terminal.

    :param directory: the wallet's; ciphertext under way lies in ``staging/``.
    :ivar passed_over: cloud -> why another one's body was taken in place of its own, in the last reading.
    """

    def __init__(self, transport: Transport, ledger: LedgerClient, directory: Path, random: Random) -> None:
        self._transport = transport
        self._ledger = ledger
        self._random = random
        self.staging = directory / STAGING
        self.passed_over: dict[str, str] = {}
        make_private_directory(self.staging)
        for left in self.staging.glob("*.record"):
            if not left.name.startswith(f"{os.getpid()}-"):  # of a process that was killed: this one holds the wallet's lock
                left.unlink(missing_ok=True)
        if (directory / RECEIVED).is_dir():
            remove_leftovers(directory / RECEIVED)

    def clouds(self) -> list[str]:
        """Names of the clouds that are to keep a new body.

        :raises Refused: ``unknown-party`` if the network has none.
        """
        live = [party.name for party in self._ledger.parties(CLOUD) if not party.revoked_ms]
        refuse_unless(bool(live), "unknown-party", "the network has no cloud that keeps bodies")
        drawn = sorted(live, key=lambda _: self._random(8))  # readers ask the first one first: so the load is shared
        return drawn[:CLOUDS_WANTED]

    def check_room(self, name: str, size_bytes: int, bodies: int = 1) -> None:
        """Refuse a plaintext whose ciphertext has no room here, before anything is spent on it.

        :param bodies: how many ciphertexts of it lie here at once.
        :raises StorageError: saying how much room there is.
        """
        needed, free = bodies * encrypted_size(size_bytes), shutil.disk_usage(self.staging).free
        if needed > free:
            raise StorageError(f"{name} needs {needed} bytes below {self.staging}, {free} are free; make room")

    @contextlib.contextmanager
    def staged(self) -> Iterator[Path]:
        """A staging file that is gone afterwards, whatever happens."""
        path = self.staging / f"{os.getpid()}-{os.urandom(8).hex()}.record"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    # --- putting ---

    def upload(
        self,
        cloud: str,
        path: Path,
        body: BodySummary,
        keep_until_ms: int,
        progress: Progress = no_progress,
        *,
        alone: bool = True,
    ) -> None:
        """Upload an encrypted body to one cloud; an interrupted upload is begun again by the next put.

        :param alone: no other cloud is to keep the body: more patience with this one.
        :raises Refused: the cloud refuses. :raises TransportError: it does not answer.
        """
        with path.open("rb") as source:
            client = CloudClient(self._transport, cloud, random=self._random, retry=None if alone else BRIEFLY)
            client.upload(
                source, body.digest, body.size_bytes, keep_until_ms,
                progress=lambda done: progress(f"uploading to {cloud}", done, body.size_bytes),
            )  # fmt: skip

    def keep(self, cloud: str, rid: bytes, body: BodySummary, sealed: bytes, keep_until_ms: int) -> RecordUpload:
        """Bind an uploaded body to its record; the cloud's receipt, checked against the key that the ledger names.

        :raises Refused: ``bad-receipt``, ``bad-signature``, or what the cloud refuses.
        """
        asked = sm.RecordKeep(rid, body.digest, sealed, keep_until_ms)
        receipt = RecordUpload.decode(self._transport.call(cloud, sm.RECORD_KEEP, asked.encode()))
        same = receipt.cloud == cloud and receipt.keep_until_ms >= keep_until_ms
        refuse_unless(same, "bad-receipt", f"the receipt of {cloud} is another one's, or for less time than asked")
        network = self._ledger.network
        value: Any = (rid, digest_tag(network, body.digest), metadata_hash(network, rid, sealed), receipt.keep_until_ms)
        W = self._ledger.member_key(CLOUD, cloud)
        verify_member_signature(network, labels.SIG_RECORD_UPLOAD, cloud, W, value, receipt.signature)
        return receipt

    # --- reading ---

    def fetch(self, metadata: RecordMetadata, prove: Prove, read: Callable[[RemoteBody], None], progress: Progress) -> str:
        """Have a body read from the first of its clouds that gives it right.

        :param read: reads and verifies the body; called again with the next cloud's if it is refused.
        :return: the cloud. :raises Refused: ``missing-body``, ``bad-body``, ``not-granted``, .. naming every cloud.
        :raises TransportError: none of them answers.
        """
        failures: dict[str, Refused | TransportError] = {}
        for cloud in metadata.clouds:
            try:
                read(RemoteBody(self._ranges(cloud, metadata, prove, progress)))
            except (Refused, TransportError) as error:
                failures[cloud] = error
            else:
                self.passed_over = {name: str(error) for name, error in failures.items()}
                return cloud
        raise _of_all(failures)

    def fetch_to(self, metadata: RecordMetadata, prove: Prove, path: Path, progress: Progress = no_progress) -> None:
        """Fetch the ciphertext of a body to a file, verified.

        :raises Refused: as :meth:`fetch`.
        """

        def read(source: RemoteBody) -> None:
            digester = BodyDigester(suite=metadata.suite)
            with path.open("wb") as sink:
                while data := source.read(PART_BYTES):
                    digester.update(data)
                    sink.write(data)
            refuse_unless(digester.finish().digest == metadata.digest, "bad-body", "the body has another digest")

        self.fetch(metadata, prove, read, progress)

    def segments(self, metadata: RecordMetadata, prove: Prove) -> Callable[[int, int], tuple[RangeProof, bytes]]:
        """What :func:`salus.records.record.decrypt_record_bytes` fetches with, from the first cloud that answers."""

        def fetch(first: int, count: int) -> tuple[RangeProof, bytes]:
            failures: dict[str, Refused | TransportError] = {}
            for cloud in metadata.clouds:
                try:
                    asked = sm.RecordProof(prove(cloud), first, count)
                    proof = RangeProof.decode(self._transport.call(cloud, sm.RECORD_PROOF, asked.encode()))
                    start, length = _span(metadata.body, first, count)
                    data = b"".join(self._ranges(cloud, metadata, prove, no_progress, start, start + length))
                    refuse_unless((proof.first, proof.count) == (first, count), "bad-body", "another range is proven")
                    verify_range(metadata.body, proof, data)  # here, so that another cloud is asked if it does not hold
                    return proof, data
                except (Refused, TransportError) as error:
                    failures[cloud] = error
            raise _of_all(failures)

        return fetch

    def _ranges(
        self, cloud: str, metadata: RecordMetadata, prove: Prove, progress: Progress, start: int = 0, stop: int | None = None
    ) -> Iterator[bytes]:
        proof, end, offset = prove(cloud), metadata.size_bytes if stop is None else stop, start
        while offset < end:
            asked = sm.RecordRange(proof, offset, min(PART_BYTES, end - offset))
            try:
                answer = self._transport.call(cloud, sm.RECORD_RANGE, asked.encode())
            except Refused as refused:
                if refused.reason != "wrong-request":
                    raise
                proof = prove(cloud)  # a long body: the proof has become too old
                answer = self._transport.call(cloud, sm.RECORD_RANGE, sm.RecordRange(proof, offset, asked.count).encode())
            data = m.BodyRange.decode(answer).data
            refuse_unless(0 < len(data) <= asked.count, "bad-body", f"{cloud} sent {len(data)} of {asked.count} bytes")
            offset += len(data)
            progress("fetching", offset - start, end - start)
            yield data


def _span(body: BodySummary, first: int, count: int) -> tuple[int, int]:
    start = first * SEALED_SEGMENT_BYTES
    return start, min(count * SEALED_SEGMENT_BYTES, body.size_bytes - start)


def _of_all(failures: Mapping[str, Refused | TransportError]) -> Refused | TransportError:
    """One error for those of all clouds that were asked, under the first reason that a cloud gives."""
    if not failures:
        return Refused("missing-body", "the record names no cloud")
    said = "; ".join(f"{cloud}: {error.detail if isinstance(error, Refused) else error}" for cloud, error in failures.items())
    refused = next((error for error in failures.values() if isinstance(error, Refused)), None)
    text = f"no cloud gives the body: {said}"[:4096]
    return TransportError(text) if refused is None else Refused(refused.reason, text)
