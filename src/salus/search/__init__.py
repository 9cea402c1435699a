"""Keyword search over encrypted records: who holds the keys asks, the nodes see blinded words and opaque tags.

Steps: docs/protocol/search.md. The owner's and the reader's terminals draw keywords from records (:mod:`.extraction`), have
them made tokens by a threshold of nodes (:mod:`.tokens`) and turn tokens to tags (:mod:`.tags`); the value node looks tags up
(:mod:`.index`).
"""
