"""Section V.B: type I and type II adversaries win their games on mbpa-2019 and lose them on mbpa-r1."""

from __future__ import annotations

import hashlib
import itertools

import pytest

from games import adversaries as adv
from games.challenger import TYPE_I, TYPE_II, Challenger, QueryError
from games.schemes import PublishedScheme, RepairedScheme
from salus.consultation import envelope, reply, request
from salus.groups.ristretto255 import Point, base_mul, decode_point


def seeded(seed: str):
    counter = itertools.count()
    return lambda n: hashlib.shake_256(f"{seed}/{next(counter)}".encode()).digest(n)


def play(suite, kind: int, strategy, **options):
    scheme = (PublishedScheme if suite == "mbpa-2019" else RepairedScheme)(seeded(f"{suite}/{strategy.__name__}"))
    challenger = Challenger(scheme, kind, **options)
    return challenger.judge(strategy(challenger, seeded(f"adversary/{strategy.__name__}"))), challenger


WIN_ON_2019 = [
    (TYPE_I, adv.cancel_request),
    (TYPE_I, adv.cancel_reply),
    (TYPE_I, adv.replace_patient_key),
    (TYPE_I, adv.replace_doctor_key),
    (TYPE_I, adv.insider_patient),
    (TYPE_II, adv.cancel_request),
    (TYPE_II, adv.cancel_reply),
    (TYPE_II, adv.centre_cancels),
    (TYPE_II, adv.centre_answers_as_doctor),
]
LOSE_ON_BOTH = [
    (TYPE_I, adv.replace_patient_key_own_a),
    (TYPE_I, adv.solve_for_the_key),
    (TYPE_I, adv.secret_value_only),
    (TYPE_II, adv.centre_signs_with_partial),
]


def name(value):
    return value.__name__ if callable(value) else f"type-{'I' * value}"


@pytest.mark.parametrize(("kind", "strategy"), WIN_ON_2019, ids=name)
def test_the_adversary_wins_on_the_printed_suite(kind, strategy):
    verdict, _ = play("mbpa-2019", kind, strategy)
    assert verdict.won, verdict


@pytest.mark.parametrize(("kind", "strategy"), WIN_ON_2019 + LOSE_ON_BOTH, ids=name)
def test_the_adversary_loses_on_the_repaired_suite(kind, strategy):
    verdict, _ = play("mbpa-r1", kind, strategy)
    assert verdict.fair
    assert verdict.node != "accepted"
    assert verdict.partner != "accepted"


@pytest.mark.parametrize(("kind", "strategy"), LOSE_ON_BOTH, ids=name)
def test_without_cancelling_these_lose_on_the_printed_suite_too(kind, strategy):
    """Controls: what fails on 2019 as well shows that the harness refuses, and that cancelling is what wins above."""
    verdict, _ = play("mbpa-2019", kind, strategy)
    assert not verdict.won
    assert not verdict.won_at_nodes


def test_redirection_passes_the_nodes_of_2019_only():
    """M_i1 does not cover ID_DO; r1's signature covers everything."""
    printed, _ = play("mbpa-2019", TYPE_I, adv.redirect)
    assert printed.won_at_nodes
    assert not printed.won
    repaired, _ = play("mbpa-r1", TYPE_I, adv.redirect)
    assert not repaired.won_at_nodes


def test_key_compromise_impersonation():
    """With the doctor's key a thief plays any patient to that doctor on 2019; on r1 it has to sign under the patient's key."""
    printed, _ = play("mbpa-2019", TYPE_I, adv.thief_of_the_doctor, corruptible_partner=True)
    assert printed.partner == "accepted"
    repaired, _ = play("mbpa-r1", TYPE_I, adv.thief_of_the_doctor, corruptible_partner=True)
    assert repaired.node == "bad-proof"
    assert repaired.partner == "bad-proof"


# --- the harness judges: honest messages are no forgeries, and corrupted victims do not count ---


