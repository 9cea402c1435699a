"""The constants of a network, fixed in its genesis."""

from __future__ import annotations

from typing import Final

from salus.codec import Message
from salus.errors import refuse_unless

_MINUTE_MS: Final = 60 * 1000
_HOUR_MS: Final = 60 * _MINUTE_MS
_DAY_MS: Final = 24 * _HOUR_MS
LONGEST_MS: Final = 10 * 366 * _DAY_MS
"""No time constant is longer: sums of times stay far from the bounds of 64 bits."""


class Constants(Message, frozen=True):
    """Times in milliseconds of block time, unless the name says otherwise.

    :ivar epoch_length_ms: an epoch is this old when the next one may be opened.
    :ivar epoch_grace_ms: how long the previous epoch is still accepted after the next has started.
    :ivar deal_turn_ms: a dealer's turn; then the next of the ranking may deal.
    :ivar valid_until_max_ms: how far ahead ``valid_until`` of an anonymous transaction may lie.
    :ivar retention_ms: an upload receipt keeps the body at least this long after ``valid_until``.
    :ivar quarter_grace_ms: how long a quarter's credentials are accepted after its end.
    :ivar measured_tolerance_ms: how far the time of measurement in a payload may differ from block time.
    :ivar answer_ms: after ``valid_until`` and this time, a patient may give a request up and erase its keys.
    :ivar activation_notice_blocks: least number of blocks between an activation's approval and its height.
    :ivar evidence_window_ms: how old evidence of misbehaviour may be; bodies of older blocks may be pruned.
    :ivar clock_tolerance_ms: how far a voter's clock may differ from block time.
    """

    KIND = "constants"
    epoch_length_ms: int = 7 * _DAY_MS
    epoch_grace_ms: int = 1 * _DAY_MS
    deal_turn_ms: int = 1 * _MINUTE_MS
    valid_until_max_ms: int = 7 * _DAY_MS
    retention_ms: int = 30 * _DAY_MS
    quarter_grace_ms: int = 7 * _DAY_MS
    measured_tolerance_ms: int = 1 * _DAY_MS
    answer_ms: int = 7 * _DAY_MS
    activation_notice_blocks: int = 100
    evidence_window_ms: int = 21 * _DAY_MS
    clock_tolerance_ms: int = 5000

    def check(self) -> None:
        """Whether the constants make sense together.

        :raises Refused: ``bad-encoding``.
        """
        for name in self.__struct_fields__:
            value = getattr(self, name)
            refuse_unless(0 < value <= LONGEST_MS, "bad-encoding", f"constant {name} = {value}")
        longer = self.epoch_length_ms > self.epoch_grace_ms
        refuse_unless(longer, "bad-encoding", "an epoch must be longer than the grace of the one before it")
