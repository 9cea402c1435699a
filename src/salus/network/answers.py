"""How an answer or a refusal crosses a transport as bytes."""

from __future__ import annotations

from typing import Annotated, ClassVar

import structlog

from salus.codec import Message, Name, Size, Text, decode
from salus.errors import REASONS, CodecError, Refused, SalusError, TransportError
from salus.transport import MAX_CALL_BYTES, Service

_log = structlog.get_logger(__name__)


class Answer(Message, frozen=True):
    """A call that was carried out. ``body``: the encoded answer."""

    KIND: ClassVar[str] = "transport.answer"

    body: Annotated[bytes, Size(0, MAX_CALL_BYTES)]


class Refusal(Message, frozen=True):
    """A call that was refused. ``reason``: a code of ``salus.errors.REASONS``."""

    KIND: ClassVar[str] = "transport.refusal"

    reason: Name
    detail: Text


class Call(Message, frozen=True):
    """A request on a connection: ``method`` as in :meth:`salus.transport.Service.handle`."""

    KIND: ClassVar[str] = "transport.call"

    method: Name
    body: Annotated[bytes, Size(0, MAX_CALL_BYTES)]


def serve_call(service: Service, method: str, body: bytes) -> bytes:
    """Let ``service`` handle a call and encode what came of it.

    An unexpected error becomes the refusal ``internal``: the caller learns no internals, the party's log does.
    """
    try:
        return Answer(service.handle(method, body)).encode()
    except Refused as refused:
        return Refusal(refused.reason, refused.detail[:4096]).encode()
    except SalusError as error:
        _log.warning("call-failed", method=method, error=str(error))
        return Refusal("internal", str(error)[:4096]).encode()
    except Exception as error:  # noqa: BLE001 - the boundary of a party: one bad call must not end the service
        _log.error("call-crashed", method=method, error_type=type(error).__name__, exc_info=True)
        return Refusal("internal", f"{method} failed; see the party's log").encode()


def open_answer(party: str, method: str, data: bytes) -> bytes:
    """Decode what :func:`serve_call` encoded.

    :raises Refused: if the party refused.
    :raises TransportError: if the bytes are neither answer nor refusal.
    """
    try:
        value = decode(data)
        if isinstance(value, tuple) and value and value[0] == Refusal.KIND:
            refusal = Refusal.from_value(value)
        else:
            return Answer.from_value(value).body
    except CodecError as error:
        raise TransportError(
            f"{party} answered {method} with bytes that are no answer ({error.detail}); try another node"
        ) from None
    reason = refusal.reason if refusal.reason in REASONS else "internal"
    raise Refused(reason, refusal.detail)
