"""The protocol's phases, timed and counted, for both suites."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from salus import _native
from salus.bench import paper
from salus.bench.floors import BATCH, FLOORS, counted_floor_ms, describe, floor_ms
from salus.bench.model import Cell, Context, Part, Plot, Section, Target
from salus.bench.timing import best_ms, median_ms
from salus.bench.worlds import EPOCH, NOW_MS, VALID_MS, PublishedWorld, RepairedWorld
from salus.consultation.envelope import verify_opened
from salus.consultation.published import registration as published
from salus.consultation.published.chaining import verify_transaction1, verify_transaction2
from salus.consultation.published.checking import check_up
from salus.consultation.published.messages import HealthData
from salus.consultation.published.parties import storage_key
from salus.consultation.published.request import patient_request
from salus.consultation.published.setup import PublicParameters, global_setup
from salus.consultation.published.shared_value import recover_shared_value, set_shared_value
from salus.consultation.published.storage import cloud_keys, open_storage_response, storage_response
from salus.consultation.published.treatment import open_request as open_published
from salus.consultation.published.treatment import treat
from salus.consultation.receipts import StorageReceipt, open_storage_receipt, seal_storage_receipt
from salus.consultation.registration import DOCTOR, NODE
from salus.consultation.reply import ReplyDraft, check_reply, verify_reply
from salus.consultation.request import ConsultationRequest, RequestContext, RequestDraft, open_at_node, open_request
from salus.consultation.shared_value import EpochSecret, Seat, make_deal, open_deal
from salus.errors import SalusError
from salus.groups.ristretto255 import base_mul, from_uniform_batch, mul_batch, random_scalar

PAYLOAD_BYTES: Final = 64
"""Health data of a timed run: small, because bodies of any size are timed with the records."""
NODES: Final = 4
REQUEST_LIMIT: Final = 2.5
ADMISSION_LIMIT: Final = 1.5
CORES_LIMIT: Final = 1.6
FREE_CORE_GAIN: Final = 1.5
"""What a plain batch gains by a second core that nobody else uses, at least; 1.8 to 1.95 were measured."""
ROUNDS: Final = 6
"""How often admission is measured again while the second core is busy with something else."""
ROUND_PAUSE_S: Final = 2.0
COLUMNS: Final = ("phase", "measured_ms", "counted_operations", "counted_floor_ms", "over_floor", "printed_operations")


@dataclass(frozen=True)
class Timed:
    """One phase.

    :ivar operation: runs it once. :ivar printed: operations as the paper prints them, "" for what it does not have.
    """

    phase: str
    operation: Callable[[], object]
    printed: str = ""


def published_phases(context: Context) -> Part:
    """Suite mbpa-2019: each phase's time beside its operations, counted and as printed."""
    world = PublishedWorld.make(context.random)
    timed = [*_published_setup(world, context), *_published(world, context)]
    section = _table("phases-2019", "Phases of mbpa-2019 (as printed)", timed, context)
    _keep(context, "mbpa-2019", section)
    return Part((section,))


def repaired_phases(context: Context) -> Part:
    """Suite mbpa-r1: the same, one message at a time."""
    world = RepairedWorld.make(context.random, slots=8)
    timed = list(_repaired(world))
    section = _table("phases-r1", "Phases of mbpa-r1", [*_repaired_setup(world), *timed], context)
    _keep(context, "mbpa-r1", section)
    request_ms = best_ms(timed[0].operation, 3 if context.quick else 200)
    floor = floor_ms(context.measured_ms, FLOORS["patient"])
    target = Target("patient request over its floor", request_ms / floor, REQUEST_LIMIT)
    series = tuple(
        (suite, tuple(context.measured_ms[measured_name(suite, phase)] for phase in paper.PHASES))
        for suite in ("mbpa-2019", "mbpa-r1")
        if measured_name(suite, paper.REQUEST) in context.measured_ms
    )
    plot = Plot("phases", "Phases, one message at a time, on this machine", "ms", series, labels=paper.PHASES)
    return Part((section,), (target,), (plot,))


