"""Table 6, generated: each of our cells links to the test that shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from salus.bench.model import Context, Part


@dataclass(frozen=True)
class Claim:
    """One row of Table 6.

    :ivar printed: the paper's cells for [12], [13], [2] and MBPA; "" where the paper has none.
    :ivar published, repaired: what holds for mbpa-2019 and mbpa-r1, ``yes`` or ``no`` and why in a few words.
    :ivar published_test, repaired_test: path of the test, from the root of the checkout, and its function after ``::``.
    """

    name: str
    printed: tuple[str, str, str, str]
    published: str
    published_test: str
    repaired: str
    repaired_test: str


CLAIMS: Final[tuple[Claim, ...]] = ()


def table_6(_context: Context) -> Part:
    """Table 6 with our two suites; the verdicts are those of the linked tests."""
    return Part()
