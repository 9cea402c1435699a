"""Requests of suite mbpa-r1, made beforehand for the bench of the embedded network: doctors, slots, honest requests.

What takes time (0.4 ms a request) runs in as many processes as there are cores, with the product's own functions; requests
go to files, so that the process that is measured never holds them all.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import msgspec

from salus.centre.centre import load_key
from salus.cloud.key import KEY_FILE as CLOUD_KEY_FILE
from salus.cloud.key import load_cloud_key
from salus.consultation.appointments import SLOTS_A_BATCH_MAX, publish_slots
from salus.consultation.credentials import CREDENTIALS_A_QUARTER, Credential, PidKeys, pid_digest
from salus.consultation.receipts import sign_upload
from salus.consultation.registration import (
    DOCTOR,
    NO_QUARTER,
    PATIENT,
    Domain,
    MemberKey,
    MemberRecord,
    SecretValue,
    finish_key,
    issue_partial_key,
    prove_possession,
    quarter_of,
)
from salus.consultation.request import RequestContext, RequestDraft
from salus.groups.ristretto255 import decode_point, decode_scalar
from salus.ledger.kinds.parties import PartyRegistration, sign_by_centre
from salus.network.embedded import EmbeddedNetwork
from salus.symmetric import Random

DOCTORS: Final = 16
BODY_BYTES: Final = 100_000
"""Size of the bodies that the requests speak of; bodies never reach the ledger."""
FILE_REQUESTS: Final = 4096
"""Requests of one file: what a building process returns at a time."""
_LENGTH: Final = struct.Struct(">I")


class Slot(msgspec.Struct, frozen=True):
    """An open slot: its doctor, number and one-time key."""

    doctor: str
    sn: int
    E: bytes


class Recipe(msgspec.Struct, frozen=True):
    """Everything that a process needs to make the requests for some slots.

    :ivar w: the centre's secret: the bench plays centre and cloud of its own throw-away network.
    :ivar first: number of the first request; 64 of them are one patient's.
    """

    network: bytes
    Pub: bytes
    w: bytes
    cloud: MemberRecord
    cloud_secret: bytes
    epoch: int
    pk_BC: bytes  # noqa: N815 - the name in the protocol
    quarter: int
    valid_until_ms: int
    keep_until_ms: int
    doctor_keys: dict[str, bytes]
    slots: tuple[Slot, ...]
    first: int
    path: str

    def __repr__(self) -> str:
        return f"Recipe(first={self.first})"


def register_doctors(network: EmbeddedNetwork, random: Random) -> tuple[list[MemberKey], list[bytes]]:
    """Keys of the bench's doctors, and the transactions that register them."""
    centre, domain = load_key(network.home.centre), network.genesis.domain()
    doctors: list[MemberKey] = []
    registrations: list[bytes] = []
    for number in range(DOCTORS):
        name, secret = f"st-anne/dr-{number}", SecretValue.draw(random)
        proof = prove_possession(domain.network, DOCTOR, name, NO_QUARTER, 0, secret.x, secret.P, random)
        partial = issue_partial_key(centre.w, DOCTOR, name, NO_QUARTER, secret.P, random)
        key = MemberKey.finish(DOCTOR, name, secret, partial, domain.Pub)
        draft = PartyRegistration(key.record(), name, proof, bytes(64))
        registrations.append(sign_by_centre(domain.network, network.centre.name, centre, draft, random).encode())
        doctors.append(key)
    return doctors, registrations