@pytest.mark.parametrize("suite", ["mbpa-2019", "mbpa-r1"])
def test_honest_messages_are_accepted_but_win_nothing(suite):
    scheme = (PublishedScheme if suite == "mbpa-2019" else RepairedScheme)(seeded(suite))
    challenger = Challenger(scheme, TYPE_I)
    session = challenger.send_reply(challenger.send_request(adv.PATIENT, adv.DOCTOR, 1))
    for forgery in (
        adv.Forgery("request", adv.PATIENT, adv.DOCTOR, session.request),
        adv.Forgery("reply", adv.DOCTOR, adv.PATIENT, session.reply, session),
    ):
        verdict = challenger.judge(forgery)
        assert verdict.node == verdict.partner == "accepted"
        assert not verdict.won
    assert challenger.queries == {"send": 2}


@pytest.mark.parametrize("suite", ["mbpa-2019", "mbpa-r1"])
def test_with_both_halves_of_the_key_anyone_is_the_user(suite):
    """The harness can be won on r1: a corrupted victim's messages are accepted. It does not count as a win."""
    scheme = (PublishedScheme if suite == "mbpa-2019" else RepairedScheme)(seeded(suite))
    challenger = Challenger(scheme, TYPE_I)
    x, y = challenger.corrupt(adv.PATIENT)
    random = seeded("thief")
    a = adv.random_scalar(random)
    forgery = adv.Adversary(challenger, random).request(adv.PATIENT, adv.DOCTOR, 1, a, base_mul(a), x + y, x + y + a)
    verdict = challenger.judge(forgery)
    assert verdict.node == verdict.partner == "accepted"
    assert not verdict.fair
    # The doctor's whole key gives replies likewise.
    session = challenger.send_request(adv.OTHER_PATIENT, adv.DOCTOR, 2)
    x, y = challenger.corrupt(adv.DOCTOR)
    forged = adv.Adversary(challenger, random).reply(adv.DOCTOR, session, a, base_mul(a), x + y, x + y + a)
    verdict = challenger.judge(forged)
    assert verdict.node == "accepted"
    assert verdict.partner == "accepted"
    assert not verdict.fair


def test_each_game_refuses_the_others_queries():
    scheme = PublishedScheme(seeded("queries"))
    with pytest.raises(QueryError):
        Challenger(scheme, TYPE_I).master_secret()
    with pytest.raises(QueryError):
        Challenger(scheme, TYPE_II).replace(adv.PATIENT, bytes(32), bytes(32))
    challenger = Challenger(scheme, TYPE_II)
    assert base_mul(challenger.master_secret()) == scheme.parameters.Pub
    challenger.secret_value(adv.PATIENT)
    assert not challenger.judge(adv.cancel_request(challenger, seeded("x"))).fair


# --- r1 with one repair taken out: the same adversaries win ---


def test_r1_without_the_proof_of_the_key_is_forged_at_the_nodes(monkeypatch):
    """Repair out: the signature's equations are not checked. A forger that owns its A then passes the nodes as anyone."""
    monkeypatch.setattr(envelope, "verify_opened", envelope.accept)
    monkeypatch.setattr("games.schemes.verify_opened", envelope.accept)
    monkeypatch.setattr(request, "verify_opened", envelope.accept)
    verdict, _ = play("mbpa-r1", TYPE_I, adv.replace_patient_key_own_a)
    assert verdict.node == "accepted"
    assert verdict.partner != "accepted", "the doctor still derives its keys from s_D*W"


def test_r1_without_proof_and_static_secret_is_forged_at_the_doctor(monkeypatch):
    """Repairs out: no signature check, and no s*W_D among the secrets. Now the doctor is fooled too."""
    monkeypatch.setattr("games.schemes.verify_opened", envelope.accept)
    monkeypatch.setattr(request, "verify_opened", envelope.accept)
    derive = request.derive_request_keys
    monkeypatch.setattr(request, "derive_request_keys", lambda aW, aE, _sW, *rest: derive(aW, aE, Point.generator(), *rest))
    verdict, _ = play("mbpa-r1", TYPE_I, adv.replace_patient_key_own_a)
    assert verdict.won


