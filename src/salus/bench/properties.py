"""Table 1 of the sharing model, property by property, with systems of today; each of our cells names the test that shows it.

A test of this project checks that each named test exists; the test named fails if the cell beside it is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from salus.bench.model import Cell, Context, Part, Section

_ABPRE: Final = "tests/attacks/abpre/test_"
_THRESHOLD: Final = "tests/attacks/threshold/test_"
_SEARCH: Final = "tests/attacks/search/test_"
_NETWORK: Final = "tests/network/sharing/test_"
_LEDGER: Final = "tests/application/sharing/test_"
_SCHEME: Final = "tests/unit/abpre/test_scheme.py::"
SCHEMES: Final = ("[10]", "[3]", "[4]", "[11]", "[12]")
"""The systems that the paper's Table 1 names."""
PEERS: Final = ("tkn20", "FABEO", "Umbral", "TACo", "OpenTDF")
"""Systems of today: two of attribute encryption, two of thresholds, one of policies that servers enforce."""
NOT_IN_THE_PAPER: Final = ("", "", "", "", "", "")


@dataclass(frozen=True)
class Property:
    """One row.

    :ivar printed: the paper's cells for [10], [3], [4], [11], [12] and its own scheme; empty for properties not in its table.
    :ivar seed: the paper's scheme as its algorithms are, read without its text.
    :ivar peers: cells of :data:`PEERS`, by their documents.
    :ivar test: the test of our cell, as a path from the root of the checkout and the function after ``::``.
    """

    name: str
    printed: tuple[str, str, str, str, str, str]
    seed: str
    peers: tuple[str, str, str, str, str]
    ours: str
    test: str


