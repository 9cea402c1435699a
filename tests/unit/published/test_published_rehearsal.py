"""The printed suite behind the interface both suites share, and the rules of its chain."""

from __future__ import annotations

import hashlib
import itertools

import pytest

from salus.consultation.published.chain import GENESIS, MediBchain
from salus.consultation.published.messages import Request
from salus.consultation.published.rehearsal import Rehearsal
from salus.consultation.rehearsal import Rehearsal as RepairedRehearsal
from salus.consultation.suite import Suite
from salus.errors import Refused


def seeded(seed: str):
    counter = itertools.count()
    return lambda n: hashlib.shake_256(f"{seed}/{next(counter)}".encode()).digest(n)


def rehearse(suite: Suite) -> Suite:
    for j in range(4):
        suite.register("node", f"hospital-{j}/node")
    suite.register("doctor", "clinic/dr")
    suite.register("patient", "ward/eve")
    suite.register("patient", "ward/bob")
    suite.share_value()
    return suite


@pytest.fixture
def suite() -> Rehearsal:
    rehearsal = Rehearsal(seeded("rehearsal"))
    rehearse(rehearsal)
    return rehearsal


@pytest.mark.parametrize("make", [Rehearsal, RepairedRehearsal])
def test_all_phases_through_the_common_interface(make):
    suite = rehearse(make(seeded("common")))
    request = suite.request("ward/eve", "clinic/dr", b"pulse 71")
    suite.commit(request)
    suite.store(request)
    received, reply = suite.treat("clinic/dr", request, b"rest")
    assert received == b"pulse 71"
    suite.commit(reply)
    suite.store(reply)
    assert suite.check_up("ward/eve", reply) == b"rest"
    if suite.name == "mbpa-2019":
        assert suite.trace("clinic/dr", request) == "ward/eve"


def test_numbers_go_up_and_a_replay_is_refused(suite):
    first = suite.request("ward/eve", "clinic/dr", b"one")
    suite.commit(first)
    second = suite.request("ward/bob", "clinic/dr", b"two")
    assert Request.decode(second).transaction.sn == Request.decode(first).transaction.sn + 1
    with pytest.raises(Refused, match="used-key"):
        suite.commit(first)
    suite.commit(second)
    assert suite.chain.height == 2


def test_one_request_for_each_number_and_one_reply_for_each_request(suite):
    one, two = (suite.request(patient, "clinic/dr", b"x") for patient in ("ward/eve", "ward/bob"))
    suite.commit(one)
    with pytest.raises(Refused, match="slot-taken"):
        suite.commit(two)
    _, reply = suite.treat("clinic/dr", one, b"a")
    _, again = suite.treat("clinic/dr", one, b"b")
    suite.commit(reply)
    assert suite.chain.reply_to("clinic/dr", 1) is not None
    with pytest.raises(Refused, match="already-answered"):
        suite.commit(again)


def test_a_reply_without_a_request_is_refused(suite):
    request = suite.request("ward/eve", "clinic/dr", b"x")
    _, reply = suite.treat("clinic/dr", request, b"a")
    with pytest.raises(Refused, match="unknown-request"):
        suite.commit(reply)
    with pytest.raises(Refused, match="not-committed"):
        suite.store(request)


def test_the_digest_follows_from_the_transactions(suite):
    assert suite.chain.digest == GENESIS
    request = suite.request("ward/eve", "clinic/dr", b"x")
    suite.commit(request)
    replayed = MediBchain()
    for transaction in suite.chain.transactions:
        replayed.append(suite.directory, transaction)
    assert replayed.digest == suite.chain.digest != GENESIS


def test_nothing_runs_before_the_shared_value():
    suite = Rehearsal(seeded("early"))
    suite.register("patient", "ward/eve")
    with pytest.raises(Refused, match="not-started"):
        suite.request("ward/eve", "clinic/dr", b"x")
    with pytest.raises(Refused, match="already-registered"):
        suite.register("patient", "ward/eve")
    with pytest.raises(Refused, match="not-authorised"):
        suite.register("king", "ward/eve")
