"""Table 1 of the sharing model, generated: the paper's cells, ours with a test that exists for each."""

from __future__ import annotations

import ast

import pytest

from salus.bench.model import Context, Result
from salus.bench.properties import PEERS, PROPERTIES, SCHEMES, SOURCES, properties

PRINTED = {
    "keyword search": "nnnyny",
    "attribute encryption": "yyyyyy",
    "proxy re-encryption": "nnyyyy",
    "attribute-based proxy re-encryption": "nnyyyy",
    "blockchain technology": "nnnnny",
    "no third party": "nnnnny",
}


@pytest.mark.parametrize("test", sorted({p.test for p in PROPERTIES}))
def test_every_cell_names_a_test_that_exists(checkout, test):
    path, _, function = test.partition("::")
    tree = ast.parse((checkout / path).read_text())
    assert function in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, test


def test_the_papers_cells_are_the_papers():
    printed = {p.name: "".join(cell[:1] for cell in p.printed) for p in PROPERTIES if any(p.printed)}
    assert printed == PRINTED
    assert [p.name for p in PROPERTIES[:6]] == list(PRINTED)


def test_every_system_has_a_cell_in_every_row():
    rows = properties(Context()).sections[0].records()
    assert all(row[name] for row in rows for name in (*PEERS, "salus", "salus_test", "seed_as_its_algorithms_are"))
    assert all(row[name] in ("yes", "no") for row in rows[:6] for name in (*SCHEMES, "seed_printed"))


def test_every_system_has_sources():
    assert {system for system, _, _ in SOURCES} == set(PEERS)


def test_on_the_site_every_test_is_a_link():
    result = Result("toy", quick=True)
    result.add(properties(Context()))
    page = result.markdown(sources_at="../../")
    assert page.count("](../../tests/") == len(PROPERTIES)
    assert "::" not in page
