"""Index keys: sealed under a secret, for one scope, one way and one object."""

from __future__ import annotations

import pytest

from salus.errors import Refused
from salus.search.index_keys import BY_DELEGATION, BY_POLICY, SealedIndexKey, new_index_key, open_index_key, seal_index_key
from support.search_world import NETWORK, SeededRandom, accepted_flips


@pytest.fixture
def random() -> SeededRandom:
    return SeededRandom("index keys")


@pytest.mark.parametrize("way", [BY_DELEGATION, BY_POLICY])
@pytest.mark.parametrize("size", [32, 64])
def test_who_has_the_secret_opens(random: SeededRandom, way: str, size: int) -> None:
    ik, x, about, secret = new_index_key(random), random(32), random(32), random(size)
    sealed = seal_index_key(NETWORK, x, ik, way, about, secret)
    assert open_index_key(NETWORK, SealedIndexKey.decode(sealed.encode()), way, about, secret) == ik
    assert ik not in sealed.encode()
    assert seal_index_key(NETWORK, x, ik, way, about, secret) == sealed


def test_it_opens_nowhere_else(random: SeededRandom) -> None:
    ik, x, about, secret = new_index_key(random), random(32), random(32), random(32)
    sealed = seal_index_key(NETWORK, x, ik, BY_DELEGATION, about, secret)
    other_scope = SealedIndexKey(random(32), sealed.ciphertext)
    for network, box, way, what, key in [
        (bytes(32), sealed, BY_DELEGATION, about, secret),
        (NETWORK, other_scope, BY_DELEGATION, about, secret),
        (NETWORK, sealed, BY_POLICY, about, secret),
        (NETWORK, sealed, BY_DELEGATION, random(32), secret),
        (NETWORK, sealed, BY_DELEGATION, about, random(32)),
        (NETWORK, sealed, BY_DELEGATION, about, secret + bytes(32)),
    ]:
        with pytest.raises(Refused, match="bad-seal"):
            open_index_key(network, box, way, what, key)


def test_every_byte_counts(random: SeededRandom) -> None:
    about, secret = random(32), random(32)
    sealed = seal_index_key(NETWORK, random(32), new_index_key(random), BY_POLICY, about, secret)
    read = lambda data: open_index_key(NETWORK, SealedIndexKey.decode(data), BY_POLICY, about, secret)  # noqa: E731
    assert accepted_flips(sealed.encode(), read) == []


def test_malformed(random: SeededRandom) -> None:
    good = (NETWORK, random(32), random(32), BY_POLICY, random(32), random(32))
    for place, bad in [(2, random(31)), (3, "mail"), (5, random(31)), (5, random(65))]:
        spoilt = [*good[:place], bad, *good[place + 1 :]]
        with pytest.raises(Refused, match="bad-encoding"):
            seal_index_key(*spoilt)
