"""Scopes: the first use of a scope's key, by an anonymous member or an institution."""

from __future__ import annotations

from typing import Any

from salus.codec import Bytes32, Bytes64, Message, Name
from salus.consultation.envelope import Envelope, Statement, make_statement
from salus.consultation.registration import Domain


class ScopeOpening(Message, frozen=True):
    """First use of V, in an anonymous envelope that spends one credential.

    Topic of the envelope: kind ``scope.open``, own fields ``(V,)``, body ``(possession,)``.

    :ivar V: public key of the scope. :ivar possession: by V, over ``("scope.open", nf)``.
    """

    KIND = "scope.open"

    V: Bytes32
    possession: Bytes64
    sealed: Envelope

    def envelope(self) -> Envelope:
        """What every anonymous transaction carries."""
        return self.sealed

    def statement(self, domain: Domain, pk_BC: bytes) -> Statement:
        """The envelope with what its signature covers."""
        return make_statement(domain, self.sealed, self.KIND, pk_BC, own_fields(self.V), (self.possession,))


class InstitutionScope(Message, frozen=True):
    """First use of V by an institution, under its own key.

    :ivar possession: by V, over ``("scope.open-institution", institution)``.
    """

    KIND = "scope.open-institution"

    V: Bytes32
    possession: Bytes64
    institution: Name
    signature: Bytes64


def own_fields(V: bytes) -> tuple[Any, ...]:
    """The public fields of an opening that its envelope's t0 names."""
    return (V,)
