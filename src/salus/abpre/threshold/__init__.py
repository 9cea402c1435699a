"""No single point: alpha, the committee key and the keyword key are held by thresholds, t = 2f + 1 of n = 3f + 1 seats.

Pure protocol code: messages, the checks that everyone makes, and the secret halves of nodes, owners and requesters. No ledger,
no clock, no I/O. Secrecy holds against up to 2f colluders; service needs t. Steps: docs/protocol/sharing-thresholds.md.
"""
