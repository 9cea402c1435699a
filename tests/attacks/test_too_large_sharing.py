"""Too many rows, too deep, too large: whatever comes from outside is refused or cut at its bound, one past it and far past it.

Sizes of the fields of every message are tried by ``tests/property/test_messages.py``; here are the bounds that stand in code.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from salus.abpre import checking
from salus.abpre.attributes import NAME_CHARACTERS_MAX, VALUE_CHARACTERS_MAX, canonical_attribute
from salus.abpre.language import parse, parse_canonical
from salus.abpre.policy import DEPTH_MAX, ROWS_MAX, TEXT_CHARACTERS_MAX
from salus.abpre.threshold import delegations, key_collecting, transforming
from salus.abpre.threshold.committee import ANSWERS_MAX, SEATS_MAX, make_committee
from salus.abpre.threshold.key_issuing import REQUEST_ATTRIBUTES_MAX, KeyRequest, check_key_request
from salus.cloud.sharing_records import ENTRY_BYTES_MAX, RECORDS_DIRECTORY
from salus.cloud.wanted import WANTED_BYTES_MAX, WANTED_DIRECTORY, WantedRecords
from salus.errors import Refused, StorageError
from salus.groups.ristretto255 import base_mul, random_scalar
from salus.node.sharing import attachments
from salus.node.sharing import backlog as backlog_module
from salus.node.sharing.attachments import AttachmentStore
from salus.node.sharing.backlog import Backlog
from salus.search import collecting, fhir, hl7v2, voprf
from salus.search.answer_box import ANSWER_BYTES_MAX, seal_answer
from salus.search.collecting import DISTINCT_MAX, Collector
from salus.search.extraction import extract_bytes
from salus.search.index_keys import BY_POLICY, SECRET_BYTES_MAX, seal_index_key
from salus.search.keyword import KEYWORD_BYTES_MAX, Keyword, code
from salus.search.keyword import TEXT_CHARACTERS_MAX as DISPLAY_CHARACTERS_MAX
from salus.search.tags import TAGS_MAX, WORDS_MAX
from salus.search.tokens import ELEMENTS_MAX, ask
from support.consultation_world import SeededRandom
from support.threshold_world import dealt
from unit.cloud.clouds import open_gateway

RANDOM = SeededRandom("too large")
FAR = 1000


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(Refused) as refusal:
        call()
    return refusal.value.reason


# --- policies ---


def rows(count: int) -> str:
    return " and ".join(f"a:x{i}" for i in range(count))


def nested(depth: int) -> str:
    text = "a:x"
    for level in range(depth):
        text = f"b:y{level} {'and' if level % 2 else 'or'} ({text})"
    return text


def test_policies() -> None:
    assert len(parse(rows(ROWS_MAX)).attributes) == ROWS_MAX
    for count in (ROWS_MAX + 1, 100 * ROWS_MAX):
        assert refused(lambda count=count: parse(rows(count))) in ("bad-policy", "too-large")
    assert parse(nested(DEPTH_MAX - 1)).text
    for depth in (DEPTH_MAX + 1, 50 * DEPTH_MAX):
        assert refused(lambda depth=depth: parse(nested(depth))) in ("bad-policy", "too-large")
    for text in ("(" * 100_000, "a:x or " * 100_000, "a" * (TEXT_CHARACTERS_MAX + 1), "9" * 5000 + " of (a:x, b:y)"):
        assert refused(lambda text=text: parse(text)) in ("bad-policy", "too-large")
        assert refused(lambda text=text: parse_canonical(text)) in ("bad-policy", "too-large")


@pytest.mark.parametrize("over", [1, FAR])
def test_attributes(over: int) -> None:
    assert canonical_attribute("n" * NAME_CHARACTERS_MAX + ":" + "v" * VALUE_CHARACTERS_MAX)
    assert refused(lambda: canonical_attribute("n" * (NAME_CHARACTERS_MAX + over) + ":v")) == "bad-attribute"
    assert refused(lambda: canonical_attribute("n:" + "v" * (VALUE_CHARACTERS_MAX + over))) == "bad-attribute"
    names = tuple(sorted(f"a:x{i}" for i in range(REQUEST_ATTRIBUTES_MAX + over)))
    assert refused(lambda: check_key_request(KeyRequest(1, "st-mary", names, bytes(32)))) == "too-large"


# --- thresholds ---


def test_seats_and_answers() -> None:
    holders = dealt(4)
    seats = holders.committee.seats
    for size in (SEATS_MAX + 3, SEATS_MAX * FAR + 2):
        assert refused(lambda size=size: make_committee(1, size, seats)) == "bad-committee"
    request, key = holders.request(["a:x"])
    one = holders.issue(request, 1)
    assert refused(lambda: holders.collect(request, key, [one] * (ANSWERS_MAX + 1))) == "too-large"
    asked: Any = SimpleNamespace()
    many: list[Any] = [None] * (ANSWERS_MAX + 1)
    about: tuple[Any, ...] = (holders.committee, asked, asked, asked, bytes(32), key, many, RANDOM)
    assert refused(lambda: transforming.transform_and_open(*about)) == "too-large"
    assert key_collecting.ANSWERS_MAX == transforming.ANSWERS_MAX


def test_batches() -> None:
    capsules: list[Any] = [None] * (checking.BATCH_MAX + 1)
    assert refused(lambda: checking.check_batch(capsules)) == "too-large"
    kept: list[Any] = [None] * (delegations.ATTACHMENTS_MAX + 1)
    assert refused(lambda: delegations.check_attachments(bytes(32), kept)) == "too-large"


# --- search ---


def test_words_of_an_order() -> None:
    words = [Keyword(f"word{i}") for i in range(ELEMENTS_MAX + 1)]
    assert refused(lambda: ask(words, RANDOM)) == "too-large"
    assert refused(lambda: voprf.blind([b"w" * (voprf.INPUT_BYTES_MAX + 1)], RANDOM)) == "too-large"
    assert refused(lambda: code("http://loinc.org", "1" * KEYWORD_BYTES_MAX)) in ("bad-keyword", "too-large")


def test_answers_and_index_keys() -> None:
    Er = base_mul(random_scalar(RANDOM)).encode()
    signer: Any = SimpleNamespace(name="a/node")
    assert refused(lambda: seal_answer(bytes(32), bytes(32), signer, Er, bytes(ANSWER_BYTES_MAX), RANDOM)) == "too-large"
    long = bytes(SECRET_BYTES_MAX + 1)
    assert refused(lambda: seal_index_key(bytes(32), bytes(32), bytes(32), BY_POLICY, bytes(32), long)) == "bad-encoding"


def test_files_with_too_many_words_lose_the_last_and_nothing_else() -> None:
    found = Collector()
    for i in range(DISTINCT_MAX + FAR):
        found.code("http://loinc.org", f"{i}-1")
        found.words(f"word{i}")
    kept = found.keywords()
    assert len(kept) <= 2 * DISTINCT_MAX + DISPLAY_CHARACTERS_MAX
    assert kept[0] == code("http://loinc.org", "0-1")
    assert TAGS_MAX == 2 * WORDS_MAX


def test_a_field_that_repeats_for_ever_does_not_crowd_out_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    repeated = "~".join(f"{i}^text^LN" for i in range(hl7v2._REPETITIONS_MAX + FAR))
    message = f"MSH|^~\\&|A|B|C|D|20250101||ORU^R01|1|P|2.5\rOBX|1|CE|{repeated}||x\rDG1|1||I10^Hypertension^I10\r"
    found = extract_bytes(message.encode())
    assert len(found.keywords) <= hl7v2._REPETITIONS_MAX + 10
    assert any("I10" in word or "hypertension" in word for word in found.keywords)
    monkeypatch.setattr(hl7v2, "_REPETITIONS_MAX", 1)
    assert len(extract_bytes(message.encode()).keywords) < len(found.keywords)


def test_fhir_with_too_many_parts_or_too_deep(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = b'{"resourceType":"Observation","a":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001
    wide = b'{"resourceType":"Observation","a":[' + b",".join([b"{}"] * 200) + b"]}"
    assert extract_bytes(wide).problem == ""
    assert "nested" in extract_bytes(deep).problem or "too deep" in extract_bytes(deep).problem
    monkeypatch.setattr(fhir, "_NODES_MAX", 100)
    assert "too many parts" in extract_bytes(wide).problem
    assert collecting.DISTINCT_MAX == DISTINCT_MAX


# --- files of nodes and clouds ---


def test_files_that_grew_are_not_read(tmp_path: Path) -> None:
    with open_gateway(tmp_path / "cloud"):
        pass
    entry = tmp_path / "cloud" / RECORDS_DIRECTORY / f"{'0' * 32}.{'0' * 64}"
    entry.write_bytes(bytes(ENTRY_BYTES_MAX + 1))
    with pytest.raises(StorageError):
        open_gateway(tmp_path / "cloud")
    directory = tmp_path / "other"
    WantedRecords(directory)
    (directory / WANTED_DIRECTORY / entry.name).write_bytes(bytes(WANTED_BYTES_MAX + 1))
    with structlog.testing.capture_logs() as logs:
        assert list(WantedRecords(directory).some(10)) == []
    assert [entry["event"] for entry in logs] == ["wanted-record-damaged"]


def test_attachments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = AttachmentStore(tmp_path, 48)
    assert refused(lambda: store.keep(bytes(32), bytes(32), bytes(49), 0)) == "too-large"
    monkeypatch.setattr(attachments, "KEPT_MAX", 2)
    for i in range(2):
        store.keep(bytes([i]) * 32, bytes(32), b"c", 0)
        store.name(bytes([i]) * 32, bytes(32))
    assert refused(lambda: store.keep(b"n" * 32, bytes(32), b"c", 0)) == "no-room"


def test_open_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    application: Any = SimpleNamespace(info=lambda: SimpleNamespace(height=0), listen=lambda _: None)
    path = tmp_path / "open-items"
    monkeypatch.setattr(backlog_module, "_FILE_BYTES_MAX", 100)
    path.write_bytes(bytes(101))
    with pytest.raises(StorageError):
        Backlog(path, application, frozenset())
