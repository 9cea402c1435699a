"""The figures that the paper prints (MBPA, IEEE Access 7, 2019, section VI), and where they contradict themselves.

Operation counts are mappings from the paper's names: t_bp pairing, t_sm scalar multiplication, t_sg and t_sv making and
verifying an attribute-based signature, t_se and t_sd symmetric encryption and decryption, t_hp hash to a point. ``t`` counts the
multiplications that a table charges once for each of the t validation nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

Counts = Mapping[str, int]

TABLE_2_MS: Final[dict[str, float]] = {
    "t_bp": 4.923,
    "t_sm": 2.862,
    "t_sg": 44.016,
    "t_sv": 33.86,
    "t_se": 4.365,
    "t_sd": 0.186,
    "t_hp": 10.936,
}
TABLE_2_MEANING: Final[dict[str, str]] = {
    "t_bp": "pairing",
    "t_sm": "scalar multiplication",
    "t_sg": "attribute-based signature, making",
    "t_sv": "attribute-based signature, verifying",
    "t_se": "symmetric encryption",
    "t_sd": "symmetric decryption",
    "t_hp": "hash to a point",
}


@dataclass(frozen=True)
class PhaseCost:
    """One cell of Table 3 or 4.

    :ivar scheme: ``MBPA`` or the paper's reference number. :ivar printed: the formula of the table.
    :ivar printed_ms: the sum as printed, without the t scalar multiplications of the nodes.
    :ivar counts: the formula that is meant, where it differs from the printed one.
    :ivar nodes: whether t further scalar multiplications are charged.
    """

    scheme: str
    phase: str
    printed: Counts
    printed_ms: float
    counts: Counts | None = None
    nodes: bool = False

    @property
    def meant(self) -> Counts:
        """The corrected formula."""
        return self.printed if self.counts is None else self.counts

    def sum_ms(self, times_ms: Mapping[str, float], counts: Counts | None = None) -> float:
        """The formula over given primitive times, without the t scalar multiplications."""
        return sum(times_ms[name] * n for name, n in (self.meant if counts is None else counts).items())


def formula(counts: Counts, *, nodes: bool = False) -> str:
    """A formula as the tables print it, e.g. ``4t_sm + t_se + t_hp``."""
    terms = []
    for name, n in counts.items():
        factor = f"(t+{n})" if nodes and name == "t_sm" else ("" if n == 1 else str(n))
        terms.append(factor + name)
    return " + ".join(terms)


REQUEST: Final = "patient request"
CHAIN_1: Final = "chain transaction (I)"
STORAGE_1: Final = "storage and response (I)"
TREATMENT: Final = "treatment"
CHAIN_2: Final = "chain transaction (II)"
STORAGE_2: Final = "storage and response (II)"
CHECKING: Final = "checking up"
PHASES: Final = (REQUEST, CHAIN_1, STORAGE_1, TREATMENT, CHAIN_2, STORAGE_2, CHECKING)
TERMINAL_PHASES: Final = (REQUEST, TREATMENT, CHECKING)
"""The three phases that Table 4 and figure 4(a) compare."""

TABLE_3: Final = (
    PhaseCost("MBPA", REQUEST, {"t_sm": 4, "t_se": 1, "t_hp": 1}, 26.749),
    PhaseCost("MBPA", CHAIN_1, {"t_sm": 3, "t_hp": 2}, 30.485, nodes=True),
    PhaseCost("MBPA", STORAGE_1, {"t_sm": 2, "t_se": 1, "t_sd": 1}, 10.275),
    PhaseCost("MBPA", TREATMENT, {"t_sm": 6, "t_se": 1, "t_sd": 1, "t_hp": 1}, 21.211),
    PhaseCost("MBPA", CHAIN_2, {"t_sm": 3, "t_hp": 2}, 30.458, nodes=True),
    PhaseCost("MBPA", STORAGE_2, {"t_sm": 2, "t_se": 1, "t_sd": 1}, 10.275),
    PhaseCost("MBPA", CHECKING, {"t_sm": 2, "t_sd": 1, "t_hp": 1}, 16.846),
)
"""Table 3. The hash to a point is charged although Algorithms 7-11 hash to scalars and strings only."""

TABLE_4: Final = (
    PhaseCost("[12]", REQUEST, {"t_bp": 3, "t_sm": 1, "t_sv": 1, "t_se": 1, "t_sd": 1, "t_hp": 6}, 121.658),
    PhaseCost("[12]", TREATMENT, {"t_bp": 2, "t_sm": 1, "t_sg": 1, "t_sv": 1, "t_se": 1, "t_sd": 1, "t_hp": 5}, 147.785),
    PhaseCost("[12]", CHECKING, {"t_bp": 1, "t_sm": 1, "t_sv": 1, "t_se": 1, "t_sd": 1, "t_hp": 4}, 80.94),
    PhaseCost("[13]", REQUEST, {"t_sg": 1, "t_sv": 1, "t_se": 2, "t_sd": 1, "t_hp": 6}, 152.408),
    PhaseCost("[13]", TREATMENT, {"t_sg": 1, "t_sv": 2, "t_se": 2, "t_sd": 2, "t_hp": 6}, 186.454),
    PhaseCost("[13]", CHECKING, {"t_sv": 1, "t_se": 1, "t_sd": 1, "t_hp": 5}, 93.091),
    PhaseCost(
        "[2]",
        REQUEST,
        {"t_bp": 2, "t_sm": 1, "t_se": 1, "t_sd": 1, "t_hp": 4},
        63.865,
        counts={"t_bp": 2, "t_sm": 2, "t_se": 1, "t_sd": 1, "t_hp": 4},
    ),
    PhaseCost("[2]", TREATMENT, {"t_bp": 2, "t_sm": 1, "t_se": 1, "t_sd": 1, "t_hp": 4}, 61.003),
    PhaseCost("[2]", CHECKING, {"t_bp": 1, "t_se": 1, "t_sd": 1, "t_hp": 4}, 53.218),
)
"""Table 4. For [2]'s request the text counts two scalar multiplications and the table one; the sum has two."""

