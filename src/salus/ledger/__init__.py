"""The ledger: one deterministic state machine, its proofs, and its storage on each node."""