def measured_name(suite: str, phase: str) -> str:
    """Under which name ``context.measured_ms`` holds a phase's time."""
    return f"{suite}: {phase}"


def _keep(context: Context, suite: str, section: Section) -> None:
    for phase, measured, *_ in section.rows:
        if isinstance(phase, str) and isinstance(measured, float):
            context.measured_ms[measured_name(suite, phase)] = measured


def admission(context: Context) -> Part:
    """A node admits a batch of 512 requests of suite r1: on one core, on two, and the gain by batching.

    :raises SalusError: if an honest request is refused.
    """
    size = 64 if context.quick else BATCH
    world = RepairedWorld.make(context.random, slots=size)
    doctor = world.doctors[0]
    items = []
    for i in range(size):
        credential = world.credential(f"ward/patient-{i // 64}", i % 64)
        request, _ = world.request(credential, doctor, i, context.random(32), PAYLOAD_BYTES)
        where = world.context(doctor, i)
        items.append((request.encode(), EPOCH, where.pk_BC, world.theta, where.W_D, where.E_sn))
    network, centre = world.domain.network, world.domain.Pub
    if any(isinstance(answer, str) for answer in _native.admit_requests(items, network, centre)):
        raise SalusError("the bench's own honest requests were refused")
    repeats = 2 if context.quick else 9
    times, plain = {1: float("inf"), 2: float("inf")}, {1: float("inf"), 2: float("inf")}
    scalars = [random_scalar(context.random) for _ in range(size)]
    points = from_uniform_batch([context.random(64) for _ in range(size)])
    for _ in range(1 if context.quick else ROUNDS):
        _by_cores(lambda: _native.admit_requests(items, network, centre), repeats, size, times)
        _by_cores(lambda: mul_batch(scalars, points), repeats, size, plain)
        if plain[1] / plain[2] > FREE_CORE_GAIN:
            break
        time.sleep(ROUND_PAUSE_S)
    single = best_ms(lambda: _native.admit_requests(items[:1], network, centre), repeats * 20)
    floor = floor_ms(context.measured_ms, FLOORS["node"])
    rows: tuple[tuple[Cell, ...], ...] = (
        ("one request alone", 1, 1, single * 1000, single / floor),
        (f"batch of {size}", size, 1, times[1] * 1000, times[1] / floor),
        (f"batch of {size}", size, 2, times[2] * 1000, times[2] / floor),
        ("floor", 1, 1, floor * 1000, 1.0),
    )
    columns = ("what", "requests", "cores", "us_per_request", "over_floor")
    notes = (
        f"Floor of one request: {describe(FLOORS['node'])}.",
        f"For comparison, a plain batch of multiplications gains {plain[1] / plain[2]:.2f} by a second core in this run.",
        *(() if plain[1] / plain[2] > FREE_CORE_GAIN else ("The second core was not free: the gain by it says nothing.",)),
    )
    targets = (
        Target("admission of a batch of 512 over its floor, one core", times[1] / floor, ADMISSION_LIMIT),
        Target("admission on two cores over one", times[1] / times[2], CORES_LIMIT, at_least=True),
    )
    return Part((Section("admission", "Admission at a node, mbpa-r1", columns, rows, notes),), targets)


def _by_cores(operation: Callable[[], object], repeats: int, size: int, times: dict[int, float]) -> None:
    """Lower ``times`` to that of one element of a batch on one and on two cores; in turns, so that a load meets both alike."""
    threads = _native.threads()
    try:
        for _ in range(repeats):
            for cores in times:
                _native.set_threads(cores)
                times[cores] = min(times[cores], best_ms(operation, 1) / size)
    finally:
        _native.set_threads(threads)


def counted(operation: Callable[[], object]) -> dict[str, int]:
    """Operations of the extension that one run makes, those that occur."""
    _native.reset_operation_counts()
    operation()
    return {name: count for name, count in _native.operation_counts().items() if count}


