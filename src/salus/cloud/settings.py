"""What a gateway allows. Uploads are anonymous, so everything is bounded for all uploaders together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import msgspec

from salus.errors import Refused

Clock = Callable[[], int]
"""UTC milliseconds."""

_DAY_MS: Final = 24 * 3600 * 1000
_MIB: Final = 1 << 20


class GatewaySettings(msgspec.Struct, frozen=True):
    """Bounds of a gateway.

    :ivar body_bytes_max: largest single body. :ivar store_bytes_max: all bodies and announced uploads together.
    :ivar reserve_bytes: room on the disk that uploads may not take.
    :ivar uploads_open_max: uploads under way at a time. :ivar upload_idle_ms: an upload without a part for so long is dropped,
        and after ``crowded_idle_ms`` if others find no room: announcing costs nothing, so it must not keep others out.
    :ivar unnamed_keep_ms: how long a body waits for a committed transaction that names it, in block time; longer than
        genesis lets ``valid_until`` lie ahead.
    :ivar keep_ms_max: how far ahead a keep-until may lie.
    :ivar begins_per_s, begins_burst: uploads begun. :ivar bytes_per_s, bytes_burst: bytes of parts taken; the burst holds at
        least one part.
    :ivar confirm_inline_bytes: named bodies up to this size are hashed again at once, larger ones when a receipt is asked for.
    """

    body_bytes_max: int = 64 * 1024 * _MIB
    store_bytes_max: int = 1024 * 1024 * _MIB
    reserve_bytes: int = 16 * _MIB
    uploads_open_max: int = 1024
    upload_idle_ms: int = 3600 * 1000
    crowded_idle_ms: int = 60 * 1000
    unnamed_keep_ms: int = 7 * _DAY_MS
    keep_ms_max: int = 40 * 366 * _DAY_MS
    begins_per_s: int = 500
    begins_burst: int = 5000
    bytes_per_s: int = 512 * _MIB
    bytes_burst: int = 4096 * _MIB
    confirm_inline_bytes: int = 8 * _MIB


def settings_for(valid_until_max_ms: int) -> GatewaySettings:
    """The defaults for a network whose transactions may be valid for so long."""
    return GatewaySettings(unnamed_keep_ms=max(7 * _DAY_MS, valid_until_max_ms) + _DAY_MS)


class RateLimit:
    """A token bucket. A clock that jumps back adds nothing, one that jumps ahead fills it once."""

    def __init__(self, per_s: int, burst: int, now_ms: Clock) -> None:
        self._per_s = per_s
        self._burst = burst
        self._now_ms = now_ms
        self._tokens = float(burst)
        self._last_ms = now_ms()
        self._lock = threading.Lock()

    def take(self, amount: int, what: str) -> None:
        """Take tokens.

        :raises Refused: ``rate-limited``.
        """
        with self._lock:
            now = self._now_ms()
            gained = max(0, now - self._last_ms) * self._per_s / 1000
            self._last_ms = now
            self._tokens = min(float(self._burst), self._tokens + gained)
            missing = amount - self._tokens
            if missing <= 0:
                self._tokens -= amount
                return
        wait_ms = int(missing * 1000 / self._per_s) + 1
        raise Refused("rate-limited", f"too many {what}; try again in {wait_ms} ms")
