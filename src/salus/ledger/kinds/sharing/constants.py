"""The constants of sharing, fixed in the genesis; networks that activated sharing later have the defaults."""

from __future__ import annotations

from typing import Final

from salus.codec import Message
from salus.errors import refuse_unless
from salus.ledger.constants import LONGEST_MS
from salus.ledger.state import StateView, Table

_SECOND_MS: Final = 1000
_MINUTE_MS: Final = 60 * _SECOND_MS
_HOUR_MS: Final = 60 * _MINUTE_MS
_DAY_MS: Final = 24 * _HOUR_MS
SHARING_VERSION: Final = 2
"""First protocol version in which the kinds of sharing are active."""
COUNT_MAX: Final = 1 << 32
"""No limit of a period is larger."""


class SharingConstants(Message, frozen=True):
    """Times in milliseconds of block time, unless the name says otherwise.

    :ivar epoch_length_ms: an epoch of sharing is this old when the committee hands over to the next.
    :ivar epoch_grace_ms: how long boxes, receipts and partials of the epoch before are still accepted.
    :ivar key_turn_ms: how long keys of all seats are awaited once a quorum is there.
    :ivar deal_window_ms: how long deals of all seats are awaited once t are there.
    :ivar complaint_window_ms: how long a bad share can be complained about: a day for people, seconds for a demonstration.
    :ivar demand_ms: how long a node has to post a partial key that was demanded.
    :ivar check_turn_ms: a check node's turn; then the next in the order may give its verdict too.
    :ivar period_ms: length of the periods of the limits below.
    :ivar keys_a_period: key requests of one requester. :ivar words_a_period: blinded words of one institution.
    :ivar shares_a_period: records that one institution may ask for.
    :ivar changes_a_period: records, their re-policies and rotations, delegations and published index keys of one scope; scopes
        that one institution may open.
    :ivar delegation_max_ms: how far ahead a delegation may expire.
    :ivar attribute_max_ms: how far ahead a grant of attributes may expire.
    :ivar request_ms: how long a key request, an order of tokens and a request to share stay open.
    :ivar grant_ms: how long a gateway serves a body against a grant.
    :ivar upload_kept_ms: a cloud must promise to keep an uploaded body at least this long past the block that names it.
    """

    KIND = "sharing.constants"
    epoch_length_ms: int = 90 * _DAY_MS
    epoch_grace_ms: int = 1 * _DAY_MS
    key_turn_ms: int = 1 * _MINUTE_MS
    deal_window_ms: int = 1 * _DAY_MS
    complaint_window_ms: int = 1 * _DAY_MS
    demand_ms: int = 10 * _MINUTE_MS
    check_turn_ms: int = 2 * _SECOND_MS
    period_ms: int = 1 * _DAY_MS
    keys_a_period: int = 256
    words_a_period: int = 16 * 1024
    shares_a_period: int = 16 * 1024
    changes_a_period: int = 4 * 1024
    delegation_max_ms: int = 5 * 366 * _DAY_MS
    attribute_max_ms: int = 5 * 366 * _DAY_MS
    request_ms: int = 30 * _DAY_MS
    grant_ms: int = 1 * _DAY_MS
    upload_kept_ms: int = 1 * _HOUR_MS

    def check(self) -> None:
        """Whether the constants make sense together.

        :raises Refused: ``bad-encoding``.
        """
        for name in self.__struct_fields__:
            value = getattr(self, name)
            bound = LONGEST_MS if name.endswith("_ms") else COUNT_MAX
            refuse_unless(0 < value <= bound, "bad-encoding", f"constant of sharing {name} = {value}")
        longer = self.epoch_length_ms > self.epoch_grace_ms
        refuse_unless(longer, "bad-encoding", "an epoch of sharing must be longer than the grace of the one before it")


SHARING_CONSTANTS: Final = Table("sharing.constants", SharingConstants)
_DEFAULTS: Final = SharingConstants()


def sharing_constants(view: StateView) -> SharingConstants:
    """The constants of sharing of this network."""
    return SHARING_CONSTANTS.get(view, b"") or _DEFAULTS
