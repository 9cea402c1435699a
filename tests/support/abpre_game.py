"""The games of the security notions, with their rules: a challenger that answers oracles and refuses what would win trivially.

Selective: the adversary names the challenge policy before it sees the parameters. CPA: keys for sets that do not satisfy it,
and re-encryption keys whose chain leads to no such key. CCA adds decapsulation, re-encryption and re-decapsulation of
anything but the challenge and what was made of it. (Liang, Fang, Wong, Susilo, eprint 2013/236, section 3, for one hop.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from salus.abpre.capsules import Capsule, VerifiedDeltaCapsule
from salus.abpre.checking import check
from salus.abpre.encapsulation import encapsulate
from salus.abpre.explain import is_satisfied
from salus.abpre.keys import SecretKey
from salus.abpre.language import parse
from salus.abpre.opening import decapsulate, re_decrypt
from salus.abpre.policy import Policy
from salus.abpre.rekeys import ReKey, check_rekey, re_encrypt
from salus.groups.bls12_381 import Gt
from support.abpre_world import Sharing

AAD = b"challenge"


class BrokenRules(Exception):
    """The adversary asked for what would win the game trivially."""


class Challenger:
    """One game.

    :ivar parameters: what the adversary is given after it has named the policy.
    """

    def __init__(self, seed: str, policy: str) -> None:
        self.world = Sharing(seed)
        self.policy: Policy = parse(policy)
        self.parameters = self.world.parameters
        self._coin = self.world.random(1)[0] & 1
        self._keys: list[frozenset[str]] = []
        self._rekeys: list[tuple[frozenset[str], Policy]] = []
        self._challenge: Capsule | None = None
        self.messages: tuple[bytes, bytes] = (bytes(32), b"\xff" * 32)

    def key(self, *attributes: str) -> SecretKey:
        """Oracle: a key, unless it reaches the challenge by itself or by a re-encryption key given out."""
        self._require(not self._reaches(frozenset(attributes)), "a key that opens the challenge")
        self._keys.append(frozenset(attributes))
        return self.world.key(*attributes)

    def rekey(self, attributes: Iterable[str], to: str, aad: bytes) -> ReKey:
        """Oracle: a re-encryption key, unless it leads from the challenge to a key given out."""
        held, target = frozenset(attributes), parse(to)
        leads = is_satisfied(self.policy, held)
        self._require(
            not (leads and any(is_satisfied(target, key) for key in self._keys)), "a re-encryption key to a key given out"
        )
        self._rekeys.append((held, target))
        return self.world.delegate(self.world.key(*held), held, to, aad)

    def challenge(self, first: bytes, second: bytes) -> Capsule:
        """The capsule of one of two keys, by a coin."""
        self._require(self._challenge is None and len(first) == len(second) == 32, "one challenge")
        self.messages = (first, second)
        self._challenge = encapsulate(self.parameters, self.policy, self.messages[self._coin], AAD, self.world.random)
        return self._challenge

    def decapsulate(self, attributes: Iterable[str], data: bytes, aad: bytes) -> bytes:
        """CCA oracle: what a key with these attributes opens.

        :raises Refused: as the honest owner of that key would answer.
        """
        is_challenge = self._challenge is not None and data == self._challenge.encode() and aad == AAD
        self._require(not is_challenge, "the challenge itself")
        return decapsulate(self.parameters, self.world.key(*attributes), check(Capsule.decode(data), aad))

    def re_encrypt(self, attributes: Iterable[str], to: str, data: bytes, aad: bytes, name: bytes) -> tuple[Gt, ReKey]:
        """CCA oracle: a capsule transformed; of the key only what its delegatee sees is given.

        :raises Refused: as a proxy would answer.
        """
        target = parse(to)
        mine = self._challenge is not None and data == self._challenge.encode()
        self._require(not (mine and any(is_satisfied(target, key) for key in self._keys)), "the challenge for a key given out")
        rekey = self.world.delegate(self.world.key(*attributes), attributes, to, name)
        if mine:
            self._rekeys.append((frozenset(attributes), target))
        return re_encrypt(rekey, check(Capsule.decode(data), aad)), rekey

    def re_decapsulate(self, attributes: Iterable[str], data: bytes, aad: bytes, A4: Gt, rekey: ReKey, name: bytes) -> bytes:
        """CCA oracle: a transformed capsule opened by its delegatee; not one that is, or was made of, the challenge.

        :raises Refused: as the delegatee would answer.
        """
        rk4: VerifiedDeltaCapsule = check_rekey(rekey, name)
        derived = self._challenge is not None and data == self._challenge.encode()
        self._require(not derived, "what was made of the challenge")
        return re_decrypt(self.parameters, self.world.key(*attributes), check(Capsule.decode(data), aad), A4, rk4)

    def wins(self, guess: int | None) -> bool | None:
        """Whether the guess is the coin; ``None`` if the adversary found nothing to go by."""
        return None if guess is None else guess == self._coin

    def recognise(self, opened: Any) -> int | None:
        """The guess of an adversary that opened something."""
        return self.messages.index(opened) if opened in self.messages else None

    def _reaches(self, held: frozenset[str]) -> bool:
        if is_satisfied(self.policy, held):
            return True
        return any(is_satisfied(self.policy, source) and is_satisfied(target, held) for source, target in self._rekeys)

    @staticmethod
    def _require(fair: bool, what: str) -> None:
        if not fair:
            raise BrokenRules(what)


Adversary = Callable[[Challenger], int | None]
"""Plays one game: a guess, or ``None``."""


def play(adversary: Adversary, policy: str, games: int = 8) -> list[bool | None]:
    """Several games under different coins."""
    results = []
    for number in range(games):
        challenger = Challenger(f"game {policy} {number}", policy)
        results.append(challenger.wins(adversary(challenger)))
    return results
