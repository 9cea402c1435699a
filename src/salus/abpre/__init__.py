"""Records under attribute policies, passed on by proxy re-encryption (docs/protocol/sharing-scheme.md).

:mod:`~salus.abpre.policy`, :mod:`~salus.abpre.language`, :mod:`~salus.abpre.span` and :mod:`~salus.abpre.explain` need no
group; :mod:`~salus.abpre.keys`, :mod:`~salus.abpre.encapsulation`, :mod:`~salus.abpre.checking`, :mod:`~salus.abpre.opening` and
:mod:`~salus.abpre.rekeys` are the scheme, :mod:`salus.abpre.threshold` takes its secrets apart.
"""
