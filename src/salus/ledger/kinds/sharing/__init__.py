"""Transaction kinds of sharing: attributes, committees, keys, scopes, records, delegations, shares, and the access log.

Active from protocol version 2. Steps: docs/protocol/sharing-ledger.md.
"""
