"""The groups that the protocols compute in, and the two proofs of knowledge that everything is signed with.

:mod:`~salus.groups.ristretto255` and :mod:`~salus.groups.sharing` serve the consultation,
:mod:`~salus.groups.bls12_381` the comparison tables and record sharing. The arithmetic is native;
:mod:`~salus.groups.reference` is a slow, obvious twin of it, for tests.
"""
