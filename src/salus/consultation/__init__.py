"""The MBPA consultation protocol: the repaired suite ``mbpa-r1``; the printed one lives in :mod:`salus.consultation.published`.

Pure protocol: messages in, messages out. No clock, storage or network; randomness comes in as an argument.
``docs/protocol/consultation.md`` numbers the steps that the code cites.
"""
