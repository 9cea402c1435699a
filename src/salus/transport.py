"""How parties reach each other: encoded requests and answers, nothing shared.

A party that serves implements :class:`Service`; a party that asks holds a :class:`Transport`. In one process the
transport hands the bytes over; between machines it carries them. Bodies larger than :data:`MAX_CALL_BYTES` cross in parts.
"""

from __future__ import annotations

from typing import Final, Protocol

MAX_CALL_BYTES: Final = 8 * 1024 * 1024
"""Largest request or answer of one call: a batch of transactions or one part of a body, with room for its frame."""
PART_BYTES: Final = 4 * 1024 * 1024
"""Bytes of a body carried by one call."""


class Service(Protocol):
    """The answering side of a party."""

    def handle(self, method: str, body: bytes) -> bytes:
        """Answer one request.

        :param method: name of the call, e.g. ``"cloud.upload-part"``.
        :param body: canonical encoding of the request message.
        :raises Refused: crosses the transport as its reason code and detail.
        """


class Transport(Protocol):
    """The asking side: reaches parties by name."""

    def call(self, party: str, method: str, body: bytes) -> bytes:
        """Send a request to ``party`` and return its answer.

        :raises Refused: the party refused; same reason code as it gave.
        :raises TransportError: no answer; the request may or may not have been carried out, so calls are idempotent.
        """
