"""The cloud: holds encrypted bodies by digest, finds committed transactions, and answers with signed receipts.

It sees ciphertext, digests, sizes and what is public on the ledger; it holds no key that opens a body.
"""
