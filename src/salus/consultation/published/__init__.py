"""Suite ``mbpa-2019``: the protocol as printed, FORGEABLE, for study and comparison only.

Source: X. Liu, W. Ma, H. Cao, "MBPA: A Medibchain-Based Privacy-Preserving Mutual Authentication in TMIS for Mobile
Medical Cloud Architecture", IEEE Access 7, 2019 (doi 10.1109/ACCESS.2019.2947313). One module for each group of phases; each
function cites algorithm and line, and explains every misprint where it meets one. :mod:`.parties` runs all twelve
phases between parties that exchange bytes; :mod:`.forgery` breaks it from public values.

| phase | module | algorithms |
|---|---|---|
| 1 global setup | setup | 1 |
| 2-4 registration | registration | 2, 3, 4, 5 |
| 5 shared value | shared_value | 6 (and 8, 10: lines 1-2) |
| 6 patient request | request | 7 |
| 7, 10 chain transaction | chaining, application | 8, 10 |
| 8, 11 storage and response | storage | |
| 9 treatment | treatment | 9 |
| 12 checking up | checking | 11 |
"""

from salus.consultation.published.parties import (
    WARNING,
    Cloud,
    Doctor,
    Patient,
    TrustedCentre,
    ValidationNode,
)

__all__ = ["WARNING", "Cloud", "Doctor", "Patient", "TrustedCentre", "ValidationNode"]
