"""Fresh wallets: of people who come to a network, and of the institutions that found it."""

from __future__ import annotations

from salus.ledger.genesis import Genesis
from salus.network.founding import Founded
from salus.network.home import Home
from salus.symmetric import Random
from salus.terminal.sealed import Argon2Cost
from salus.terminal.wallet import Wallet
from salus.terminal.wallet_content import MemberEntry, WalletContent


def new_content(role: str, name: str, display_name: str, genesis: Genesis) -> WalletContent:
    """Content of a fresh wallet."""
    return WalletContent(role, name, display_name or name, genesis.network(), genesis.hash())


def institution_wallets(home: Home, founded: Founded, passphrase: bytes, random: Random, cost: Argon2Cost) -> None:
    """A wallet for each founding institution, with its key in it.

    :raises StorageError: there is one already, or it cannot be written.
    """
    for institution in founded.institutions:
        key = institution.key
        entry = MemberEntry(key.record(), key.export_secret())
        content = new_content("institution", key.name, institution.display_name, founded.genesis).replace(member=entry)
        wallet, _ = Wallet.create(home.person("institution", key.name), content, passphrase, random=random, cost=cost)
        wallet.close()
