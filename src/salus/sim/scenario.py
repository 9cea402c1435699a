"""What happens in one simulated network, drawn from its seed before anything runs."""

from __future__ import annotations

from random import Random
from typing import Final

import msgspec

START_MS: Final = 1_700_000_000_000
"""Virtual time at which every simulation begins."""
FAULTS_MS: Final = 15_000
"""How long faults go on; afterwards the network heals, and only Byzantine replicas go on misbehaving."""
PATIENCE_MS: Final = 900_000
"""Virtual time after the healing in which everything must be committed: timeouts have doubled a few times by then."""
BEHAVIOURS: Final = ("equivocate", "withhold", "replay", "amnesia", "garbage", "bad-block")
"""What a Byzantine replica may do (:mod:`salus.sim.byzantine`)."""


class Fault(msgspec.Struct, frozen=True):
    """Something that happens at ``at_ms`` and ends at ``until_ms`` (virtual, since the start).

    :ivar kind: ``crash``, ``power``, ``disk-error``, ``clock`` or ``partition``.
    :ivar node: index of the replica it hits.
    :ivar amount: disk operations until a crash or error strikes; milliseconds a clock is off.
    :ivar side: for a partition, the indices cut off from the rest.
    """

    kind: str
    at_ms: int
    until_ms: int
    node: int = 0
    amount: int = 0
    side: tuple[int, ...] = ()


class Scenario(msgspec.Struct, frozen=True):
    """One network and its misfortunes.

    :ivar seats: validators at the start.
    :ivar spare: whether one more node runs, which a transaction gives a seat.
    :ivar byzantine: behaviours by index of the replica, at most f replicas.
    :ivar drop: probabilities, per message.
    :ivar delay_ms: a message takes up to this long while faults go on, which also reorders.
    :ivar skew_ms: each clock's constant error.
    :ivar keep_blocks: blocks that replicas keep before they prune, None for all.
    """

    seed: int
    seats: int
    spare: bool
    byzantine: dict[int, tuple[str, ...]]
    drop: float
    duplicate: float
    delay_ms: int
    skew_ms: tuple[int, ...]
    faults: tuple[Fault, ...]
    transactions: int
    keep_blocks: int | None

    @property
    def nodes(self) -> int:
        """Replicas in all."""
        return self.seats + int(self.spare)


def draw(seed: int, *, transactions: int = 14) -> Scenario:
    """The scenario of ``seed``; about a third of them are hit by everything at once.

    :param transactions: about how many clients submit.
    """
    random = Random(f"scenario {seed}")
    seats = 7 if random.random() < 0.1 else 4
    spare = random.random() < 0.25
    nodes = seats + int(spare)
    faulty = (seats - 1) // 3
    byzantine = {}
    if random.random() < 0.6:
        for index in random.sample(range(seats), random.randint(1, faulty)):
            chosen = tuple(sorted(random.sample(BEHAVIOURS, random.randint(1, 3))))
            byzantine[index] = chosen if random.random() < 0.4 or "equivocate" in chosen else ("equivocate", *chosen)
    rough = random.random() < 0.7
    faults: list[Fault] = []
    for _ in range(random.randint(0, 3)):
        faults.append(_partition(random, nodes))
    for _ in range(random.randint(0, 5)):
        faults.append(_node_fault(random, nodes))
    if random.random() < 0.3:
        faults += _everyone(random, nodes)
    if random.random() < 0.3:
        faults += _storm(random, nodes)
    return Scenario(
        seed=seed,
        seats=seats,
        spare=spare,
        byzantine=byzantine,
        drop=random.choice((0.0, 0.02, 0.1, 0.3)) if rough else 0.0,
        duplicate=random.choice((0.0, 0.05, 0.2)) if rough else 0.0,
        delay_ms=random.choice((10, 50, 300, 1500)) if rough else 5,
        skew_ms=tuple(random.randint(-1500, 1500) for _ in range(nodes)),
        faults=tuple(sorted(faults, key=lambda fault: (fault.at_ms, fault.node, fault.kind))),
        transactions=random.randint(transactions // 2, transactions),
        keep_blocks=random.choice((2, 4)) if random.random() < 0.3 else None,
    )


def _span(random: Random) -> tuple[int, int]:
    start = random.randrange(FAULTS_MS)
    return start, min(FAULTS_MS, start + random.randint(200, 6000))


def _partition(random: Random, nodes: int) -> Fault:
    start, end = _span(random)
    side = tuple(sorted(random.sample(range(nodes), random.randint(1, nodes // 2))))
    return Fault("partition", start, end, side=side)


def _node_fault(random: Random, nodes: int) -> Fault:
    start, end = _span(random)
    kind = random.choice(("crash", "power", "power", "disk-error", "clock"))
    amount = random.choice((-20_000, -7_000, 7_000, 20_000)) if kind == "clock" else random.randrange(8)
    return Fault(kind, start, end, random.randrange(nodes), amount)


def _storm(random: Random, nodes: int) -> list[Fault]:
    """Replicas are cut off for moments, so that a block is prepared or decided by some and unknown to others."""
    faults = []
    for _ in range(random.randint(8, 20)):
        start = random.randrange(FAULTS_MS)
        side = tuple(sorted(random.sample(range(nodes), random.randint(1, 2))))
        faults.append(Fault("partition", start, start + random.randint(20, 1200), side=side))
    return faults


def _everyone(random: Random, nodes: int) -> list[Fault]:
    """The power of the whole house fails while a block is on its way."""
    start, end = _span(random)
    return [Fault("power", start + random.randrange(40), end, node, random.randrange(6)) for node in range(nodes)]