PROPERTIES: Final = (
    Property(
        "keyword search",
        ("no", "no", "no", "yes", "no", "yes"),
        "yes, and open to everyone: a MAC without a secret",
        ("no", "no", "not stated", "not stated", "not stated"),
        "yes",
        _NETWORK + "search.py::test_a_search_finds_what_was_tagged_at_any_node_before_and_after_a_restart",
    ),
    Property(
        "attribute encryption",
        ("yes", "yes", "yes", "yes", "yes", "yes"),
        "intended: (13) does not undo (7)-(9)",
        ("yes", "yes", "no: one recipient's key", "no: nodes look at conditions", "no: a server looks at attributes"),
        "yes",
        _SCHEME + "test_who_satisfies_opens_and_nobody_else",
    ),
    Property(
        "proxy re-encryption",
        ("no", "no", "yes", "yes", "yes", "yes"),
        "intended: (10) pairs elements of the target group",
        ("no", "no", "yes", "no: threshold decryption", "no: the server unwraps and wraps anew"),
        "yes",
        _SCHEME + "test_one_delegation_serves_many_records",
    ),
    Property(
        "attribute-based proxy re-encryption",
        ("no", "no", "yes", "yes", "yes", "yes"),
        "intended, as above",
        ("no", "no", "no", "no", "no"),
        "yes",
        _NETWORK + "flow.py::test_a_delegation_serves_until_it_is_revoked",
    ),
    Property(
        "blockchain technology",
        ("no", "no", "no", "no", "no", "yes"),
        "yes",
        ("no", "no", "no; networks above it", "yes: committees and conditions", "no"),
        "yes",
        _LEDGER + "replay.py::test_an_export_replays_to_the_same_hash_from_genesis_alone",
    ),
    Property(
        "no third party",
        ("no", "no", "no", "no", "no", "yes"),
        "no: R has the master key, which is also public",
        (
            "no: the authority",
            "no: the authority",
            "yes, below t proxies",
            "yes, below a cohort's threshold",
            "no: the key access servers, or all of a split key's",
        ),
        "yes: fewer than t = 2f + 1 nodes have nothing",
        _THRESHOLD + "too_few_shares.py::test_2f_point_shares_give_no_key",
    ),
    Property(
        "only owner and entitled reader ever hold a key",
        NOT_IN_THE_PAPER,
        "no: R",
        (
            "no: the authority can",
            "no: the authority can",
            "yes, below t proxies",
            "yes, below a cohort's threshold",
            "no: the server unwraps it each time, or its part of it",
        ),
        "yes",
        _ABPRE + "content_privacy.py::test_nodes_and_proxies_open_nothing",
    ),
    Property(
        "readers who pool their keys open nothing new",
        NOT_IN_THE_PAPER,
        "no: the master key is public, all H_x are equal",
        ("yes", "yes", "no attributes", "no attributes", "by the server"),
        "yes",
        _ABPRE + "collusion.py::test_pooled_keys_open_nothing_new",
    ),
    Property(
        "reader and proxies together open nothing outside the delegation",
        NOT_IN_THE_PAPER,
        "claimed",
        (
            "no delegation",
            "no delegation",
            "no: t proxies and the reader have the owner's key",
            "no delegation",
            "no: servers unwrap whatever was wrapped for them",
        ),
        "yes",
        _ABPRE + "collusion.py::test_a_whole_re_encryption_key_and_its_delegatee_read_the_scope_and_nothing_else",
    ),
    Property(
        "policies of and, or, k of n",
        NOT_IN_THE_PAPER,
        "yes",
        (
            "and, or, not",
            "monotone span programs",
            "none",
            "any condition that nodes can read, combined",
            "all of, any of, hierarchies; and among attributes",
        ),
        "yes",
        _ABPRE + "fine_grained_control.py::test_every_set_of_attributes_gets_what_the_policy_says",
    ),
    Property(
        "chosen-ciphertext security",
        NOT_IN_THE_PAPER,
        "no: chosen plaintexts, and the proof does not go through",
        (
            "yes, adaptive",
            "no: chosen plaintexts; adaptive, generic group",
            "capsules and bodies authenticated; a proof not stated",
            "yes",
            "policy bound by HMAC, body by AES-GCM; a proof not stated",
        ),
        "yes, selective, random oracles",
        _ABPRE + "cca_oracles.py::test_re_encryption_and_re_decapsulation_oracles_tell_nothing",
    ),
    Property(
        "anyone can check a ciphertext before it is stored",
        NOT_IN_THE_PAPER,
        "no: the right side of (14) is constant",
        ("no: the check needs a key", "no", "yes, the capsule", "yes", "no: the binding is checked with the key"),
        "yes, rows included",
        _ABPRE + "malformed_rows.py::test_every_spoilt_row_is_noticed",
    ),
    Property(
        "no forwarding by the delegatee",
        NOT_IN_THE_PAPER,
        "claimed; no construction",
        ("no delegation", "no delegation", "not stated", "no delegation", "not stated"),
        "yes",
        _ABPRE + "no_secondary_forwarding.py::test_the_second_hop_finds_no_a3",
    ),
    Property(
        "a lying proxy is named by a proof",
        NOT_IN_THE_PAPER,
        "no",
        (
            "no proxy",
            "no proxy",
            "yes, and a contract has checked it",
            "shares can be checked; on the chain not stated",
            "not stated",
        ),
        "yes, on the chain",
        _NETWORK + "liars.py::test_a_false_partial_names_its_node_and_the_reader_gets_the_record",
    ),
    Property(
        "revocation of a delegation, with a receipt",
        NOT_IN_THE_PAPER,
        "claimed; no algorithm",
        (
            "no delegation",
            "no delegation",
            "not stated",
            "by conditions; a receipt not stated",
            "by the server; a receipt not stated",
        ),
        "yes",
        _LEDGER + "delegations.py::test_a_revoked_delegation_is_dead_and_its_receipt_says_that_c_is_gone",
    ),
    Property(
        "a new committee takes over, nothing is dealt or encrypted again",
        NOT_IN_THE_PAPER,
        "no committee",
        ("no committee", "no committee", "not stated", "yes, one node after another, under a supervisor", "no committee"),
        "yes",
        "tests/unit/threshold/test_end_to_end.py::test_a_hand_over_changes_the_committee_and_nothing_else",
    ),
    Property(
        "search tags tell nothing without the index key",
        NOT_IN_THE_PAPER,
        "no: anyone tests any word",
        ("no search", "no search", "not stated", "not stated", "not stated"),
        "yes",
        _SEARCH + "tags_tell_nothing.py::test_no_adversary_has_an_advantage",
    ),
    Property(
        "access log complete, provable offline",
        NOT_IN_THE_PAPER,
        "no log",
        ("no log", "no log", "not stated", "not stated", "audit events, on the server's word"),
        "yes, of all grants",
        "tests/attacks/sharing_review/test_complete_access_log.py::test_every_lie_about_any_one_entry_is_noticed",
    ),
)
"""The paper's six columns as rows, in its order; then properties that its text claims or that the systems differ in."""