def test_r1_with_an_escrowed_key_is_forged_by_the_centre(monkeypatch):
    """Repair out: W without P, as in identity-based keys. The centre signs with y alone and the nodes accept."""

    def escrowed(opened):
        W = opened.statement.domain.Pub.mul(opened.alpha) + opened.Q
        envelope.refuse_unless(base_mul(opened.z) == opened.R1 + W.mul(opened.c), "bad-proof", "z*P0 = R1 + c*W does not hold")
        return envelope.accept(opened)

    def centre(challenger, random):
        a = adv.random_scalar(random)
        y = challenger.partial_key(adv.PATIENT)
        return adv.Adversary(challenger, random).request(adv.PATIENT, adv.DOCTOR, 5, a, base_mul(a), y, y + a)

    verdict, _ = play("mbpa-r1", TYPE_II, centre)
    assert verdict.node == "bad-proof"
    monkeypatch.setattr("games.schemes.verify_opened", escrowed)
    verdict, _ = play("mbpa-r1", TYPE_II, centre)
    assert verdict.won_at_nodes


def test_r1_without_the_public_key_in_alpha_is_forged_by_solving_for_it(monkeypatch):
    """Repair out: alpha does not hash P. A type I adversary solves P' = c*P0 - alpha*Pub - Q' and signs with c."""
    from salus.consultation import registration

    honest = registration.alpha

    def without_P(role, identity, quarter, _P, Q, Pub):
        return honest(role, identity, quarter, bytes(32), Q, Pub)

    monkeypatch.setattr(registration, "alpha", without_P)
    monkeypatch.setattr(envelope, "alpha", without_P)
    verdict, challenger = play("mbpa-r1", TYPE_I, adv.solve_for_the_key)
    assert verdict.won_at_nodes
    assert decode_point(challenger.public_key(adv.PATIENT).W)


def test_r1_without_the_doctors_signature_is_forged_by_a_thief_of_the_patients_key(monkeypatch):
    """Repair out: M_k1 unchecked. Who holds the patient's key plays the doctor, because MAC keys are symmetric."""

    def thief(challenger, random):
        session = challenger.send_request(adv.PATIENT, adv.DOCTOR, 1)
        x, y = challenger.corrupt(adv.PATIENT)
        a = adv.random_scalar(random)
        forgery = adv.Adversary(challenger, random).reply(adv.DOCTOR, session, a, base_mul(a), x + y, x + y + a)
        return forgery if challenger.scheme.suite == "mbpa-2019" else _with_static_secret(challenger, forgery, x + y, a, random)

    verdict, _ = play("mbpa-r1", TYPE_I, thief, corruptible_partner=True)
    assert verdict.node == verdict.partner == "bad-signature"
    monkeypatch.setattr("games.schemes.verify_reply", lambda *_: None)
    monkeypatch.setattr(reply, "verify_opened_reply", lambda *_: None)
    verdict, _ = play("mbpa-r1", TYPE_I, thief, corruptible_partner=True)
    assert verdict.won


def _with_static_secret(challenger, forgery, s, a, random):
    """The reply with the right MAC and PID2: the thief of s computes s*W_D, and draws its own a_D."""
    from salus.consultation.published import against_r1

    scheme, session = challenger.scheme, forgery.session
    doctor_W = scheme.public(forgery.victim).W
    patient = scheme.public(session.patient)
    static = decode_point(doctor_W).mul(s)

    derive = against_r1.derive_reply_keys
    try:
        against_r1.derive_reply_keys = lambda aW, aA, _sW, t0, W: derive(aW, aA, static, t0, W)
        body = adv.Adversary(challenger, random)._body()
        victim = adv._victim(patient)
        transaction = against_r1.reply_with(
            scheme.world.domain.network, session.request, victim, doctor_W, a, base_mul(a), s, body, random
        )
    finally:
        against_r1.derive_reply_keys = derive
    return adv.Forgery("reply", forgery.victim, forgery.partner, transaction, session)
