"""Claim: nobody but the requester knows its key, and nobody tells from a key which request or which partial keys it came from.

Every node drew its own t_i. Those that answered, pooling what they sent, have every point of the Lagrange combination; what the
requester keeps is that combination under a fresh t' of its own.
"""

from __future__ import annotations

import pytest

from salus.abpre.keys import SecretKey, check_key, restrict
from salus.abpre.opening import decapsulate
from salus.abpre.threshold import key_collecting as kc
from support.consultation_world import weaken
from support.threshold_world import NETWORK, Holders, dealt

ATTRIBUTES = ("dept:cardiology", "role:doctor@2026")
K = bytes(range(32))


def points(key: SecretKey) -> list[bytes]:
    return [key.K.encode(), key.L.encode(), *(part.encode() for part in key.parts.values())]


class Issued:
    """A request, what nodes 1 to 3 sent for it, and the key that their points add up to."""

    def __init__(self, holders: Holders) -> None:
        self.holders = holders
        self.request, self.box = holders.request(ATTRIBUTES)
        self.partials = [holders.issue(self.request, i) for i in (1, 2, 3)]
        opened = [kc.open_partial_key(NETWORK, holders.committee, self.request, self.box, one) for one in self.partials]
        self.known_to_the_nodes = kc.join_partial_keys(self.request, opened, holders.t)

    def collect(self) -> SecretKey:
        """The requester's key, which verifies and opens."""
        holders = self.holders
        key = holders.collect(self.request, self.box, self.partials).key
        assert key is not None
        check_key(holders.parameters, key)
        assert decapsulate(holders.parameters, key, holders.capsule(" and ".join(ATTRIBUTES), K)) == K
        return key


def linked(key: SecretKey, issued: Issued) -> bool:
    """The nodes' test of whether a key that turns up somewhere is that of a request."""
    return not set(points(key)).isdisjoint(points(issued.known_to_the_nodes))


def test_the_nodes_do_not_know_the_key_and_do_not_recognise_it() -> None:
    first, second = (Issued(dealt(4)) for _ in range(2))
    for issued in (first, second):
        key = issued.collect()
        assert not linked(key, first)
        assert not linked(key, second)


def test_two_keys_of_the_same_partial_keys_have_no_point_in_common() -> None:
    """A requester that collects again, after a crash say, does not show that both are one request's."""
    issued = Issued(dealt(4))
    one, two = issued.collect(), issued.collect()
    assert set(points(one)).isdisjoint(points(two))


def test_without_a_fresh_t_the_nodes_have_the_key_and_recognise_it(monkeypatch: pytest.MonkeyPatch) -> None:
    weaken(monkeypatch, restrict, lambda key, attributes, random: key)
    first, second = (Issued(dealt(4)) for _ in range(2))
    key = first.collect()
    assert points(key) == points(first.known_to_the_nodes)
    assert (linked(key, first), linked(key, second)) == (True, False)
    assert points(first.collect()) == points(key)
