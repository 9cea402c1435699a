"""Where the printed proof of Theorem 1 fails, run: the adversary always wins, and C never solves ECDHP."""

from __future__ import annotations

import hashlib
import itertools

import pytest

from games.printed_reduction import DO_K, PA_I, AbortError, Simulator
from salus.groups.ristretto255 import base_mul, random_scalar


def seeded(seed: str):
    counter = itertools.count()
    return lambda n: hashlib.shake_256(f"{seed}/{next(counter)}".encode()).digest(n)


@pytest.fixture
def instance():
    random = seeded("ecdhp")
    a, b = random_scalar(random), random_scalar(random)
    return a, b, Simulator(random, base_mul(a), base_mul(b))


def forge(simulator: Simulator, one_time_key=None):
    """Transaction 2's part that C looks at: (A, C_DO, M_k1, M_k2), by the cancelling equations or with a given A."""
    random = seeded("forger")
    W_DO, W_PA = simulator.W(DO_K), simulator.W(PA_I)
    c = random_scalar(random)
    A = base_mul(c) - W_DO if one_time_key is None else one_time_key
    key2 = W_PA.mul(c)
    m_DO = b"forged"
    C = simulator.encrypt(key2, m_DO)
    M_k1 = simulator.h2("M_k1", C, simulator.Pub.mul(c).encode(), A.encode())
    M_k2 = simulator.h2("M_k2", C, m_DO, key2.encode(), A.encode())
    return A, C, M_k1, M_k2


def test_the_simulation_sets_the_keys_it_wants(instance):
    a, b, C = instance
    assert C.W(PA_I) == base_mul(a)
    assert C.W(DO_K) + C.ephemeral(DO_K) == base_mul(b)


def test_the_forgery_is_valid_and_c_learns_nothing(instance):
    """E3 happens with certainty, E5 and E6 never: no list holds ab*P, because A is the adversary's, not C's."""
    a, b, C = instance
    A, ciphertext, _, M_k2 = forge(C)
    # What the patient computes with s_PA = a (C does not know a; the test does): the forgery verifies.
    key2 = (C.W(DO_K) + A).mul(a)
    assert C.h2("M_k2", ciphertext, b"forged", key2.encode(), A.encode()) == M_k2
    assert C.ephemeral(DO_K) != A
    target = base_mul(a * b)
    assert target.encode() not in C.candidates()
    assert key2.encode() in C.candidates(), "the key the proof extracts is there; it is c*a*P, which anyone can compute"


def test_c_succeeds_only_against_an_adversary_that_reuses_the_doctors_own_one_time_key(instance):
    """The control: the proof silently assumes A = A_DO_K; for such a forger the key in the lists is indeed ab*P."""
    a, b, C = instance
    A = C.ephemeral(DO_K)
    key2 = (C.W(DO_K) + A).mul(a)
    C.encrypt(key2, b"forged")
    assert base_mul(a * b).encode() in C.candidates()


@pytest.mark.parametrize("parties", [(PA_I, "DO_1"), ("PA_1", DO_K), (PA_I, DO_K)])
def test_send_aborts_for_every_session_of_the_challenge_pair(instance, parties):
    """So an adversary that first watches one honest session of its victim makes C abort with certainty.

    The bound (1 - 2/(q_s + 1))^q_s assumes that a query hits the pair with a small probability that nothing gives C: with one
    patient and one doctor (n = m = 1), as with an adversary that asks about all of them, the probability is 1.
    """
    _, _, C = instance
    with pytest.raises(AbortError):
        C.send(*parties)
    C.send("PA_1", "DO_1")


@pytest.mark.parametrize(("n", "m", "queries"), [(1, 1, 3), (2, 2, 3), (3, 5, 12)])
def test_the_bound_of_the_theorem_is_contradicted(instance, n, m, queries):
    """An adversary asks Send for every pair, as any run of the system does; the theorem still promises epsilon' > 0."""
    _, _, C = instance
    patients = [PA_I, *(f"PA_{i}" for i in range(1, n))]
    doctors = [DO_K, *(f"DO_{k}" for k in range(1, m))]
    asked, aborted = 0, False
    for patient, doctor in itertools.product(patients, doctors):
        asked += 1
        try:
            C.send(patient, doctor)
        except AbortError:
            aborted = True
    q_s = max(asked, queries)
    promised = (1 - 2 / (q_s + 1)) ** q_s
    assert promised > 0
    assert aborted, "the probability of not aborting is 0, whatever the bound says"


def test_the_hash_value_c_may_output_is_no_point(instance):
    """The proof lets C output M_k2 itself "as the solution of ECDHP": a hash value."""
    a, b, C = instance
    _, _, _, M_k2 = forge(C)
    assert M_k2 != base_mul(a * b).encode()
    assert M_k2 in C.candidates()
