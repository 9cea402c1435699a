"""What owners and institutions do in the sharing half: records under policies, delegations, search, shares.

Everything that is secret (keys of scopes, index keys, attribute keys, keys of records, words) stays in the terminal; nodes and
clouds see ciphertext, blinded words and boxed keys of tags. Steps: docs/protocol/sharing-ledger.md, records.md, search.md.
"""
