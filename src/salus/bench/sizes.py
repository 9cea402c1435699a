"""Message sizes in bits, counted from real encodings of one consultation in each suite."""

from __future__ import annotations

from typing import Final

from salus.bench.model import Cell, Context, Part, Plot, Section
from salus.bench.phases import PAYLOAD_BYTES
from salus.bench.worlds import NOW_MS, PublishedWorld, RepairedWorld
from salus.codec import Message
from salus.consultation.appointments import publish_slots
from salus.consultation.credentials import issue_credential, request_credential
from salus.consultation.published.messages import HealthData, Request
from salus.consultation.published.parties import storage_key
from salus.consultation.published.request import patient_request
from salus.consultation.published.storage import cloud_keys, storage_response
from salus.consultation.published.treatment import open_request as open_published
from salus.consultation.published.treatment import treat
from salus.consultation.receipts import seal_storage_receipt
from salus.consultation.registration import NODE, SecretValue, request_key
from salus.consultation.reply import ReplyDraft
from salus.consultation.request import open_request

IN_TABLE_5: Final = frozenset({"transaction 1", "storage response (I)", "transaction 2", "storage response (II)"})
"""The messages that Table 5 counts for MBPA."""


def message_sizes(context: Context) -> Part:
    """Bits of every message of both suites; health data and diagnosis of 64 bytes."""
    published, repaired = _published(context), _repaired(context)
    rows: list[tuple[Cell, ...]] = []
    for suite, messages in (("mbpa-2019", published), ("mbpa-r1", repaired)):
        rows += [(suite, name, bits, name in IN_TABLE_5) for name, bits in messages.items()]
        total = sum(bits for name, bits in messages.items() if name in IN_TABLE_5)
        rows.append((suite, "sum of what Table 5 counts", total, True))
    notes = (
        f"Health data and diagnosis of {PAYLOAD_BYTES} bytes. Encodings carry types, lengths and versions.",
        "The transactions of mbpa-2019 hold the ciphertexts; those of mbpa-r1 digest, size and receipt of a body in the cloud.",
    )
    section = Section(
        "message-bits", "Message sizes from real encodings", ("suite", "message", "bits", "in_table_5"), tuple(rows), notes
    )
    names = [name for name in published if name in IN_TABLE_5]
    plot = Plot(
        "message-bits",
        "Messages of one consultation, real encodings",
        "bits",
        (
            ("mbpa-2019", tuple(float(published[name]) for name in names)),
            ("mbpa-r1", tuple(float(repaired[name]) for name in names)),
        ),
        labels=tuple(names),
    )
    return Part((section,), plots=(plot,))


def bits(message: Message) -> int:
    """Size of a message's encoding."""
    return 8 * len(message.encode())


def _published(context: Context) -> dict[str, int]:
    random, world = context.random, PublishedWorld.make(context.random)
    parameters, patient, doctor = world.centre.parameters, world.patients[0], world.doctors[0]
    pk_DO, cloud = world.doctor_key(doctor), cloud_keys(random)
    m_PA = HealthData(patient.pid, random(PAYLOAD_BYTES), NOW_MS)
    sent = patient_request(parameters, m_PA, patient.keys, world.pk_BC, doctor.identity, pk_DO, 1, random)
    opened = open_published(parameters, sent.request, doctor.keys, doctor.identity)
    answer = treat(parameters, opened, random(PAYLOAD_BYTES), doctor.keys, doctor.identity, world.pk_BC, random)
    request: Request = sent.request
    return {
        "registration request": 8 * len(patient.registration()),
        "shared value (4 nodes)": bits(world.shared),
        "transaction 1": bits(request.transaction),
        "transaction 1 with pk_PA beside it": bits(request),
        "storage response (I)": bits(storage_response(cloud, storage_key(request), random)),
        "transaction 2": bits(answer.transaction),
        "storage response (II)": bits(storage_response(cloud, storage_key(answer.transaction), random)),
    }


def _repaired(context: Context) -> dict[str, int]:
    random, world = context.random, RepairedWorld.make(context.random)
    network, doctor = world.domain.network, world.doctors[0]
    secret = SecretValue.draw(random)
    key_request = request_key(network, NODE, "hospital/node", secret, random)
    issuing = request_credential(network, world.enrolment, world.quarter, 1, secret, random)
    issued = issue_credential(world.w, world.pids, "ward/patient", issuing, random)
    slots, _ = publish_slots(network, doctor, "2025-10-09", 1, 64, random)
    digest = random(32)
    sent, _ = world.request(world.credential("ward/patient", 0), doctor, 1, digest, PAYLOAD_BYTES)
    opened = open_request(world.domain, sent, world.context(doctor, 1), doctor, world.slots[doctor.name, 1])
    draft = ReplyDraft.begin(network, doctor, opened, random)
    reply = draft.finish(digest, PAYLOAD_BYTES, sent.U, random)

    def receipt(PID: bytes, A: bytes, tx_hash: bytes) -> int:
        fields = (PID, A, doctor.name, 1, tx_hash, digest, PAYLOAD_BYTES)
        return bits(seal_storage_receipt(network, world.cloud, *fields, random))

    return {
        "registration request": bits(key_request),
        "credential request": bits(issuing),
        "credential": bits(issued),
        "64 appointment slots": bits(slots),
        "upload receipt": bits(sent.U),
        "transaction 1": bits(sent),
        "storage response (I)": receipt(sent.PID1, sent.A, sent.tx_hash()),
        "transaction 2": bits(reply),
        "storage response (II)": receipt(reply.PID2, reply.A_D, reply.tx_hash()),
    }