COUNTED_BY_ALGORITHM: Final[dict[str, Counts]] = {
    REQUEST: {"t_sm": 4, "t_se": 1},
    CHAIN_1: {"t_sm": 3},
    STORAGE_1: {"t_sm": 2, "t_se": 1, "t_sd": 1},
    TREATMENT: {"t_sm": 6, "t_se": 1, "t_sd": 1},
    CHAIN_2: {"t_sm": 3},
    STORAGE_2: {"t_sm": 2, "t_se": 1, "t_sd": 1},
    CHECKING: {"t_sm": 2, "t_sd": 1},
}
"""What Algorithms 7-11 do, read off the algorithms: no hash to a point anywhere. In the chain phases the t terms are
multiplications of scalars (evaluating f), not of points."""


@dataclass(frozen=True)
class MessageCost:
    """One column of Table 5: how many elements of each type a scheme's messages hold.

    :ivar printed: the factors of the printed formula (type, count, bits each). :ivar printed_bits: the printed sum.
    :ivar meant: the corrected factors, where they differ.
    """

    scheme: str
    printed: tuple[tuple[str, int, int], ...]
    printed_bits: int
    meant: tuple[tuple[str, int, int], ...] | None = None

    def bits(self, *, corrected: bool, element_bits: int = 1024) -> int:
        """Sum over the factors; ``element_bits`` replaces the size of a group element (the paper's: 1024)."""
        factors = self.meant if corrected and self.meant is not None else self.printed
        return sum(n * (element_bits if kind == ELEMENT else bits) for kind, n, bits in factors)


ELEMENT: Final = "element of G_p"
SCALAR: Final = "element of Z_q*"
IDENTITY: Final = "identity"
SIGNATURE: Final = "signature value"
HASH: Final = "hash value"
ENCRYPTION: Final = "encryption value"
NUMBER: Final = "random number"
TIMESTAMP: Final = "timestamp"

