"""The written recovery phrase: 24 English words that carry 256 bits and a checksum (BIP-39, word list and checksum only)."""

from __future__ import annotations

from functools import cache
from typing import Final

from mnemonic import Mnemonic

from salus.errors import WalletError

WORDS: Final = 24
ENTROPY_BYTES: Final = 32
_PHRASE_CHARACTERS_MAX: Final = 1024


@cache
def _words() -> Mnemonic:
    return Mnemonic("english")


def phrase_of(entropy: bytes) -> str:
    """The 24 words of 32 bytes."""
    if len(entropy) != ENTROPY_BYTES:
        raise ValueError(f"a recovery phrase carries {ENTROPY_BYTES} bytes")
    return str(_words().to_mnemonic(entropy))


def entropy_of(phrase: str) -> bytes:
    """The 32 bytes of 24 words; case and spacing do not matter.

    :raises WalletError: wrong number of words, a word that is not in the list (its position is named, not the word), or
        a checksum that does not match.
    """
    words = phrase[:_PHRASE_CHARACTERS_MAX].lower().split()
    if len(words) != WORDS:
        raise WalletError(f"a recovery phrase has {WORDS} words, this has {len(words)}")
    known = set(_words().wordlist)
    wrong = [str(number) for number, word in enumerate(words, 1) if word not in known]
    if wrong:
        raise WalletError(f"word {', '.join(wrong)} of the recovery phrase is not in the list of words; check the spelling")
    try:
        return bytes(_words().to_entropy(words))
    except ValueError:
        raise WalletError("the recovery phrase's checksum does not match; check the words and their order") from None