SOURCES: Final = (
    (
        "tkn20",
        "github.com/cloudflare/circl v1.6.5, abe/cpabe/tkn20",
        "package documentation; internal/tkn/bk.go: a MAC under a sealed key",
    ),
    ("tkn20", "eprint.iacr.org/2019/966", "Tomida, Kawahara, Nishimaki, PKC 2020"),
    ("FABEO", "eprint.iacr.org/2022/1415", "Riepel and Wee, CCS 2022; the README of its code"),
    (
        "Umbral",
        "github.com/nucypher/rust-umbral",
        "capsule.rs: a capsule verifies itself; key_frag.rs: fragments share sk/d, and the reader knows d; evidence.rs",
    ),
    ("Umbral", "github.com/nucypher/nucypher-contracts", "Adjudicator.sol, lib/ReEncryptionValidator.sol: checks by a contract"),
    ("TACo", "docs.threshold.network", "trust model of the main network"),
    ("TACo", "github.com/nucypher/taco-docs", "reference/architecture/protocol-flow.md; conditions"),
    ("TACo", "github.com/anoma/ferveo", "book/src/tpke.md: public check of ciphertexts, chosen-ciphertext security"),
    ("TACo", "github.com/nucypher/nucypher-contracts", "coordination/HandoverCoordinator.sol; issue 377"),
    ("OpenTDF", "github.com/opentdf/spec", "concepts/access_control.md; concepts/security.md: binding, split keys"),
    ("OpenTDF", "github.com/opentdf/platform", "pull request 774: audit events of unwrapping"),
)
"""Where the cells of :data:`PEERS` were read: system, document, part."""


def properties(_context: Context) -> Part:
    """Table 1, ours beside the paper's and today's systems; each of our verdicts is that of the test beside it."""
    rows: list[tuple[Cell, ...]] = [(p.name, *p.printed, p.seed, *p.peers, p.ours, p.test) for p in PROPERTIES]
    columns = ("property", *SCHEMES, "seed_printed", "seed_as_its_algorithms_are", *PEERS, "salus", "salus_test")
    notes = (
        "Columns [10] to seed_printed are Table 1 of Feng, Jiao and Fang 2018, whose references these are: Akinyele et al. 2011,"
        " Hong et al. 2011, Seo and Kim 2012, Shi et al. 2014, Luo et al. 2010. Rows without them are ours.",
        "As its algorithms are: what formulas (1)-(14) do, see the protocol page's table of printed formulas.",
        "tkn20: CIRCL's form of Tomida, Kawahara and Nishimaki 2020. FABEO: Riepel and Wee 2022. Umbral: Nunez 2018. TACo: the"
        " threshold network that followed it. OpenTDF: the platform with its key access servers. By the documents below, not run"
        " here (but tkn20's times). Not stated: none of these documents says.",
        "A test named beside a cell fails if the cell is wrong; run it with `pytest <file> -k <name>`.",
    )
    table = Section("sharing-properties", "Table 1: properties", columns, tuple(rows), notes)
    read = Section("sharing-sources", "Sources of the systems of today", ("system", "document", "part"), SOURCES)
    return Part((table, read))
