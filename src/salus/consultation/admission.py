"""Admission of many envelopes in one native call: what :mod:`.request`, :mod:`.envelope` and :mod:`.batch` say step by step.

The extension decodes, opens, hashes and verifies a whole batch on all cores without the interpreter lock; the readable
form stays the definition, and a test compares the two on honest, altered and adversarial batches.
"""

from __future__ import annotations

from collections.abc import Sequence

from salus import _native
from salus.codec import encode
from salus.consultation.batch import BATCH_MAX
from salus.consultation.envelope import Statement, VerifiedEnvelope
from salus.consultation.registration import Domain
from salus.consultation.request import RequestContext
from salus.errors import Refused, refuse_unless
from salus.groups.ristretto255 import Scalar

_Answer = str | tuple[bytes, int, bytes, bytes]


def admit_requests(domain: Domain, items: Sequence[tuple[bytes, RequestContext, Scalar]]) -> list[VerifiedEnvelope | Refused]:
    """A node's secret checks of encoded requests (envelope, steps 6 to 10): decode, open, verify.

    The same nf, A or slot twice in a batch is the caller's to notice (batch, step 5), as are revocation and quarter.

    :param items: (encoded transaction, what was looked up for it, the shared value of its epoch), at most ``BATCH_MAX``.
    :return: for each its verified form, or the refusal: ``bad-encoding``, ``wrong-epoch``, ``bad-point``, ``bad-seal``,
        ``bad-commitment``, ``bad-scalar``, ``bad-nullifier``, ``bad-proof``.
    :raises Refused: ``too-large`` for more items.
    """
    refuse_unless(len(items) <= BATCH_MAX, "too-large", f"a batch has at most {BATCH_MAX} items")
    rows = [(tx, looked.epoch, looked.pk_BC, theta, looked.W_D, looked.E_sn) for tx, looked, theta in items]
    return _results(_native.admit_requests(rows, domain.network, domain.Pub))


def admit_envelopes(domain: Domain, items: Sequence[tuple[Statement, Scalar]]) -> list[VerifiedEnvelope | Refused]:
    """The same for envelopes of any kind, put together by their own modules (envelope, steps 6 to 10).

    :param items: (statement, the shared value of its epoch), at most ``BATCH_MAX``; all of this domain.
    :raises Refused: ``too-large`` for more items.
    """
    refuse_unless(len(items) <= BATCH_MAX, "too-large", f"a batch has at most {BATCH_MAX} items")
    rows = []
    for statement, theta in items:
        e = statement.envelope
        rows.append((encode(statement.t0), encode(statement.content[4]), e.A, e.cm, e.nf, e.S, e.M1, theta))
    return _results(_native.admit_envelopes(rows, domain.network, domain.Pub))


def _results(answers: list[_Answer]) -> list[VerifiedEnvelope | Refused]:
    return [Refused(answer) if isinstance(answer, str) else VerifiedEnvelope(*answer) for answer in answers]
