"""One exception family, and one registry of the reason codes that cross a process boundary.

Every error that Salus raises on purpose derives from :class:`SalusError`. An error says what was wrong, where, and
what to do; it never holds a secret. A refusal that another party must be able to act on carries a *reason code*
from :data:`REASONS`; the same table makes the page ``docs/reference/reasons.md``.
"""

from __future__ import annotations

from typing import Final

REASONS: Final[dict[str, str]] = {
    # encodings
    "bad-encoding": "The bytes are not the canonical encoding of such a message; encode it again with a current version.",
    "bad-point": "A point is not canonical, not in the group, or the identity.",
    "bad-scalar": "A scalar is not canonical.",
    "too-large": "The message or one of its fields is over its bound.",
    "inactive-version": "The transaction kind or version is not active at this height; upgrade, or wait for the activation.",
    "unknown-kind": "There is no transaction kind of that name at this height.",
    # membership
    "unknown-party": "No live registration under that name and role.",
    "already-registered": "A live key is registered under that name already; revoke it first.",
    "bad-possession": "The proof of possession of a secret key does not verify.",
    "bad-signature": "A signature does not verify under the named key.",
    "revoked": "The sender's credential or key is revoked.",
    "not-authorised": "The signer may not do this.",
    "bad-partial-key": "The centre's partial key does not verify against its public key; ask again, and tell the centre.",
    "bad-code": "The enrolment code is unknown, used or expired; ask the centre for a new one.",
    "quota": "No more credentials are issued for this quarter.",
    # envelopes
    "bad-seal": "The sealed sender does not open: wrong epoch key, or altered on the way.",
    "bad-commitment": "The commitment to the sender does not match the sealed identity.",
    "bad-nullifier": "The nullifier is not the one of this credential.",
    "bad-proof": "The sender's signature of knowledge does not verify.",
    "used-credential": "This credential has been used already; take the next one.",
    "used-key": "This one-time key has been used already; draw a fresh one.",
    "wrong-quarter": "The credential belongs to a quarter that is not accepted now; renew the credentials.",
    "wrong-epoch": "The epoch is unknown, over, or not started yet.",
    "expired": "The transaction's validity ended before this block.",
    "too-far-ahead": "The transaction's validity ends too far in the future.",
    # consultation
    "unknown-slot": "The doctor has published no such slot.",
    "slot-taken": "Another request holds this slot; choose the next free one.",
    "slot-closed": "The slot was cancelled or declined.",
    "no-free-slot": "The doctor has no free slot on that day.",
    "bad-receipt": "The cloud's upload receipt does not verify, or ends too early.",
    "unknown-request": "No committed request has that hash.",
    "not-your-request": "The request was sent to another doctor.",
    "not-your-turn": "An earlier slot's request waits; treat or decline it first.",
    "already-answered": "The request has a reply or was declined already.",
    "bad-mac": "A message authentication code does not verify: altered, or keyed otherwise.",
    "bad-pseudonym": "The dynamic pseudonym does not belong to the sender.",
    "bad-body": "The body does not have the digest or size that the ledger names.",
    "missing-body": "The cloud does not hold the body; try another cloud or ask the sender to upload it again.",
    "bad-time": "The time measured differs too much from the block's time.",
    "wrong-doctor": "The reply is not from the doctor who was asked.",
    "wrong-request": "The reply answers another request.",
    "not-committed": "The transaction is not on the ledger.",
    "erased": "The one-time keys that open this were erased.",
    "forged-key": "A transaction of the printed suite whose sender key does not authenticate.",
    # epochs, tracing, upgrade
    "bad-deal": "The deal of the shared value does not verify.",
    "not-dealer": "It is not this node's turn to deal.",
    "already-done": "This was recorded before; nothing changes.",
    "bad-accusation": "The accusation's proofs do not verify.",
    "no-quorum": "Not enough approvals.",
    "bad-evidence": "The evidence does not show what it claims: it was altered, or belongs to another transaction.",
    "unknown-case": "There is no such tracing case.",
    "not-started": "The epoch has not started.",
    "notice-too-short": "The activation height is closer than the genesis notice allows.",
    # keyword search
    "bad-keyword": "It is no keyword: empty, too long, or not in normal form.",
    "bad-tags": "A record has 8 to 2,048 tags of 16 bytes, a power of two of them, ascending, none twice.",
    "duplicate-record": "A record of that id is there already; draw another id.",
    "bad-token-key": "The public shares do not belong to the network's key of tokens.",
    "bad-answer": "A node's answer cannot be true; another node is asked.",
    "bad-order": "The blinded words are not those that the chain has counted.",
    "not-a-holder": "No node holds that share of the key of tokens in this epoch; read the committee from the ledger again.",
    "bad-evaluation": "A node's answer to blinded words is false; the node is named and the signed answer is evidence.",
    "too-few-answers": "Fewer nodes than the threshold gave a right answer; try again later.",
    # records
    "bad-metadata": "A record's sealed metadata is not what the ledger names, does not open, or cannot be true.",
    "bad-range": "The record does not have those bytes; ask for fewer.",
    "bad-category": "There is no such category of records.",
    "bad-period": "A period is a quarter such as 2025Q3; a range has its earlier quarter first.",
    "bad-container": "The Crypt4GH file or key is malformed, damaged, or meant for another key.",
    # body sensors
    "bad-pairing": "Device and terminal do not share the pairing code; read it from the device and try again.",
    # sharing: policies, keys and capsules
    "bad-policy": "The policy does not follow the policy language; the message points at the character.",
    "bad-attribute": "That is not an attribute; write name:value or name:value@year in lower case.",
    "own-in-policy": "own: stands for the owner of a record and may not be used in a sharing policy; leave it out.",
    "bad-capsule": "The capsule does not verify: it was altered, belongs to another record or delegation, or was made wrongly.",
    "bad-key": "The attribute key does not verify under the network's public parameters; request it again.",
    "bad-rekey": "The re-encryption key does not verify; the owner has to make the delegation anew.",
    "bad-transformation": "The transformed capsule does not open: a part of the transformation or the delegation is wrong.",
    "unsatisfied": "The key's attributes do not satisfy the policy; ask for the missing ones, or the owner for a delegation.",
    # sharing: thresholds
    "bad-committee": "That cannot be a committee of 3f + 1 equal seats.",
    "not-a-member": "That node has no seat in the committee of this epoch.",
    "bad-box": "The box's proof of its one-time secret does not verify; it is refused unopened.",
    "bad-opening": "The opening of the box is not proven.",
    "bad-share": "The share dealt to this seat is not that of the public values.",
    "bad-complaint": "The complaint does not show a bad share.",
    "bad-approval": "The approval is not a member's, or of other deals than those that stand.",
    "bad-partial": "A node's partial key or partial transformation does not verify; its evidence goes on the ledger.",
    "bad-delegation": "The delegation does not verify, or the owner made it wrongly; ask the owner for a new one.",
    # sharing: records, delegations and shares on the ledger
    "unknown-scope": "The scope has not been opened; open it first.",
    "wrong-scope": "It belongs to another scope.",
    "unknown-record": "There is no record of that id.",
    "record-erased": "The owner has erased the record; a tombstone is all that is left.",
    "record-superseded": "A newer version stands in the record's place already.",
    "duplicate-delegation": "A delegation of that id is there already; draw another id.",
    "unknown-delegation": "There is no delegation of that id.",
    "delegation-expired": "The delegation has expired; ask the owner for a new one.",
    "delegation-revoked": "The owner has revoked the delegation.",
    "no-attribute": "The institution holds no live grant of that attribute; ask the centre.",
    "suspended": "The institution is suspended: more than a third of the seats has signed against it.",
    "unknown-share": "There is no request to share of that id.",
    "not-granted": "The share is not granted to that reader, or not any more; ask for it again.",
    "waiting": "The request waits in the owner's inbox.",
    "refused-by-owner": "The owner has refused.",
    "bad-purpose": "A request names one of the purposes of use, and an emergency a reason.",
    "limit": "The requester's limit for this period is used up; wait for the next.",
    "bad-certificate": "The nodes' signatures for an attachment are too few or do not verify.",
    "bad-verdict": "That is not the verdict on that transaction.",
    "not-your-check": "It is another check node's turn.",
    "in-time": "The node still has time to answer.",
    # nodes and transport
    "pool-full": "The node's pool is full; try again later or another node.",
    "no-share": "This node holds no share of that key in this epoch; ask another node.",
    "no-shared-value": "This node does not hold the epoch's shared value; send the request to another node.",
    "unreachable": "The party does not answer; check that it runs and try again.",
    "clock": "The clock and the ledger's time disagree; set the clock right.",
    "not-found": "There is nothing under that name or digest.",
    "pruned": "This node no longer has that part of the ledger; a node that is an archive has it.",
    "bad-part": "The part does not continue the upload as it was begun; ask how far it has arrived and go on from there.",
    "no-room": "The cloud has no room for the upload now; try again later or another cloud.",
    "rate-limited": "Too many uploads; wait and try again.",
    "busy": "Another process works on this home; wait for it or stop it.",
    "internal": "The party failed to answer; its log says why.",
}
"""Reason code -> what it means and what to do about it."""