TABLE_5: Final = (
    MessageCost(
        "[12]",
        (
            (ELEMENT, 3, 1024),
            (SCALAR, 12, 160),
            (IDENTITY, 4, 32),
            (SIGNATURE, 4, 1024),
            (ENCRYPTION, 6, 512),
            (TIMESTAMP, 6, 32),
        ),
        12480,
        (
            (ELEMENT, 3, 1024),
            (SCALAR, 12, 160),
            (IDENTITY, 3, 32),
            (SIGNATURE, 4, 1024),
            (ENCRYPTION, 6, 512),
            (TIMESTAMP, 6, 32),
        ),
    ),
    MessageCost(
        "[13]",
        ((SCALAR, 6, 160), (IDENTITY, 8, 160), (SIGNATURE, 2, 1024), (ENCRYPTION, 6, 512), (NUMBER, 1, 160)),
        7520,
    ),
    MessageCost(
        "[2]",
        ((ELEMENT, 2, 1024), (SCALAR, 3, 160), (IDENTITY, 4, 32), (HASH, 13, 512), (ENCRYPTION, 6, 512), (TIMESTAMP, 4, 32)),
        9184,
        ((ELEMENT, 2, 1024), (SCALAR, 3, 160), (IDENTITY, 4, 32), (HASH, 13, 256), (ENCRYPTION, 6, 512), (TIMESTAMP, 4, 32)),
    ),
    MessageCost(
        "MBPA",
        ((ELEMENT, 4, 1024), (IDENTITY, 4, 32), (HASH, 4, 256), (ENCRYPTION, 4, 512), (TIMESTAMP, 4, 32)),
        7360,
        ((ELEMENT, 4, 1024), (IDENTITY, 4, 32), (HASH, 4, 256), (ENCRYPTION, 4, 512), (TIMESTAMP, 2, 32)),
    ),
)
"""Table 5: the formulas of section VI.B as printed, and as the text around them counts."""


@dataclass(frozen=True)
class Misprint:
    """A place where section VI contradicts itself or the algorithms."""

    place: str
    printed: str
    corrected: str
    why: str


MISPRINTS: Final = (
    Misprint("Table 3, treatment", "21.211 ms", "32.659 ms", "6t_sm + t_se + t_sd + t_hp; the printed sum has 2t_sm"),
    Misprint("Table 3, chain transaction (I)", "2.862t + 30.485 ms", "2.862t + 30.458 ms", "3t_sm + 2t_hp; digits swapped"),
    Misprint("Table 3, all phases but storage", "t_hp charged", "no t_hp", "Algorithms 7-11 hash to no point"),
    Misprint("Table 3, chain transactions", "(t+3)t_sm", "3t_sm", "evaluating f multiplies t scalars, not points"),
    Misprint("Section VI.A, treatment", "no decryption", "t_sd", "the text leaves out the decryption that the formula has"),
    Misprint("Table 4, [12] treatment", "147.785 ms", "149.815 ms", "2t_bp + t_sm + t_sg + t_sv + t_se + t_sd + 5t_hp"),
    Misprint("Table 4, [12] checking up", "80.94 ms", "89.94 ms", "t_bp + t_sm + t_sv + t_se + t_sd + 4t_hp"),
    Misprint("Table 4, [2] request", "t_sm", "2t_sm", "the text counts two, and the sum 63.865 ms has two"),
    Misprint("Section VI.A, [13] request", "one symmetric encryption", "2t_se", "formula and sum have two"),
    Misprint("Section VI.B, [12]", "4*32", "3*32", "the text counts three identities: 12,448 for 12,480 bits"),
    Misprint("Section VI.B, [2]", "13*512", "13*256", "a hash value has 256 bits: the formula gives 12,512, the sum 9,184"),
    Misprint("Section VI.B, MBPA", "4*32 for timestamps", "2*32", "the text counts two: the formula gives 7,424, the sum 7,360"),
    Misprint("Section VI.B, MBPA", "four identities, four identities", "four identities", "said twice, charged once"),
    Misprint("Table 6, birthday collision", "three entries", "four", "one of the four cells of the row is blank"),
    Misprint("Section VI.C", "all ten requirements", "twelve rows", "Table 6 has twelve"),
)
"""Shown in full by the bench."""
