"""Keywords: one form for what is one word or code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salus.errors import Refused
from salus.search import keyword
from salus.search.code_systems import resembling, short_name
from salus.search.keyword import KEYWORD_BYTES_MAX, check_keywords, code, of_digest, own_keywords, question, word, words


def test_case_width_and_spacing_do_not_matter() -> None:
    assert word(" Hypertension ") == word("HYPERTENSION") == word("ｈｙｐｅｒｔｅｎｓｉｏｎ") == "hypertension"
    assert word("Straße") == word("STRASSE") == "strasse"
    assert word("Café") == word("Cafe\u0301") == "café"
    assert word("hyper\u200btension") == word("hyper\u00adtension") == "hypertension"
    assert code("LN", " 8867-4 ") == code("http://loinc.org", "8867-4") == "loinc|8867-4"


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (("http://loinc.org", "urn:oid:2.16.840.1.113883.6.1", "2.16.840.1.113883.6.1", "LN", "http://loinc.org/"), "loinc"),
        (("http://snomed.info/sct", "urn:oid:2.16.840.1.113883.6.96", "SCT"), "snomed"),
        (("http://hl7.org/fhir/sid/icd-10-cm", "2.16.840.1.113883.6.90", "I10C"), "icd10cm"),
        (("http://www.nlm.nih.gov/research/umls/rxnorm", "2.16.840.1.113883.6.88", "RXNORM"), "rxnorm"),
        (("http://dicom.nema.org/resources/ontology/DCM", "1.2.840.10008.2.16.4", "DCM"), "dcm"),
    ],
)
def test_one_system_has_one_name(names: tuple[str, ...], short: str) -> None:
    assert {code(name, "1") for name in names} == {f"{short}|1"}


def test_unknown_systems_stay_apart() -> None:
    assert code("http://a.example/x", "1") != code("http://b.example/x", "1")
    assert code("", "1") == "|1"
    assert short_name("l") == "l"


def test_words_of_a_display() -> None:
    assert words("Essential hypertension (disorder) of the HEART, hypertension") == (
        "essential", "hypertension", "disorder", "heart",
    )  # fmt: skip
    assert words("a b c 7 心 x") == ("7", "心")
    assert words("COVID-19") == ("covid", "19")
    assert words("") == words("... () --") == ()
    assert words("x" * 300 + " short") == ("short",)


def test_what_a_person_asks_for() -> None:
    assert question("Hypertension") == (("hypertension",),)
    assert question("heart rate") == (("heart",), ("rate",))
    assert question("LN|8867-4") == (("loinc|8867-4",),)
    assert question("8867-4") == (("loinc|8867-4",),)
    assert question("I10") == (("i10", "icd10cm|i10", "icd10|i10"),)
    assert question("59621000")[0][:2] == ("59621000", "snomed|59621000")
    assert question("covid-19") == (("covid",), ("19",))
    assert resembling("hypertension") == ()


def test_own_words() -> None:
    assert own_keywords("Family History") == ("family", "history")
    assert own_keywords("SCT|59621000") == ("snomed|59621000",)


@pytest.mark.parametrize("text", ["", "  ", "the of", "|", "x|", "\u200b"])
def test_nothing_to_look_for(text: str) -> None:
    with pytest.raises(Refused, match="bad-keyword"):
        own_keywords(text)
    with pytest.raises(Refused, match="bad-keyword"):
        question(text)


def test_bounds() -> None:
    assert len(code("s", "1" * (KEYWORD_BYTES_MAX - 2))) == KEYWORD_BYTES_MAX
    for make in (lambda: code("s", "1" * (KEYWORD_BYTES_MAX - 1)), lambda: word("é" * 129), lambda: word("two words")):
        with pytest.raises(Refused, match="bad-keyword"):
            make()
    assert len(of_digest(bytes(32))) == 7 + 64


@given(st.text(max_size=80))
def test_normal_form_is_reached_at_once(text: str) -> None:
    once = keyword.normalise(text)
    assert keyword.normalise(once) == once
    for found in words(text):
        assert check_keywords([found]) == (found,)
        assert words(found) == (found,)


@given(st.text(max_size=60), st.text(min_size=1, max_size=60))
def test_codes_are_in_normal_form(system: str, value: str) -> None:
    try:
        found = code(system, value)
    except Refused:
        return
    assert check_keywords([found, found]) == (found,)


@pytest.mark.parametrize("text", ["Heart", " heart", "heart ", "", "x" * 257, "a\u0301", "\ud800"])
def test_only_normal_forms_are_keywords(text: str) -> None:
    with pytest.raises(Refused, match="bad-keyword"):
        check_keywords([text])
