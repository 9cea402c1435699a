"""What of a record's keywords is indexed, and that the owner is told of what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.command_line import Terminal

ALICE = ("--as", "alice")
HEAD = "##fileformat=VCFv4.2\n##fileDate=20250304\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def test_keywords_that_are_left_out_are_told(salus: Terminal, tmp_path: Path) -> None:
    genome = tmp_path / "genome.vcf"
    genome.write_text(HEAD + "".join(f"1\t{n}\trs{n}\tG\tA\t.\t.\tGENE=G{n % 30}\n" for n in range(1, 1500)))
    done = salus(*ALICE, "record", "put", genome, "--keyword", "exome of 2025")
    assert done.status == 0
    assert "(genomics, 2025Q1, 1,024 keywords)" in done.out
    # The category, two words of the owner's (of says nothing), 30 genes, then as many variants as there is room for.
    left = 1 + 2 + 30 + 1499 - 1024
    assert f"not found by {left} more words and codes" in done.out
    (entry,) = salus.good(*ALICE, "record", "list")["records"]
    assert (entry["keywords"], entry["keywords_left_out"], entry["keywords_problem"]) == (1024, left, "")
    for found in ("exome", "2025", "g29", "rs1"):
        assert salus.good(*ALICE, "search", found)["own"], found
    assert not salus.good(*ALICE, "search", "rs1499")["own"]


def test_a_file_without_keywords_is_found_by_its_category(salus: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "scan.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    done = salus(*ALICE, "record", "put", path)
    assert "(imaging, " in done.out
    assert ", 1 keyword): record" in done.out
    assert "found by its category alone" in done.out
    assert salus.good(*ALICE, "search", "category|imaging")["own"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", '{"resourceType":"Observation","code":', "looks like FHIR"),
        ("b.xml", '<Observation xmlns="http://hl7.org/fhir"><code>', "looks like FHIR, but the XML is malformed"),
    ],
)
def test_files_whose_keywords_cannot_be_read(salus: Terminal, tmp_path: Path, name: str, content: str, said: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    done = salus(*ALICE, "record", "put", path)
    assert done.status == 0
    assert f"About its keywords: {said}" in done.out


def test_more_words_of_ones_own_than_fit_are_refused(salus: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x")
    words = " ".join(f"w{n}" for n in range(600))
    more = " ".join(f"v{n}" for n in range(600))
    said = salus.bad(*ALICE, "record", "put", path, "--keyword", words, "--keyword", more, reason="too-large")
    assert "1201 are your own" in said
    assert salus.good(*ALICE, "record", "list")["records"] == []
