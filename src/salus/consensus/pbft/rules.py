"""The three rules that safety rests on, in one place, so that a test can break each and see that it is noticed."""

from __future__ import annotations

from salus.consensus.block import ValidatorSet
from salus.consensus.pbft.messages import PreparedProof


class Rules:
    """What an honest replica does. Subclasses exist in the simulator only, to break it."""

    sends_wait_for_disk = True
    """A vote is sent after it is fsynced: a replica that restarts knows everything it ever signed."""

    def quorum(self, validators: ValidatorSet) -> int:
        """Votes that prepare or decide a block: any two quorums share an honest member."""
        return validators.quorum

    def carried(self, prepared: PreparedProof | None) -> PreparedProof | None:
        """What a view-change carries: the prepared certificate of the highest view, for the block may be decided."""
        return prepared
