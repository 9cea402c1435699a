"""Every domain-separation label and suite name, in one place.

A label is the first element of everything that is hashed, signed or used as KDF information; no two uses share one.
"""

from __future__ import annotations

from typing import Final

SUITE_2019: Final = "mbpa-2019"
SUITE_R1: Final = "mbpa-r1"
SUITE_LEDGER: Final = "ledger-1"
SUITE_RECORDS: Final = "records-1"
SUITE_WALLET: Final = "wallet-1"

# --- hashes to scalars (H1) ---
ALPHA: Final = "alpha"
BETA: Final = "beta"
SIG: Final = "sig"
NONCE: Final = "nonce"
POSSESSION: Final = "possession"
DLEQ: Final = "dleq"
SIG_REPLY: Final = "sig-reply"
SIG_UPLOAD: Final = "sig-upload"
SIG_RECEIPT: Final = "sig-receipt"
SIG_SLOTS: Final = "sig-slots"
SIG_DECLINE: Final = "sig-decline"
SIG_DEAL: Final = "sig-deal"
SIG_ACK: Final = "sig-ack"
SIG_ISSUE: Final = "sig-issue"
SIG_ENROL: Final = "sig-enrol"
SIG_NODE_RECORD: Final = "sig-node-record"
SIG_EPOCH_KEY: Final = "sig-epoch-key"
SIG_ACCUSE: Final = "sig-accuse"
SIG_TRACE: Final = "sig-trace"
SIG_CENTRE: Final = "sig-centre"
SIG_INSTITUTION: Final = "sig-institution"

# --- hashes to 32 bytes (H2) ---
NETWORK: Final = "network"
GENESIS: Final = "genesis"
PID: Final = "pid"
COMMITMENT: Final = "cm"
NULLIFIER_HASH: Final = "nf"
SEALED: Final = "S"
TX: Final = "tx"
M_PA: Final = "m_PA"
ENROLMENT_DIGEST: Final = "enrolment-digest"
ACCOUNT: Final = "account"
BODY_SEGMENT: Final = "body-segment"
BODY_NODE: Final = "body-node"
BODY_DIGEST: Final = "body-digest"

# --- hash to group ---
NULLIFIER: Final = "nullifier"

# --- KDF ---
NODE_SEAL: Final = "node-seal"
DOCTOR_SEAL: Final = "doctor-seal"
KDF_SIG: Final = "kdf-sig"
REQUEST: Final = "request"
REPLY: Final = "reply"
RECEIPT: Final = "receipt"
PID_KEY: Final = "pid-key"
PID_NONCE: Final = "pid-nonce"
BODY: Final = "body"
DEVICE_SESSION: Final = "device-session"
DEVICE_PAIRING: Final = "device-pairing"
DEVICE_GENERATOR: Final = "device-generator"
ENROLMENT: Final = "enrolment"
THETA_BOX: Final = "theta-box"
WALLET_WRAP: Final = "wallet-wrap"
WALLET_CONTENT: Final = "wallet-content"

# --- ledger and consensus ---
BLOCK: Final = "block"
APPLICATION_HASH: Final = "application-hash"
LOG_ENTRY: Final = "log-entry"
MAP_KEY: Final = "map-key"
BLS_POSSESSION: Final = "BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_"
"""Domain of proofs of possession in BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_ (draft-irtf-cfrg-bls-signature)."""
CONSENSUS_POSSESSION: Final = "consensus-possession"
SIG_GENESIS: Final = "sig-genesis"
SIG_REVOKE: Final = "sig-revoke"
SIG_ACTIVATE: Final = "sig-activate"
SIG_NEWEST: Final = "sig-newest"
VALIDATOR_SET: Final = "validator-set"
VOTE: Final = "vote"
CERTIFICATE: Final = "certificate"
POOL_RECEIPT: Final = "pool-receipt"
CHECKPOINT: Final = "checkpoint"

# --- the printed suite, mbpa-2019 (names of the paper) ---
PRINTED_PID1: Final = "printed-PID1"
PRINTED_PID2: Final = "printed-PID2"
PRINTED_CHECK_PA: Final = "printed-check-PA"
PRINTED_CHECK_DO: Final = "printed-check-DO"
PRINTED_M_I1: Final = "printed-M_i1"
PRINTED_M_I2: Final = "printed-M_i2"
PRINTED_M_K1: Final = "printed-M_k1"
PRINTED_M_K2: Final = "printed-M_k2"
PRINTED_E: Final = "printed-E"
PRINTED_GENESIS: Final = "printed-genesis"
PRINTED_BODY: Final = "printed-body"