def open_slots(
    network: bytes, doctors: Sequence[MemberKey], count: int, time_ms: int, random: Random
) -> tuple[list[Slot], list[bytes]]:
    """At least ``count`` slots, spread over the doctors, and the transactions that publish them, doctor by doctor in turn."""
    day = datetime.fromtimestamp(time_ms / 1000, UTC).date().isoformat()
    slots: list[Slot] = []
    batches: list[bytes] = []
    for batch in range(-(-count // SLOTS_A_BATCH_MAX)):
        doctor = doctors[batch % len(doctors)]
        first = batch // len(doctors) * SLOTS_A_BATCH_MAX
        message, keys = publish_slots(network, doctor, day, first, SLOTS_A_BATCH_MAX, random)
        slots += [Slot(doctor.name, key.sn, key.E) for key in keys]
        batches.append(message.encode())
    return slots[:count], batches


def build_requests(network: EmbeddedNetwork, doctors: Sequence[MemberKey], slots: Sequence[Slot], directory: Path) -> list[Path]:
    """Make one request for every slot, on all cores; returns files for :func:`read_requests`, in the order of the slots."""
    client = network.client()
    epoch = client.epoch()
    constants, domain, centre = client.constants, network.genesis.domain(), load_key(network.home.centre)
    cloud = load_cloud_key(network.home.cloud / CLOUD_KEY_FILE, domain.Pub)
    valid_until_ms = client.time_ms + constants.valid_until_max_ms // 2
    directory.mkdir(parents=True, exist_ok=True)
    recipes = [
        Recipe(
            network=domain.network,
            Pub=domain.Pub_bytes,
            w=centre.w.encode(),
            cloud=cloud.record(),
            cloud_secret=cloud.export_secret(),
            epoch=epoch.number,
            pk_BC=epoch.pk_BC,
            quarter=quarter_of(client.time_ms),
            valid_until_ms=valid_until_ms,
            keep_until_ms=valid_until_ms + constants.retention_ms,
            doctor_keys={doctor.name: doctor.W_bytes for doctor in doctors},
            slots=tuple(slots[first : first + FILE_REQUESTS]),
            first=first,
            path=str(directory / f"requests-{first // FILE_REQUESTS}"),
        )
        for first in range(0, len(slots), FILE_REQUESTS)
    ]
    if len(recipes) == 1:
        return [build_file(recipes[0])]
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        return list(pool.map(build_file, recipes))


def build_file(recipe: Recipe) -> Path:
    """Write the requests of one recipe to its file."""
    path = Path(recipe.path)
    with path.open("wb") as file:
        for request in make_requests(recipe, os.urandom):
            file.write(_LENGTH.pack(len(request)) + request)
    return path


def make_requests(recipe: Recipe, random: Random) -> Iterator[bytes]:
    """Encoded honest requests, one for each slot: credential, upload receipt and request by the product's functions."""
    w, Pub = decode_scalar(recipe.w, "w"), decode_point(recipe.Pub, "Pub")
    domain, pids = Domain(recipe.network, recipe.Pub), PidKeys(w, recipe.network)
    cloud = MemberKey.from_secret(recipe.cloud, recipe.cloud_secret, Pub)
    for number, slot in enumerate(recipe.slots, recipe.first):
        patient, index = divmod(number, CREDENTIALS_A_QUARTER)
        secret = SecretValue.draw(random)
        pid = pids.seal(f"bench/patient-{patient}", recipe.quarter, index)
        hp = pid_digest(pid)
        partial = issue_partial_key(w, PATIENT, hp, recipe.quarter, secret.P, random)
        s, _ = finish_key(PATIENT, hp, recipe.quarter, secret, partial, Pub)
        credential = Credential(secret.P, partial.Q, pid, recipe.quarter, index, s)
        where = RequestContext(recipe.epoch, recipe.pk_BC, recipe.doctor_keys[slot.doctor], slot.E)
        draft = RequestDraft.begin(domain, credential, slot.doctor, slot.sn, where, recipe.valid_until_ms, random)
        digest = random(32)
        receipt = sign_upload(recipe.network, cloud, digest, BODY_BYTES, recipe.keep_until_ms, random)
        request, _ = draft.finish(digest, BODY_BYTES, receipt, random(32), random)
        yield request.encode()


def read_requests(paths: Sequence[Path]) -> Iterator[bytes]:
    """The requests of some files, one at a time."""
    for path in paths:
        with path.open("rb") as file:
            while head := file.read(_LENGTH.size):
                yield file.read(_LENGTH.unpack(head)[0])
