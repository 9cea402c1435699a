"""Table 6, generated: each of our cells names the test that shows it.

A cell says whether the claim holds; the test beside it runs the adversary's equations, and fails if the cell is wrong. A test
of this project checks that each named test exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from salus.bench.model import Cell, Context, Part, Section

_PUBLISHED: Final = "tests/attacks/published/test_published_forgery.py::"
_GAMES: Final = "tests/attacks/games/test_type_i_and_ii.py::"
_REDUCTION: Final = "tests/attacks/games/test_printed_reduction.py::"
_REHEARSAL: Final = "tests/unit/published/test_published_rehearsal.py::"
_NETWORK: Final = "tests/unit/published/test_printed_network.py::"
_R1: Final = "tests/attacks/test_"
NOT_IN_THE_PAPER: Final = ("", "", "", "")


@dataclass(frozen=True)
class Claim:
    """One row of Table 6.

    :ivar printed: the paper's cells for [12], [13], [2] and MBPA; empty for claims that the paper does not make.
    :ivar published, repaired: whether the claim holds for mbpa-2019 and mbpa-r1.
    :ivar published_test, repaired_test: the test, as a path from the root of the checkout and the function after ``::``.
    """

    name: str
    printed: tuple[str, str, str, str]
    published: str
    published_test: str
    repaired: str
    repaired_test: str


CLAIMS: Final = (
    Claim(
        "completeness and mutual authentication",
        ("Yes", "Yes", "Yes", "Yes"),
        "no",
        _PUBLISHED + "test_anyone_impersonates_a_doctor_to_nodes_and_patient",
        "yes",
        _R1 + "completeness_and_mutual_authentication.py::test_each_side_has_the_others_word_on_the_same_visit",
    ),
    Claim(
        "patient anonymity",
        ("No", "No", "Yes", "Yes"),
        "no",
        _PUBLISHED + "test_all_visits_of_a_patient_are_linked_by_its_public_key",
        "yes",
        _R1 + "anonymity.py::test_an_outsider_finds_nothing_in_common",
    ),
    Claim(
        "patient traceability",
        ("No", "Yes", "Yes", "Yes"),
        "no",
        _PUBLISHED + "test_the_trace_names_the_wrong_person",
        "yes",
        _R1 + "traceability.py::test_a_committed_request_is_traced_to_its_sender",
    ),
    Claim(
        "perfect forward secrecy",
        ("Yes", "Yes", "Yes", "Yes"),
        "no",
        _PUBLISHED + "test_no_forward_secrecy",
        "yes",
        _R1 + "forward_secrecy.py::test_the_request_stays_closed_to_all_long_term_keys",
    ),
    Claim(
        "no verifier table",
        ("No", "No", "No", "Yes"),
        "yes",
        _PUBLISHED + "test_no_table_of_patients_is_kept",
        "yes",
        _R1 + "no_verifier_table.py::test_a_node_that_has_just_been_installed_verifies",
    ),
    Claim(
        "birthday collision resilience (no forks)",
        ("No", "No", "Yes", ""),
        "yes, by PBFT",
        _NETWORK + "test_consultations_through_consensus",
        "yes, by PBFT",
        _R1 + "no_forks.py::test_honest_nodes_never_commit_different_blocks",
    ),
    Claim(
        "resilience to impersonation attack",
        ("Yes", "Yes", "Yes", "Yes"),
        "no",
        _PUBLISHED + "test_anyone_impersonates_a_patient_to_nodes_and_doctor",
        "yes",
        _R1 + "key_cancellation.py::test_the_cancelled_request_is_refused_everywhere",
    ),
    Claim(
        "resilience to internal attacks",
        ("Yes", "Yes", "Yes", "Yes"),
        "no",
        _PUBLISHED + "test_a_single_node_forges_m_i1_of_any_terminal",
        "yes",
        _R1 + "malicious_insider.py::test_nodes_cannot_forge_a_request_of_a_patient_whose_sender_they_opened",
    ),
    Claim(
        "resistance to replay attack",
        ("No", "No", "Yes", "Yes"),
        "yes, by the chain's memory of A",
        _REHEARSAL + "test_numbers_go_up_and_a_replay_is_refused",
        "yes",
        _R1 + "replay.py::test_on_the_same_network",
    ),
    Claim(
        "resistance to man-in-the-middle attack",
        ("Yes", "Yes", "Yes", "Yes"),
        "no",
        _PUBLISHED + "test_unbound_fields_are_swapped_in_transit",
        "yes",
        _R1 + "man_in_the_middle.py::test_no_part_of_one_request_fits_into_another",
    ),
    Claim(
        "provable security",
        ("No", "Yes", "Yes", "Yes"),
        "no: the printed reduction fails",
        _REDUCTION + "test_the_forgery_is_valid_and_c_learns_nothing",
        "argued on paper; the games' adversaries lose",
        _GAMES + "test_the_adversary_loses_on_the_repaired_suite",
    ),
    Claim(
        "secure channel in authentication phase",
        ("No", "No", "No", "No"),
        "none needed",
        _REHEARSAL + "test_all_phases_through_the_common_interface",
        "none needed",
        _R1 + "no_secure_channel.py::test_the_exchange_works_and_shows_nothing",
    ),
    Claim(
        "type I adversary (replaces public keys)",
        NOT_IN_THE_PAPER,
        "no",
        _GAMES + "test_the_adversary_wins_on_the_printed_suite",
        "yes",
        _GAMES + "test_the_adversary_loses_on_the_repaired_suite",
    ),
    Claim(
        "type II adversary (the centre)",
        NOT_IN_THE_PAPER,
        "no",
        _GAMES + "test_the_adversary_wins_on_the_printed_suite",
        "yes",
        _GAMES + "test_the_adversary_loses_on_the_repaired_suite",
    ),
    Claim(
        "key-compromise impersonation",
        NOT_IN_THE_PAPER,
        "no",
        _PUBLISHED + "test_key_compromise_impersonation",
        "yes",
        _R1 + "key_compromise_impersonation.py::test_a_thief_of_the_doctors_keys_cannot_play_a_patient_to_it",
    ),
    Claim(
        "unknown key share",
        NOT_IN_THE_PAPER,
        "no",
        _PUBLISHED + "test_one_key_pair_serves_under_any_name",
        "yes",
        _R1 + "unknown_key_share.py::test_a_node_rewraps_a_pooled_request",
    ),
    Claim(
        "rogue keys at registration",
        NOT_IN_THE_PAPER,
        "no",
        _PUBLISHED + "test_a_stranger_registers_a_key_whose_secret_it_does_not_know",
        "yes",
        _R1 + "rogue_keys.py::test_a_proof_of_possession_is_bound_to_its_registration",
    ),
    Claim(
        "forged receipt of the cloud",
        NOT_IN_THE_PAPER,
        "no",
        _PUBLISHED + "test_the_storage_response_authenticates_nobody_as_printed",
        "yes",
        _R1 + "malicious_cloud.py::test_a_storage_receipt_of_another_or_by_another_is_refused",
    ),
    Claim(
        "framing",
        NOT_IN_THE_PAPER,
        "no",
        _PUBLISHED + "test_the_trace_names_the_wrong_person",
        "yes",
        _R1 + "framing.py::test_a_doctor_cannot_invent_a_request_of_a_patient_it_knows",
    ),
)
"""The paper's twelve rows in its order, then claims that it does not make."""


def table_6(_context: Context) -> Part:
    """Table 6 with our two suites; each verdict is that of the test beside it."""
    rows: list[tuple[Cell, ...]] = [
        (claim.name, *claim.printed, claim.published, claim.published_test, claim.repaired, claim.repaired_test)
        for claim in CLAIMS
    ]
    columns = ("claim", "[12]", "[13]", "[2]", "MBPA_printed", "mbpa-2019", "mbpa-2019_test", "mbpa-r1", "mbpa-r1_test")
    notes = (
        "Columns [12], [13], [2] and MBPA are the paper's; one cell of its sixth row is blank. Rows without them are ours.",
        "A test named beside a cell fails if the cell is wrong; run it with `pytest <file> -k <name>`.",
    )
    return Part((Section("table-6", "Table 6: security", columns, tuple(rows), notes),))