def _table(key: str, title: str, timed: Sequence[Timed], context: Context) -> Section:
    rows: list[tuple[Cell, ...]] = []
    for phase in timed:
        counts = counted(phase.operation)
        floor = counted_floor_ms(context.measured_ms, counts)
        measured = median_ms(phase.operation, 3 if context.quick else 101)
        rows.append((phase.phase, measured, describe(counts), floor, measured / floor if floor else None, phase.printed))
    notes = (
        f"Health data of {PAYLOAD_BYTES} bytes; the median of single runs, encoding and hashing included.",
        "Operations are counted by the extension while the phase runs; their floor is counts times primitives.",
    )
    return Section(key, title, COLUMNS, tuple(rows), notes)


def _published_setup(world: PublishedWorld, context: Context) -> Iterator[Timed]:
    random, parameters, master = context.random, world.centre.parameters, global_setup(context.random)[1]
    nodes = [node.keys.public for node in world.nodes]

    def patient() -> object:
        secret = published.choose_secret_value(random)
        _, partial = published.patient_registration(own, master, "ward/patient", secret.P, random)
        return published.generate_keys(own, secret, partial)

    def doctor() -> object:
        secret = published.choose_secret_value(random)
        return published.generate_keys(own, secret, published.doctor_registration(own, master, secret.P, random))

    own = PublicParameters(base_mul(master.w))
    yield Timed("global setup", lambda: global_setup(random))
    yield Timed("patient registration", patient)
    yield Timed("doctor registration", doctor)
    yield Timed(f"shared value, set (t = {len(nodes)})", lambda: set_shared_value(parameters, nodes, random))


def _repaired_setup(world: RepairedWorld) -> Iterator[Timed]:
    random, network = world.random, world.domain.network
    nodes = [world.member(NODE, f"hospital-{j}/node") for j in range(NODES)]
    secrets = [EpochSecret.generate(EPOCH, random) for _ in nodes]
    seats = [Seat(node.name, node.W_bytes, secret.E) for node, secret in zip(nodes, secrets, strict=True)]
    deal, _ = make_deal(network, EPOCH, nodes[0], seats, random)
    yield Timed("credential: asked for, issued, finished", lambda: world.credential("ward/patient", 1))
    yield Timed("doctor registration", lambda: world.member(DOCTOR, "clinic/another"))
    yield Timed(f"shared value, dealt (n = {NODES})", lambda: make_deal(network, EPOCH, nodes[0], seats, random))
    yield Timed("shared value, opened", lambda: open_deal(network, deal, nodes[1], secrets[1]))


def _published(world: PublishedWorld, context: Context) -> Iterator[Timed]:
    random, parameters = context.random, world.centre.parameters
    patient, doctor, node = world.patients[0], world.doctors[0], world.nodes[0]
    pk_BC, pk_DO, keys = world.pk_BC, world.doctor_key(doctor), doctor.keys
    m_PA = HealthData(patient.pid, random(PAYLOAD_BYTES), NOW_MS)
    diagnosis, cloud = random(PAYLOAD_BYTES), cloud_keys(random)
    printed = {cost.phase: paper.formula(cost.printed, nodes=cost.nodes) for cost in paper.TABLE_3}

    def request() -> object:
        return patient_request(parameters, m_PA, patient.keys, pk_BC, doctor.identity, pk_DO, 1, random)

    sent = patient_request(parameters, m_PA, patient.keys, pk_BC, doctor.identity, pk_DO, 1, random)
    theta = recover_shared_value(world.shared, node.keys)
    opened = open_published(parameters, sent.request, keys, doctor.identity)
    answer = treat(parameters, opened, diagnosis, keys, doctor.identity, pk_BC, random)
    stored = storage_key(sent.request), storage_key(answer.transaction)

    def storage(which: int, a: _native.Scalar) -> None:
        open_storage_response(storage_response(cloud, stored[which], random), a, stored[which], cloud.pk)

    def treatment() -> object:
        again = open_published(parameters, sent.request, keys, doctor.identity)
        return treat(parameters, again, diagnosis, keys, doctor.identity, pk_BC, random)

    def check() -> object:
        return check_up(parameters, sent.request.transaction, answer.transaction, patient.keys, doctor.identity, pk_DO)

    yield Timed("shared value, recovered", lambda: recover_shared_value(world.shared, node.keys))
    yield Timed(paper.REQUEST, request, printed[paper.REQUEST])
    yield Timed(paper.CHAIN_1, lambda: verify_transaction1(parameters, theta, pk_BC, sent.request), printed[paper.CHAIN_1])
    yield Timed(paper.STORAGE_1, lambda: storage(0, sent.a), printed[paper.STORAGE_1])
    yield Timed(paper.TREATMENT, treatment, printed[paper.TREATMENT])
    yield Timed(
        paper.CHAIN_2,
        lambda: verify_transaction2(parameters, theta, pk_BC, pk_DO, answer.transaction),
        printed[paper.CHAIN_2],
    )
    yield Timed(paper.STORAGE_2, lambda: storage(1, answer.a), printed[paper.STORAGE_2])
    yield Timed(paper.CHECKING, check, printed[paper.CHECKING])