class SalusError(Exception):
    """Base of every error raised on purpose.

    :param message: what was wrong, where, and what to do, in one sentence or two; never a secret.
    """


class Refused(SalusError):
    """A party refused a message; ``reason`` is a code of :data:`REASONS`.

    :param reason: reason code (str, a key of :data:`REASONS`).
    :param detail: what exactly, and where; defaults to the registry's sentence.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        if reason not in REASONS:
            raise ValueError(f"reason code {reason!r} is not in salus.errors.REASONS: register it there")
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail or REASONS[reason]}")


class CodecError(Refused):
    """Bytes that are not a canonical encoding, or a value that cannot be encoded."""

    def __init__(self, detail: str, reason: str = "bad-encoding") -> None:
        super().__init__(reason, detail)


class ConfigError(SalusError):
    """A configuration file, option or environment variable is wrong."""


class StorageError(SalusError):
    """State on disk is damaged, truncated, locked by another process, or cannot be written."""


class WalletError(SalusError):
    """A wallet file cannot be opened or used."""


class WrongPassphrase(WalletError):
    """The passphrase does not open this wallet (the file itself is intact)."""


class DamagedFile(StorageError):
    """A file was altered or truncated; it is distinct from a wrong passphrase."""


class FormatError(SalusError):
    """A record's file is not of the format it claims; it can still be carried as plain bytes."""


class TransportError(SalusError):
    """A party could not be reached, or its answer did not arrive in time."""


class ConsensusError(SalusError):
    """The replicas cannot go on: no quorum, a clock that disagrees, a missing protocol version."""


def refuse_unless(condition: bool, reason: str, detail: str = "") -> None:
    """Raise :class:`Refused` with ``reason`` unless ``condition`` holds."""
    if not condition:
        raise Refused(reason, detail)
