"""Keys of attributes: asked for on the chain. Demands, posted boxes and evidence are messages of the threshold protocol.

``key.demand`` is :class:`salus.abpre.threshold.key_issuing.KeyDemand`, ``key.partial`` (a posted box)
:class:`~salus.abpre.threshold.key_issuing.IssuedPartial`, ``key.evidence``
:class:`salus.abpre.threshold.key_collecting.BadPartialKey`.
"""

from __future__ import annotations

from salus.abpre.threshold.key_issuing import KeyRequest
from salus.codec import Bytes32, Bytes64, Message, Name


class KeyAsked(Message, frozen=True):
    """A request for a key of attributes.

    An institution (``core.requester`` is its name) asks for attributes granted to it and signs with its own key
    (:func:`..common.signed_by_member`); an owner (``core.requester`` is ``own:<x>``) asks for that one attribute, and V signs
    (:func:`..common.signed_by_scope`).
    """

    KIND = "key.request"

    core: KeyRequest
    signature: Bytes64


class KeyMissing(Message, frozen=True):
    """A node has not posted a partial key that was demanded: anyone may say so once its time is over.

    :ivar request: digest of the request.
    """

    KIND = "key.missing"

    request: Bytes32
    node: Name


class SharingFix(Message, frozen=True):
    """The windows of an epoch's deals are over: fix what they fix. Anyone may submit it; it works once.

    :ivar purpose: ``Z`` or ``OPRF``, see :mod:`salus.abpre.threshold.groups`.
    """

    KIND = "sharing.fix"

    epoch: int
    purpose: Name