def _repaired(world: RepairedWorld) -> Iterator[Timed]:
    random, domain, doctor = world.random, world.domain, world.doctors[0]
    credential, where, slot = world.credential("ward/patient", 0), world.context(doctor, 1), world.slots[doctor.name, 1]
    digest = random(32)
    U = world.receipt(digest, PAYLOAD_BYTES)

    def request() -> object:
        draft = RequestDraft.begin(domain, credential, doctor.name, 1, where, NOW_MS + VALID_MS, random)
        return draft.finish(digest, PAYLOAD_BYTES, U, digest, random)

    sent, pending = world.request(credential, doctor, 1, digest, PAYLOAD_BYTES)
    opened = open_request(domain, sent, where, doctor, slot)
    draft = ReplyDraft.begin(domain.network, doctor, opened, random)
    reply = draft.finish(digest, PAYLOAD_BYTES, U, random)

    def treatment() -> object:
        again = open_request(domain, sent, where, doctor, slot)
        return ReplyDraft.begin(domain.network, doctor, again, random).finish(digest, PAYLOAD_BYTES, U, random)

    def storage(PID: bytes, A: bytes, tx_hash: bytes, a: _native.Scalar) -> None:
        expected = StorageReceipt(PID, A, doctor.name, 1, tx_hash, digest, PAYLOAD_BYTES, world.cloud.name, bytes(64))
        fields = (PID, A, doctor.name, 1, tx_hash, digest, PAYLOAD_BYTES)
        sealed = seal_storage_receipt(domain.network, world.cloud, *fields, random)
        open_storage_receipt(domain.network, sealed, a, world.cloud.W_bytes, tx_hash, expected)

    yield Timed(paper.REQUEST, request)
    yield Timed(paper.CHAIN_1, lambda: _admit_one(world, sent, where))
    yield Timed(paper.STORAGE_1, lambda: storage(sent.PID1, sent.A, sent.tx_hash(), pending.a))
    yield Timed(paper.TREATMENT, treatment)
    yield Timed("treatment: opening alone", lambda: open_request(domain, sent, where, doctor, slot))
    yield Timed(paper.CHAIN_2, lambda: verify_reply(domain.network, reply, doctor.W))
    yield Timed(paper.STORAGE_2, lambda: storage(reply.PID2, reply.A_D, reply.tx_hash(), draft.a_D))
    yield Timed(paper.CHECKING, lambda: check_reply(domain.network, pending, reply, reply.tx_hash()))


def _admit_one(world: RepairedWorld, request: ConsultationRequest, where: RequestContext) -> object:
    return verify_opened(open_at_node(world.domain, request, where, world.theta))
