"""Everything that one wallet does in the sharing half, put together."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from salus.consultation.registration import INSTITUTION, PATIENT, MemberKey
from salus.errors import WalletError
from salus.ledger.client import LedgerClient
from salus.symmetric import Random
from salus.terminal.centre_client import CentreClient
from salus.terminal.member import member_key
from salus.terminal.membership import Membership
from salus.terminal.sharing.bodies import RecordBodies
from salus.terminal.sharing.delegations import Delegating
from salus.terminal.sharing.inbox import Inbox
from salus.terminal.sharing.institution import InstitutionTerminal
from salus.terminal.sharing.keys import KeyDesk
from salus.terminal.sharing.nodes import Nodes
from salus.terminal.sharing.owner import OwnerTerminal
from salus.terminal.sharing.rescan import Rescan
from salus.terminal.sharing.scopes import Anonymous, Scopes
from salus.terminal.sharing.searching import OwnSearch, Searching
from salus.terminal.sharing.shelf import Shelf
from salus.terminal.sharing.words import Words
from salus.terminal.wallet import Wallet
from salus.transport import Transport


class SharingDesk:
    """The sharing half of one wallet: a patient's, who owns records, or an institution's, which owns and reads.

    :param now_ms: clock, UTC milliseconds.
    """

    def __init__(
        self,
        wallet: Wallet,
        ledger: LedgerClient,
        transport: Transport,
        centre: CentreClient,
        now_ms: Callable[[], int],
        random: Random,
    ) -> None:
        self._wallet = wallet
        self._now_ms = now_ms
        self._random = random
        self.shelf = Shelf(wallet)
        self.nodes = Nodes(ledger, transport, random)
        self.bodies = RecordBodies(transport, ledger, wallet.directory, random)
        self.keys = KeyDesk(wallet, self.nodes, random)
        role = wallet.content.role
        self._member: MemberKey | None = None
        self._anonymous: Anonymous | None = None
        if role == INSTITUTION:
            self._member = member_key(wallet, ledger)
        elif role == PATIENT:
            self._anonymous = Anonymous(wallet, self.nodes, Membership(wallet, ledger, centre, random), random)
        else:
            raise WalletError(f"a {role} neither owns records nor asks for them; the institution does: name it by --as")

    @cached_property
    def scopes(self) -> Scopes:
        """The owner's scopes."""
        return Scopes(
            self._wallet, self.shelf, self.nodes, self.keys, self._random, member=self._member, anonymous=self._anonymous
        )

    @cached_property
    def words(self) -> Words:
        """The book of tokens."""
        return Words(self.shelf, self.nodes, self._random, member=self._member, anonymous=self._anonymous)

    @cached_property
    def owner(self) -> OwnerTerminal:
        """Records of this wallet."""
        return OwnerTerminal(
            self._wallet.directory, self.shelf, self.nodes, self.scopes, self.words, self.bodies, self._now_ms, self._random
        )

    @cached_property
    def delegating(self) -> Delegating:
        """Delegations of this wallet."""
        return Delegating(self._wallet.directory, self.shelf, self.nodes, self.scopes, self._now_ms, self._random)

    @cached_property
    def inbox(self) -> Inbox:
        """Requests for this wallet's records."""
        return Inbox(self.shelf, self.nodes, self.scopes, self.delegating, self._now_ms, self._random)

    @cached_property
    def rescan(self) -> Rescan:
        """What the ledger has of this wallet's records, after a restore."""
        return Rescan(self.shelf, self.nodes, self.scopes, self.owner)

    @cached_property
    def own_search(self) -> OwnSearch:
        """Search among this wallet's records."""
        return OwnSearch(self.shelf, self.nodes, self.scopes, self.words, self._now_ms)

    @cached_property
    def searching(self) -> Searching:
        """Search in what others own.

        :raises WalletError: this is no institution's wallet.
        """
        keys, member = self.institution.attribute_keys, self._member
        assert member is not None
        return Searching(self.shelf, self.nodes, self.words, member, keys, self._now_ms, self._random)

    @cached_property
    def institution(self) -> InstitutionTerminal:
        """Reading what others own.

        :raises WalletError: this is no institution's wallet.
        """
        if self._member is None:
            raise WalletError("only institutions ask for others' records; name one by --as")
        return InstitutionTerminal(
            self._wallet, self.shelf, self.nodes, self.keys, self.bodies, self._member, self._now_ms, self._random
        )
